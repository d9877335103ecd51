"""What a session's subscribers are told, one kind a class (in JSON: `interface/wire/events.py`)."""

from dataclasses import dataclass

from domain.generation import Failure
from domain.identifiers import GenerationId, MessageId
from domain.message import Usage
from domain.position import Position


@dataclass(frozen=True, slots=True)
class Start:
    """An answer begins. `message` is the user's."""

    generation_id: GenerationId
    attempt: int
    model_name: str
    message: str


@dataclass(frozen=True, slots=True)
class Reset:
    """The answer begins once more: its text so far is void."""

    generation_id: GenerationId
    attempt: int
    model_name: str
    message: str
    reason: str


@dataclass(frozen=True, slots=True)
class Chunk:
    generation_id: GenerationId
    text: str


@dataclass(frozen=True, slots=True)
class Reasoning:
    generation_id: GenerationId
    text: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All text up to here. `recovered` is False if single events were lost on the way."""

    generation_id: GenerationId
    attempt: int
    text: str
    reasoning: str = ""
    recovered: bool = True


@dataclass(frozen=True, slots=True)
class Done:
    generation_id: GenerationId
    message_id: MessageId | None
    finish_reason: str | None
    usage: Usage | None
    title: str | None = None


@dataclass(frozen=True, slots=True)
class Stopped:
    generation_id: GenerationId
    message_id: MessageId | None
    usage: Usage | None


@dataclass(frozen=True, slots=True)
class Failed:
    generation_id: GenerationId
    message_id: MessageId | None
    failure: Failure
    request_id: str | None


Opening = Start | Reset
Terminal = Done | Stopped | Failed
StreamEvent = Start | Reset | Chunk | Reasoning | Snapshot | Done | Stopped | Failed


@dataclass(slots=True, eq=False)
class Entry:
    """An event in its place. All subscribers of a process share it, so each kind of door keeps
    here what it made of it, and makes it once."""

    position: Position
    event: StreamEvent
    as_sse: bytes | None = None
    as_frame: str | None = None
