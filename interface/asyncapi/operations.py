"""Who says what, and what is answered. As AsyncAPI has it, the server is who sends and receives."""

from collections.abc import Mapping, Sequence
from typing import Final

from interface.asyncapi.channels import SOCKET, STREAM, stream_query
from interface.asyncapi.messages import TEXT, names_of
from interface.asyncapi.schemas import EVENTS
from interface.wire.encoding import Json

REPLIES: Final[Mapping[str, Sequence[str]]] = {
    TEXT: ("accepted", "error"),
    "send": ("accepted", "error"),
    "cancel": ("cancelling", "error"),
    "resume": (*names_of(EVENTS), "error"),
    "follow": ("following", "error"),
    "unfollow": ("unfollowed", "error"),
    "ping": ("pong", "error"),
}
"""What a frame may be answered with. `error` is the answer to one that is refused."""

_SUMMARIES: Final[Mapping[str, str]] = {
    TEXT: "Send a message, as plain text",
    "send": "Send a message",
    "cancel": "Stop an answer",
    "resume": "Replay what came after an event",
    "follow": "Follow a further session",
    "unfollow": "Follow a session no longer",
    "ping": "Ask whether the server is there",
}


def operations() -> Mapping[str, Json]:
    heard = {name: _heard(name, replies) for name, replies in REPLIES.items()}
    events = names_of(EVENTS)
    return {
        "open": {
            "action": "send",
            "summary": "The first frame, before anything is asked",
            **_said(SOCKET, ("session", "error")),
        },
        **heard,
        "socketEvents": {
            "action": "send",
            "summary": "What happens in the sessions that are followed",
            **_said(SOCKET, events),
        },
        "streamEvents": {
            "action": "send",
            "summary": "What happens in a session",
            **_said(STREAM, events),
            "bindings": {
                "http": {"method": "GET", "query": stream_query(), "bindingVersion": "0.3.0"}
            },
        },
    }


def _heard(name: str, replies: Sequence[str]) -> Json:
    return {
        "action": "receive",
        "summary": _SUMMARIES[name],
        **_said(SOCKET, (name,)),
        "reply": _said(SOCKET, replies),
    }


def _said(channel: str, names: Sequence[str]) -> Json:
    place = f"#/channels/{channel}"
    return {
        "channel": {"$ref": place},
        "messages": [{"$ref": f"{place}/messages/{name}"} for name in names],
    }
