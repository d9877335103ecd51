"""Calls: conversations that are given whole, to be answered once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from domain.errors import PromptTooLarge
from domain.message import MAX_MESSAGE_CHARACTERS, Role
from domain.prompt import Options, Prompt, PromptMessage

STORED: Final = "stored"
"""A note: whoever made the call may read it again, and go on from it."""
INSTRUCTED: Final = "instructed"
"""A note: its first message are instructions, which hold for this call only."""

MAX_PROMPT_BYTES: Final = 4 * 1024 * 1024
"""Of all that is said in a prompt, as UTF-8: one that goes on from others grows with each."""
MAX_PROMPT_MESSAGES: Final = 4_000


@dataclass(frozen=True, slots=True)
class Call:
    """A prompt that is answered as it is: with no history, persona or window of ours. It has a
    session of its own, which is in no list, takes no other message, and is forgotten after
    `kept_seconds` without anything happening in it.

    `dialect` is that in which it was made, and `notes` are what this wants to know again of it, in
    terms of JSON.
    """

    prompt: Prompt
    dialect: str
    kept_seconds: int
    notes: Mapping[str, Any]

    @property
    def is_stored(self) -> bool:
        return bool(self.notes.get(STORED))

    @property
    def instructions(self) -> PromptMessage | None:
        return self.prompt.messages[0] if self.notes.get(INSTRUCTED) else None

    @property
    def said(self) -> tuple[PromptMessage, ...]:
        """All but the instructions."""
        return self.prompt.messages[1:] if self.notes.get(INSTRUCTED) else self.prompt.messages

    def after(self, previous: "Call", answer: str) -> "Call":
        """This call, with what was said up to that answer between its instructions and what it
        brings itself. Raises PromptTooLarge."""
        instructions = [] if self.instructions is None else [self.instructions]
        # Some models take no empty answer.
        answered = [PromptMessage(Role.ASSISTANT, answer)] if answer else []
        messages = (*instructions, *previous.said, *answered, *self.said)
        if len(messages) > MAX_PROMPT_MESSAGES or sum(map(_size, messages)) > MAX_PROMPT_BYTES:
            raise PromptTooLarge(
                f"The conversation has more than {MAX_PROMPT_BYTES:,} bytes of text or"
                f" {MAX_PROMPT_MESSAGES:,} messages by now. Begin another one."
            )
        return replace(self, prompt=replace(self.prompt, messages=messages))


def _size(message: PromptMessage) -> int:
    functions = [each.function for each in message.tool_calls]
    if message.function_call is not None:
        functions.append(message.function_call)
    texts = [message.content, *(each.arguments for each in functions)]
    return sum(len(text.encode()) for text in texts)


def prompt_of(messages: Sequence[PromptMessage], options: Options) -> Prompt:
    """With what its sender is shown to have asked: the user's last words, of which each subscriber
    gets no more than of any other message."""
    asked = next((each for each in reversed(messages) if each.role is Role.USER), messages[-1])
    return Prompt(tuple(messages), asked.content[:MAX_MESSAGE_CHARACTERS], options)
