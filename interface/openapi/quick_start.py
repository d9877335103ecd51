from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from interface.openapi.operation import (
    ANY_EVENTS,
    EVENT_STREAM,
    NO_CONTENT,
    NO_ROOM,
    Answer,
    Area,
    Operation,
    Parameter,
)
from interface.openapi.parameters import IDEMPOTENCY_KEY
from interface.wire.answers import ClearedJson, HistoryJson, RolesJson, StartedJson
from interface.wire.request_bodies import ID_SCHEMA, KEY

_USER: Final = Parameter(
    "user_id",
    "query",
    "A name. A server in open mode has a guest for each; where people sign in it is their own, and"
    " may be left out.",
    {"type": "string", "minLength": 1, "maxLength": 50},
)
_SESSION: Final = Parameter(
    "session_id", "query", "The session.", ID_SCHEMA, checked=False, example="{session_id}"
)
_NOT_ASKED: Final = (
    "user_not_found",
    "session_not_found",
    "persona_not_found",
    "model_not_found",
    "generation_not_found",
    "session_busy",
    "session_closed",
    "idempotency_conflict",
    "answer_pending",
    "too_many_streams",
    *NO_ROOM,
)

_OPERATIONS: Final = {
    ("POST", "/chat/start"): Operation(
        "start_chat",
        "Begin a session",
        {200: Answer("Begun.", StartedJson, gives={"session_id": "/session_id"})},
        parameters=[_USER],
        errors=["user_not_found", "payload_too_large"],
    ),
    ("GET", "/chat/stream"): Operation(
        "ask_by_address",
        "Send a message, and hear the answer in pieces",
        {
            200: Answer(
                'Server-sent events: `{"content": "…"}` for each piece; the last one is'
                ' `{"content": "", "done": true}`, or `{"error": {…}, "done": true}`.',
                ANY_EVENTS,
                EVENT_STREAM,
                headers={
                    "X-Session-Id": "The session; a new one, if none was named.",
                    "X-Generation-Id": "The answer, as the routes of generations know it.",
                },
            ),
            204: replace(NO_CONTENT, description="All of it was told: come back for nothing more."),
        },
        "Made for a browser's `EventSource`, which asks again when its connection breaks: with the"
        " id of the last event, by which the answer goes on and no message is sent.",
        parameters=[
            _USER,
            replace(_SESSION, description="The session; without one a new one."),
            Parameter(
                "message",
                "query",
                "What is asked: up to 32,000 characters, as far as an address holds them, which has"
                " 64 KiB. Longer ones go to `/api/chat/message/stream`.",
                {"type": "string", "minLength": 1},
                required=True,
                example="Which river is the longest?",
            ),
            Parameter("role", "query", "Who answers: a name of `/roles`.", {"type": "string"}),
            IDEMPOTENCY_KEY,
            Parameter(
                "idempotency_key",
                "query",
                "The same, for who can't set headers.",
                {"type": "string", "pattern": f"^{KEY}$"},
            ),
            Parameter(
                "Last-Event-ID",
                "header",
                "The id of the last event that was seen: nothing is sent, and the answer goes on.",
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
        ],
        errors=_NOT_ASKED,
    ),
    ("GET", "/chat/history"): Operation(
        "read_chat_history",
        "Read what was said",
        {200: Answer("The messages.", HistoryJson)},
        parameters=[_USER, replace(_SESSION, required=True)],
        errors=["user_not_found", "session_not_found"],
    ),
    ("DELETE", "/chat/history/{session_id}"): Operation(
        "clear_chat_history",
        "Clear what was said",
        {200: Answer("It is gone.", ClearedJson)},
        parameters=[_USER],
        errors=["user_not_found", "session_not_found", "session_busy"],
    ),
    ("GET", "/roles"): Operation(
        "list_roles",
        "List who can answer",
        {200: Answer("All personas, with what the model is told.", RolesJson)},
    ),
}


def _both() -> Iterator[tuple[tuple[str, str], Operation]]:
    """As they are, and once more under `/api`."""
    for (method, path), operation in _OPERATIONS.items():
        yield (method, path), operation
        yield (method, f"/api{path}"), replace(operation, name=f"{operation.name}_under_api")


QUICK_START: Final = Area(
    "Quick start",
    "A chat in which all is in the address: for a first try, and for `EventSource`. What is asked"
    " and answered are messages like any others.",
    dict(_both()),
)
