from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from typing import Final, Literal, NamedTuple

from domain.errors import SessionBusy, SessionClosed
from domain.generation import GenerationStatus
from domain.identifiers import ApiId, GenerationId, SessionId, UserId
from domain.position import ORIGIN, Position

MAX_WAITING: Final = 8
"""Messages that may wait in a session behind the one that is being answered."""

_TITLE_CHARACTERS: Final = 60


class Unchanged(Enum):
    UNCHANGED = "unchanged"


UNCHANGED: Final = Unchanged.UNCHANGED

Change = str | None | Literal[Unchanged.UNCHANGED]


@dataclass(frozen=True, slots=True)
class SessionChanges:
    """What is to become of a session; None takes a choice away, so that the default holds."""

    title: Change = UNCHANGED
    model_name: Change = UNCHANGED
    persona: Change = UNCHANGED
    system_prompt: Change = UNCHANGED


@dataclass(frozen=True, slots=True)
class ActiveGeneration:
    """What a session is working on: the running generation, else the first that waits."""

    generation_id: GenerationId
    status: GenerationStatus


class OwnModel(NamedTuple):
    """A user's configuration, and the model that it names."""

    api_id: ApiId
    model_name: str


@dataclass(frozen=True, slots=True)
class ChatSession:
    """A conversation of one user. `end` is where its last ended answer ended in the stream;
    `default_persona` is the one that its owner has chosen for all sessions without their own, and
    `default_model` the first that its owner has configured, if there is one. One with
    `kept_seconds` was made for a call: see `domain/call.py`."""

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
    default_persona: str | None = None
    default_model: OwnModel | None = None
    kept_seconds: int | None = None

    @property
    def own_persona(self) -> str | None:
        """What it has chosen itself; with a system prompt it needs none."""
        return None if self.system_prompt else self.persona

    def ask(self, text: str) -> "tuple[ChatSession, int]":
        """The session with one more question, and that question's number.

        Raises SessionBusy when too many messages wait already, SessionClosed.
        """
        if self.kept_seconds is not None and self.last_number:
            raise SessionClosed
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

    def ask_again(self, answers: int) -> "ChatSession":
        """The session with its last question waiting once more, and so many answers to it gone.

        Raises SessionBusy while anything is being answered, SessionClosed.
        """
        if self.kept_seconds is not None:
            raise SessionClosed
        self._expect_idle("An answer is being written.")
        return replace(self, message_count=self.message_count - answers, unanswered=1)

    def clear(self) -> "ChatSession":
        """The session without its messages. Raises SessionBusy while anything is being answered."""
        self._expect_idle("An answer is being written; stop it first.")
        return replace(self, message_count=0)

    def change(self, changes: SessionChanges) -> "ChatSession":
        """The session with other choices. A new system prompt starts the conversation anew, so that
        raises SessionBusy as `clear` does."""
        session = self if changes.system_prompt is UNCHANGED else self.clear()
        return replace(
            session,
            title=_changed(self.title, changes.title),
            model_name=_changed(self.model_name, changes.model_name),
            persona=_changed(self.persona, changes.persona),
            system_prompt=_changed(self.system_prompt, changes.system_prompt),
        )

    def _expect_idle(self, why: str) -> None:
        if self.unanswered:
            raise SessionBusy(why)


def _changed(now: str | None, change: Change) -> str | None:
    return now if change is UNCHANGED else change


def _title(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _TITLE_CHARACTERS else line[: _TITLE_CHARACTERS - 1].rstrip() + "…"
