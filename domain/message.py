from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from domain.errors import Flaw, InvalidInput
from domain.identifiers import FileId, GenerationId, MessageId, SessionId

MAX_MESSAGE_CHARACTERS: Final = 32_000


class Role(StrEnum):
    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    FUNCTION = "function"
    TOOL = "tool"
    DEVELOPER = "developer"


class AnswerStatus(StrEnum):
    """How an answer ended."""

    COMPLETED = "completed"
    STOPPED = "stopped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens, as the model counted them."""

    prompt_tokens: int
    completion_tokens: int

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation. `file_ids` are those that a question names, `status` and the
    others that may be missing are for answers only.

    `number` orders the conversation: a question has an odd one and its answer the next, so an
    answer stands under its question even if another question arrived meanwhile.
    """

    id: MessageId
    session_id: SessionId
    number: int
    role: Role
    content: str
    created_at: datetime
    generation_id: GenerationId | None = None
    status: AnswerStatus | None = None
    finish_reason: str | None = None
    usage: Usage | None = None
    file_ids: tuple[FileId, ...] = ()


def number_after(number: int) -> int:
    """The number of the question that is asked after the one with this number."""
    return number + 2


def storable(text: str) -> str:
    """What databases and UTF-8 can hold: NUL and halves of surrogate pairs become U+FFFD."""
    text = text.replace("\x00", "\ufffd")
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def clean_message(text: str) -> str:
    """The text as it is stored: trimmed. Raises InvalidInput if it is empty or too long."""
    trimmed = text.strip()
    if not trimmed:
        raise InvalidInput(Flaw("/message", "The message is empty."))
    if len(trimmed) > MAX_MESSAGE_CHARACTERS:
        raise InvalidInput(
            Flaw("/message", f"The message is longer than {MAX_MESSAGE_CHARACTERS:,} characters.")
        )
    if "\x00" in trimmed:
        raise InvalidInput(Flaw("/message", "The message contains a NUL character."))
    return trimmed
