"""Parameters that several routes have."""

from collections.abc import Mapping
from typing import Final

from interface.openapi.operation import Parameter, Schema
from interface.wire.parameters import DEFAULT_LIMIT, MAX_LIMIT
from interface.wire.request_bodies import ID_SCHEMA, KEY

REQUEST_ID: Final = Parameter(
    "X-Request-ID",
    "header",
    "A name for this request: 8 to 64 letters, digits, `.`, `_` and `-`; another is replaced. The"
    " answer, and the server's log, have it.",
    {"type": "string"},
    checked=False,
)
LIMIT: Final = Parameter(
    "limit",
    "query",
    "How many to list at most.",
    {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
)
CURSOR: Final = Parameter(
    "cursor",
    "query",
    "Where to go on: a `next_cursor` of this list.",
    {"type": "string"},
)
PAGING: Final = (LIMIT, CURSOR)
IDEMPOTENCY_KEY: Final = Parameter(
    "Idempotency-Key",
    "header",
    "Makes it harmless to send the same again: what has the same key and the same body is accepted"
    " once, and answered alike.",
    {"type": "string", "pattern": f"^{KEY}$"},
)
_AFTER: Final = "The id of the last event that was seen; without a known one the stream begins with"
LAST_EVENT_ID: Final = (
    Parameter(
        "Last-Event-ID",
        "header",
        f"{_AFTER} a snapshot. Browsers send it when they come back.",
        {"type": "string"},
        checked=False,
    ),
    Parameter(
        "last_event_id",
        "query",
        "The same, for who can't set headers.",
        {"type": "string"},
        checked=False,
    ),
)

_ROW_ID: Final[Schema] = {"type": "integer", "format": "int64", "minimum": 1}

IN_PATHS: Final[Mapping[str, tuple[str, Schema]]] = {
    "session_id": ("A session.", ID_SCHEMA),
    "generation_id": ("An answer, from its acceptance on.", ID_SCHEMA),
    "response_id": ("A response.", {"type": "string", "minLength": 1}),
    "file_id": ("A file.", _ROW_ID),
    "token_id": ("An API token.", _ROW_ID),
    "api_id": ("A model configuration, by its id.", _ROW_ID),
    "model": ("A model, by its name.", {"type": "string", "minLength": 1}),
    "name": ("A model configuration, by its name.", {"type": "string", "minLength": 1}),
}
"""By the names that they have in routes."""
