"""The work of answering one message."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from domain.identifiers import ApiId, GenerationId, MessageId, SessionId, UserId
from domain.message import Usage
from domain.position import Position

MAX_ATTEMPTS: Final = 3
"""Claims that may be lost before the answer fails. One given back in good order is not counted."""


class GenerationStatus(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    STOPPED = "stopped"
    FAILED = "failed"


ENDED: Final = frozenset(
    {GenerationStatus.COMPLETED, GenerationStatus.STOPPED, GenerationStatus.FAILED}
)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an answer failed: a stable code and a sentence that holds no secret."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Progress:
    """What a running answer has said so far, saved because its events could not be stored: all up
    to the event with this seq under the generation's fence, which is a snapshot of it."""

    seq: int
    text: str
    reasoning: str


@dataclass(frozen=True, slots=True)
class Generation:
    """A row as it was read. The arrows between its states are conditional updates in the database.

    `number` is its question's number in the conversation. `api_id` is the user's configuration
    that answers; None if it is the server's own model. `fence` is that of its last claim and
    `last_seq` that of its terminal event, once it has ended; one that is stopped while it waits is
    never claimed, but has a fence of its own and that one event. `text` and `answer_id` are those
    of the stored answer, if there is one. `progress` is that of a running one under its present
    fence, if any was saved.
    """

    id: GenerationId
    session_id: SessionId
    owner: UserId
    message_id: MessageId
    number: int
    status: GenerationStatus
    model_name: str
    api_id: ApiId | None
    persona: str | None
    attempt: int
    fence: int
    created_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    last_seq: int | None = None
    finish_reason: str | None = None
    usage: Usage | None = None
    failure: Failure | None = None
    request_id: str | None = None
    stop_requested: bool = False
    text: str = ""
    answer_id: MessageId | None = None
    progress: Progress | None = None

    @property
    def ended(self) -> bool:
        return self.status in ENDED

    @property
    def end(self) -> Position | None:
        """The position of its terminal event, once it has ended."""
        return None if self.last_seq is None else Position(self.fence, self.last_seq)


@dataclass(frozen=True, slots=True)
class Ending:
    """How an answer ended. `text` may be empty; a completed answer is stored even so. `tokens` are
    what it takes of what its owner may have in a day."""

    status: GenerationStatus
    text: str
    last_seq: int
    finish_reason: str | None = None
    usage: Usage | None = None
    failure: Failure | None = None
    tokens: int = 0

    @property
    def keeps_answer(self) -> bool:
        return bool(self.text) or self.status is GenerationStatus.COMPLETED
