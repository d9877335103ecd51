"""The shapes of a stream's events, for the type checker and for `/asyncapi.json`.

Over a WebSocket each has its `id` inside; over SSE that is the line before it.
"""

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypedDict

from domain.identifiers import GenerationId, MessageId, SessionId
from interface.problems import ProblemJson

EventId = Annotated[
    str,
    Field(
        description="Opaque; rises within a session, and means the same on every transport.",
        examples=["3-14"],
    ),
]
Attempt = Annotated[int, Field(ge=1, description="Rises by one each time a worker is lost.")]
MessageOfAnswer = Annotated[
    MessageId | None,
    Field(description="The stored answer; null if there was no text to keep."),
]


class UsageJson(TypedDict):
    """Tokens, as the model's server counted them."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class OfAnswer(TypedDict):
    session_id: SessionId
    generation_id: GenerationId


class OfOpening(TypedDict):
    attempt: Attempt
    model_name: str
    message: Annotated[str, Field(description="The user's.")]


class _Piece(OfAnswer):
    chunk: Annotated[str, Field(description="Append it.")]
    is_last: Literal[False]


class OfLast(TypedDict):
    chunk: Literal[""]
    is_last: Literal[True]
    message_id: MessageOfAnswer


class StartEvent(OfAnswer, OfOpening):
    """An answer begins."""

    type: Literal["start"]


class ResetEvent(OfAnswer, OfOpening):
    """Another worker begins the answer again: drop its text so far."""

    type: Literal["reset"]
    reason: str


class ChunkEvent(_Piece):
    """A piece of the answer's text."""

    type: Literal["chunk"]


class ReasoningEvent(_Piece):
    """A piece of what the model thinks before it answers, where it gives that."""

    type: Literal["reasoning"]


class _Snapshot(OfAnswer):
    type: Literal["snapshot"]
    text: str
    attempt: Attempt
    recovered: Annotated[bool, Field(description="False: single events were lost on the way.")]


class SnapshotEvent(_Snapshot, total=False):
    """All text of the answer up to here: put it in the place of what you have, and go on
    appending."""

    reasoning: str


class _Done(OfAnswer, OfLast):
    type: Literal["done"]
    finish_reason: Annotated[
        str | None, Field(description="The model's word for it: `stop`, `length`, …")
    ]
    usage: UsageJson | None


class DoneEvent(_Done, total=False):
    """The answer is complete and stored."""

    title: Annotated[str, Field(description="What the session is called now, if this named it.")]


class StoppedEvent(OfAnswer, OfLast):
    """Somebody has stopped the answer; its text so far is stored."""

    type: Literal["stopped"]
    usage: UsageJson | None


class FailedEvent(OfAnswer, OfLast):
    """The answer has failed; its text so far, if any, is stored."""

    type: Literal["failed"]
    error: ProblemJson


EventJson = (
    StartEvent
    | ResetEvent
    | ChunkEvent
    | ReasoningEvent
    | SnapshotEvent
    | DoneEvent
    | StoppedEvent
    | FailedEvent
)


class GoneEvent(TypedDict):
    """The session was deleted: nothing more comes of it."""

    type: Literal["gone"]
    session_id: SessionId
    generation_id: None
