"""What the model is given."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from domain.message import Message, Role


@dataclass(frozen=True, slots=True)
class PromptMessage:
    """`name` is who speaks, which a function's result must say; `tool_call_id` is the call that a
    tool's result answers."""

    role: Role
    content: str
    name: str | None = None
    tool_call_id: str | None = None


@dataclass(frozen=True, slots=True)
class Prompt:
    """The conversation for one answer, oldest first; the last message is the question."""

    messages: tuple[PromptMessage, ...]

    @property
    def question(self) -> str:
        return self.messages[-1].content


class CountTokens(Protocol):
    def __call__(self, text: str, /) -> int:
        """How many tokens a model makes of a text, at least roughly. Needs no network."""


@dataclass(frozen=True, slots=True)
class ContextWindow:
    """How much of a conversation the model is given: at most so many messages, the question
    included, and so many tokens, the system prompt included."""

    messages: int
    tokens: int
    count: CountTokens


def build_prompt(
    system_prompt: str | None, recent: Sequence[Message], window: ContextWindow
) -> Prompt:
    """The system prompt, then the end of `recent` that fits: oldest first, the question last.

    The system prompt and the question are given whatever they cost. The oldest messages go first,
    and an answer whose question is gone goes with it: many models insist that a user begins.
    """
    left = window.tokens - (window.count(system_prompt) if system_prompt else 0)
    fitting = list(_fitting(recent[-window.messages :], left, window.count))
    while len(fitting) > 1 and fitting[-1].role is Role.ASSISTANT:
        fitting.pop()
    system = [PromptMessage(Role.SYSTEM, system_prompt)] if system_prompt else []
    return Prompt((*system, *(PromptMessage(m.role, m.content) for m in reversed(fitting))))


def _fitting(recent: Sequence[Message], left: int, count: CountTokens) -> Iterator[Message]:
    """From the newest back, as long as there are tokens left; the newest in any case."""
    for age, message in enumerate(reversed(recent)):
        left -= count(message.content)
        if left < 0 and age > 0:
            return
        yield message
