"""The whole document."""

from typing import Final

from interface.asyncapi.channels import channels
from interface.asyncapi.operations import operations
from interface.asyncapi.schemas import json_schemas
from interface.wire.encoding import Json

VERSION: Final = "0.1.0"

_TEXT: Final = """Answers arrive piece by piece, as events: JSON objects with a `type`. They are
the same over a WebSocket (`/ws`) and as server-sent events (`/sse/{session_id}`). `POST
/api/chat/message/stream` and `GET /api/chat/generations/{generation_id}/stream` carry the same
server-sent events of one generation only, and end after its last one; they are in
`/openapi.json`, as all else that is asked over HTTP.

**An answer.** `start`, any number of `chunk`, and at last `done`, `stopped` or `failed`. A client
that reads only `chunk` and `is_last` works: append the one until the other is true. `reset` says
that the answer begins again: drop its text. `snapshot` has all text so far: put it in the place
of what you have. Fields may be added: leave alone what you do not know.

**Coming back.** Each event has an id, which is opaque, rises within a session, and means the same
on every transport. Come back with the last one that you have (`last_event_id`, `Last-Event-ID`,
`resume`) and you get exactly what came after it, or a `snapshot` where single events are no
longer held. Come back without one, and you get the running answer so far as one `snapshot`, then
what is new.

**Nothing is lost.** `accepted` is said once the message is stored. A `send` with a
`client_message_id` may be repeated until it is answered: it is accepted once.

**Who is asking.** A server on a loopback address asks nobody. Others want an access token or an
API token in `Authorization: Bearer …`, or, as browsers can't set that header here, a `ticket` in
the query: `POST /api/auth/ticket` makes one, which is good once, for 60 seconds. When a sign-in
ends, so do its streams, within a minute.
"""

_HOST: Final[Json] = {
    "host": {"default": "127.0.0.1:8080", "description": "Where this server is reached."}
}
_SECURITY: Final[list[Json]] = [
    {"$ref": "#/components/securitySchemes/bearer"},
    {"$ref": "#/components/securitySchemes/ticket"},
]


def asyncapi_document() -> Json:
    """AsyncAPI 3.0.0."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "llm-chat: the streams",
            "version": VERSION,
            "description": _TEXT,
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/json",
        "servers": {"ws": _server("ws"), "http": _server("http")},
        "channels": channels(),
        "operations": operations(),
        "components": {
            "schemas": json_schemas(),
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An access token, or an API token (`sk-…`).",
                },
                "ticket": {
                    "type": "httpApiKey",
                    "in": "query",
                    "name": "ticket",
                    "description": "From `POST /api/auth/ticket`; good once, for 60 seconds.",
                },
            },
        },
    }


def _server(protocol: str) -> Json:
    return {
        "host": "{host}",
        "protocol": protocol,
        "description": f"`{protocol}s` where it is behind TLS.",
        "variables": _HOST,
        "security": _SECURITY,
    }
