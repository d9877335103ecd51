from typing import Final

from interface.openapi.operation import NO_CONTENT, Answer, Area, Operation, RequestBody
from interface.openapi.parameters import PAGING
from interface.wire.answers import PageJson, SessionJson
from interface.wire.request_bodies import ChangeSessionBody, CreateSessionBody

_GIVES: Final = {"session_id": "/session_id"}

SESSIONS: Final = Area(
    "Sessions",
    "Conversations, and what they have chosen.",
    {
        ("POST", "/api/chat/session"): Operation(
            "create_session",
            "Make a session, or come back to one",
            {
                201: Answer("Made.", SessionJson, gives=_GIVES),
                200: Answer("It was yours already, and is unchanged.", SessionJson, gives=_GIVES),
            },
            body=RequestBody(
                CreateSessionBody,
                {
                    "plain": {},
                    "chosen": {
                        "session_id": "my-first-session",
                        "title": "Rivers of Europe",
                        "persona": "teacher",
                        "system_prompt": "Answer in one sentence.",
                    },
                },
                required=False,
            ),
            errors=["session_not_found", "model_not_found", "persona_not_found"],
        ),
        ("GET", "/api/chat/sessions"): Operation(
            "list_sessions",
            "List your sessions, newest activity first",
            {200: Answer("A page of them.", PageJson[SessionJson])},
            parameters=PAGING,
        ),
        ("GET", "/api/chat/sessions/{session_id}"): Operation(
            "read_session",
            "Read a session",
            {200: Answer("The session.", SessionJson)},
            errors=["session_not_found"],
        ),
        ("PATCH", "/api/chat/sessions/{session_id}"): Operation(
            "change_session",
            "Rename a session, or choose its model, persona or system prompt",
            {200: Answer("As it is now.", SessionJson)},
            "A system prompt begins the conversation anew: its history is cleared.",
            RequestBody(
                ChangeSessionBody,
                {
                    "rename": {"title": "Rivers of Asia"},
                    "back_to_defaults": {"model_name": None, "persona": None},
                },
                required=False,
            ),
            errors=["session_not_found", "session_busy", "model_not_found", "persona_not_found"],
        ),
        ("DELETE", "/api/chat/sessions/{session_id}"): Operation(
            "delete_session",
            "Delete a session, with its messages and files",
            {204: NO_CONTENT},
            "Whoever follows it is told that it is gone.",
            errors=["session_not_found"],
        ),
    },
)
