"""What comes over a WebSocket."""

import json
from typing import Annotated, Final, Literal

from pydantic import Field, TypeAdapter, ValidationError

from interface.wire.request_bodies import Body, Key, SendBody, check_size, invalid

SessionNamed = Annotated[
    str | None, Field(description="Another one than that of the socket; it needn't be followed.")
]


class SendFrame(SendBody):
    """A message, of 1 to 32,000 characters after trimming."""

    type: Literal["send"]
    client_message_id: Annotated[
        Key | None,
        Field(description="Of your own: however often it is sent, the message is accepted once."),
    ] = None
    session_id: SessionNamed = None


class CancelFrame(Body):
    """Stop an answer; without a generation it is the one that the session works on."""

    type: Literal["cancel"]
    generation_id: str | None = None
    session_id: SessionNamed = None


class ResumeFrame(Body):
    """Tell again what came after this event."""

    type: Literal["resume"]
    last_event_id: str
    session_id: SessionNamed = None


class FollowFrame(Body):
    """Tell the events of a further session as well."""

    type: Literal["follow"]
    session_id: str
    last_event_id: Annotated[
        str | None, Field(description="Without one it begins with the running answer so far.")
    ] = None


class UnfollowFrame(Body):
    """Tell no more of a session."""

    type: Literal["unfollow"]
    session_id: str


class PingFrame(Body):
    """For who can't send WebSocket pings, such as a web page."""

    type: Literal["ping"]


Frame = SendFrame | CancelFrame | ResumeFrame | FollowFrame | UnfollowFrame | PingFrame
_frames: Final[TypeAdapter[Frame]] = TypeAdapter(
    Annotated[Frame, Field(discriminator="type")],
)


def parse_frame(text: str) -> Frame:
    """A WebSocket text frame: a JSON object with `type` is a command, all else is a message.

    Raises InvalidInput.
    """
    try:
        # Numbers as text: Python refuses to read long ones.
        said = json.loads(text, parse_int=str) if text.lstrip()[:1] == "{" else None
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict) or "type" not in said:
        return SendFrame(type="send", message=text)
    check_size(said)
    try:
        return _frames.validate_json(text)
    except ValidationError as error:
        raise invalid(error, said.get("type")) from None
