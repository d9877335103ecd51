"""The two streams of a session: where they are, and what a client says to open one."""

from collections.abc import Mapping, Sequence
from typing import Final

from interface.asyncapi.examples import SESSION
from interface.asyncapi.messages import socket_messages, stream_messages
from interface.asyncapi.schemas import described
from interface.heartbeats import HEARTBEAT_SECONDS
from interface.websocket import (
    COME_BACK_LATER,
    FAULT,
    MAX_FOLLOWED,
    MAX_FRAME_BYTES,
    NO_SUCH_SESSION,
    NOT_SIGNED_IN,
)
from interface.wire.encoding import Json
from interface.wire.event_shapes import EventId

SOCKET: Final = "ws"
STREAM: Final = "sse"

CLOSE_CODES: Final[Sequence[tuple[int, str, str]]] = (
    (1002, "The frames break the protocol.", "mend the client"),
    (1007, "A text is no UTF-8.", "mend the client"),
    (1009, f"A frame is over {MAX_FRAME_BYTES // 1024} KiB.", "send less"),
    (FAULT, "A fault of ours.", "come back with your cursor"),
    (1012, "The process ends.", "come back with your cursor"),
    (COME_BACK_LATER, "The database or the stream is away.", "come back later, with your cursor"),
    (NOT_SIGNED_IN, "Not signed in, or not any more.", "sign in, or get another ticket"),
    (NO_SUCH_SESSION, "There is no such session, or it is another's.", "choose another one"),
)
"""Code, what has happened, what to do. An `error` frame comes before the codes from 4000 on."""

_SESSION_ID: Final = "1 to 50 letters, digits, dots, colons, dashes and underscores."
_LAST_EVENT_ID: Final[Json] = {
    **described(EventId),
    "description": (
        "The id of the last event that you have. Exactly what came after it is told, or a "
        "`snapshot` if that is no longer held. Without one, or with one that is malformed or of "
        "another session, it begins with the running answer so far, as one `snapshot`."
    ),
}
_TICKET: Final[Json] = {
    "type": "string",
    "description": "From `POST /api/auth/ticket`; good once, for 60 seconds.",
}
_AUTHORIZATION: Final[Json] = {
    "type": "string",
    "description": "`Bearer` and an access token or an API token (`sk-…`).",
}
_REQUEST_ID: Final[Json] = {
    "type": "string",
    "pattern": "^[A-Za-z0-9._-]{8,64}$",
    "description": "What the server's log is to call this request. Without it one is made.",
}

_SOCKET_TEXT: Final = f"""A chat in one session, and what happens in up to {MAX_FOLLOWED} others.

The first frame is `session`; if the client may not come in, it is `error`, and the socket is
closed. Each text frame that is a JSON object with a `type` is a command; **any other text is a
message as it is**. A frame that is refused is answered by `error` and changes nothing; the
connection stays.

The server sends pings of the protocol, which client libraries answer by themselves, and cuts who
does not. A frame has at most {MAX_FRAME_BYTES // 1024} KiB.

| close code | what has happened | what to do |
| --- | --- | --- |
"""
_STREAM_TEXT: Final = f"""All events of a session, for as long as the client stays.

`text/event-stream`: each event is an `id:` line and one `data:` line of JSON, without an `event:`
line, so that `EventSource.onmessage` sees all. A comment at least every {HEARTBEAT_SECONDS} s
keeps it open. A browser's `EventSource` comes back by itself, with its cursor in `Last-Event-ID`,
which goes before the query's `last_event_id`. Who may not come in gets an HTTP error, as a
problem (RFC 9457); 204 says that nothing more will come.
"""


def channels() -> Mapping[str, Json]:
    return {SOCKET: _socket(), STREAM: _stream()}


def _socket() -> Json:
    rows = "".join(f"| {code} | {why} | {then} |\n" for code, why, then in CLOSE_CODES)
    session_id = {
        "type": "string",
        "description": f"{_SESSION_ID} Without one a new session is made.",
    }
    query = {"session_id": session_id, "last_event_id": _LAST_EVENT_ID, "ticket": _TICKET}
    headers = {"Authorization": _AUTHORIZATION, "X-Request-ID": _REQUEST_ID}
    return {
        "address": "/ws",
        "title": "WebSocket",
        "description": _SOCKET_TEXT + rows,
        "servers": [{"$ref": "#/servers/ws"}],
        "messages": socket_messages(),
        "bindings": {
            "ws": {
                "method": "GET",
                "query": {"type": "object", "properties": query},
                "headers": {"type": "object", "properties": headers},
                "bindingVersion": "0.1.0",
            }
        },
        "x-close-codes": [
            {"code": code, "meaning": why, "then": then} for code, why, then in CLOSE_CODES
        ],
    }


def _stream() -> Json:
    headers = {
        "Authorization": _AUTHORIZATION,
        "Last-Event-ID": _LAST_EVENT_ID,
        "X-Request-ID": _REQUEST_ID,
    }
    return {
        "address": "/sse/{session_id}",
        "title": "Server-sent events",
        "description": _STREAM_TEXT,
        "servers": [{"$ref": "#/servers/http"}],
        "parameters": {"session_id": {"description": _SESSION_ID, "examples": [SESSION]}},
        "messages": stream_messages(),
        # The HTTP binding has no place for what a request brings in its headers.
        "x-request-headers": {"type": "object", "properties": headers},
    }


def stream_query() -> Json:
    """Of the HTTP binding, which is an operation's."""
    return {
        "type": "object",
        "properties": {"last_event_id": _LAST_EVENT_ID, "ticket": _TICKET},
    }
