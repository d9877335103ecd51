"""What comes over a WebSocket."""

import json
from typing import Annotated, Final, Literal

from pydantic import Field, TypeAdapter, ValidationError

from interface.wire.request_bodies import Body, Key, SendBody, check_size, invalid


class SendFrame(SendBody):
    type: Literal["send"]
    client_message_id: Key | None = None
    session_id: str | None = None


class CancelFrame(Body):
    """Without a generation it is the one that the session works on."""

    type: Literal["cancel"]
    generation_id: str | None = None
    session_id: str | None = None


class ResumeFrame(Body):
    type: Literal["resume"]
    last_event_id: str
    session_id: str | None = None


class FollowFrame(Body):
    type: Literal["follow"]
    session_id: str
    last_event_id: str | None = None


class UnfollowFrame(Body):
    type: Literal["unfollow"]
    session_id: str


class PingFrame(Body):
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
