"""What has happened in a chat, for whoever wants to know: an audit, a webhook, a count.

Each is told once it is committed. They carry ids, not copies.
"""

from dataclasses import dataclass

from domain.generation import Failure
from domain.identifiers import GenerationId, MessageId, SessionId, UserId
from domain.message import Usage


@dataclass(frozen=True, slots=True)
class MessageAccepted:
    user: UserId
    session_id: SessionId
    message_id: MessageId
    generation_id: GenerationId
    request_id: str | None


@dataclass(frozen=True, slots=True)
class RegenerationAccepted:
    """A question that was answered before is to be answered once more."""

    user: UserId
    session_id: SessionId
    message_id: MessageId
    generation_id: GenerationId
    request_id: str | None


@dataclass(frozen=True, slots=True)
class GenerationStarted:
    """A worker has claimed it; `attempt` is 1 unless another one was lost."""

    user: UserId
    session_id: SessionId
    generation_id: GenerationId
    attempt: int


@dataclass(frozen=True, slots=True)
class AnswerBegan:
    """The first piece of it came, so many seconds after the question was accepted."""

    user: UserId
    session_id: SessionId
    generation_id: GenerationId
    seconds: float


@dataclass(frozen=True, slots=True)
class GenerationFenced:
    """Its worker has lost it, to another one or with its session: what it still said is void."""

    user: UserId
    session_id: SessionId
    generation_id: GenerationId


@dataclass(frozen=True, slots=True)
class GenerationReleased:
    """Its worker ends, and gave it back before it was answered."""

    user: UserId
    session_id: SessionId
    generation_id: GenerationId


@dataclass(frozen=True, slots=True)
class GenerationCompleted:
    user: UserId
    session_id: SessionId
    generation_id: GenerationId
    usage: Usage | None


@dataclass(frozen=True, slots=True)
class GenerationStopped:
    user: UserId
    session_id: SessionId
    generation_id: GenerationId


@dataclass(frozen=True, slots=True)
class GenerationFailed:
    user: UserId
    session_id: SessionId
    generation_id: GenerationId
    failure: Failure


@dataclass(frozen=True, slots=True)
class SessionDeleted:
    user: UserId
    session_id: SessionId


DomainEvent = (
    MessageAccepted
    | RegenerationAccepted
    | GenerationStarted
    | AnswerBegan
    | GenerationFenced
    | GenerationReleased
    | GenerationCompleted
    | GenerationStopped
    | GenerationFailed
    | SessionDeleted
)
