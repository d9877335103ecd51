"""The shapes of what a WebSocket says beside the events."""

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypedDict

from domain.identifiers import GenerationId, MessageId, SessionId
from interface.problems import ProblemJson
from interface.wire.event_shapes import EventId

Opened = Literal["session", "following", "unfollowed"]
ClientMessageId = Annotated[str, Field(description="That of the `send` which this answers.")]


class OpenedFrame(TypedDict):
    """Where the stream of a session stands for this socket: what comes of it is later."""

    type: Opened
    session_id: SessionId
    last_event_id: EventId


class AcceptedFrame(TypedDict):
    """The message is stored, and will be answered whatever happens."""

    type: Literal["accepted"]
    session_id: SessionId
    client_message_id: ClientMessageId | None
    message_id: MessageId
    generation_id: Annotated[GenerationId, Field(description="Of its answer.")]


class CancellingFrame(TypedDict):
    """The wish is stored; that the answer has ended is told by its last event."""

    type: Literal["cancelling"]
    session_id: SessionId
    generation_id: GenerationId


class PongFrame(TypedDict):
    """The server is there."""

    type: Literal["pong"]


class _Error(TypedDict):
    type: Literal["error"]
    error: ProblemJson


class ErrorFrame(_Error, total=False):
    """What was asked for was refused, and changed nothing; the connection stays."""

    client_message_id: ClientMessageId


FrameJson = OpenedFrame | AcceptedFrame | CancellingFrame | PongFrame | ErrorFrame
