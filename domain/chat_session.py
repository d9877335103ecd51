from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from domain.errors import SessionBusy
from domain.generation import GenerationStatus
from domain.identifiers import GenerationId, SessionId, UserId
from domain.position import ORIGIN, Position

MAX_WAITING: Final = 8
"""Messages that may wait in a session behind the one that is being answered."""

_TITLE_CHARACTERS: Final = 60


@dataclass(frozen=True, slots=True)
class ActiveGeneration:
    """What a session is working on: the running generation, else the first that waits."""

    generation_id: GenerationId
    status: GenerationStatus


@dataclass(frozen=True, slots=True)
class ChatSession:
    """A conversation of one user. `end` is where its last ended answer ended in the stream."""

    id: SessionId
    owner: UserId
    title: str | None
    model_name: str | None
    persona: str | None
    system_prompt: str | None
    message_count: int
    last_number: int
    created_at: datetime
    updated_at: datetime
    end: Position = ORIGIN
    unanswered: int = 0
    active: ActiveGeneration | None = None

    def ask(self, text: str) -> "tuple[ChatSession, int]":
        """The session with one more question, and that question's number.

        Raises SessionBusy when too many messages wait already.
        """
        if self.unanswered > MAX_WAITING:
            raise SessionBusy(f"{MAX_WAITING} messages are waiting in this session already.")
        number = self.last_number + 1
        asked = replace(
            self,
            title=self.title or _title(text),
            message_count=self.message_count + 1,
            last_number=number + 1,
            unanswered=self.unanswered + 1,
        )
        return asked, number


def _title(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _TITLE_CHARACTERS else line[: _TITLE_CHARACTERS - 1].rstrip() + "…"
