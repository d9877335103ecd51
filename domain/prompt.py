"""What the model is given."""

from collections.abc import Sequence
from dataclasses import dataclass

from domain.message import Message, Role


@dataclass(frozen=True, slots=True)
class PromptMessage:
    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """The conversation for one answer, oldest first; the last message is the question."""

    messages: tuple[PromptMessage, ...]

    @property
    def question(self) -> str:
        return self.messages[-1].content


def build_prompt(system_prompt: str | None, recent: Sequence[Message]) -> Prompt:
    """The system prompt, if there is one, then `recent`: oldest first, ending with the question."""
    system = [PromptMessage(Role.SYSTEM, system_prompt)] if system_prompt else []
    return Prompt((*system, *(PromptMessage(m.role, m.content) for m in recent)))
