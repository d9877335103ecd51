from typing import Final

from interface.openapi.operation import (
    EVENTS,
    NO_CONTENT,
    NO_ROOM,
    Answer,
    Area,
    Operation,
    Parameter,
    RequestBody,
)
from interface.openapi.parameters import IDEMPOTENCY_KEY, PAGING
from interface.wire.answers import AcceptedJson, AnsweredJson, MessageJson, PageJson
from interface.wire.request_bodies import RegenerateBody, SendAnywhereBody, SendBody

_ORDER: Final = Parameter(
    "order",
    "query",
    "Oldest first, or newest first.",
    {"type": "string", "enum": ["asc", "desc"], "default": "asc"},
)
_NOT_ACCEPTED: Final = (
    "session_not_found",
    "model_not_found",
    "persona_not_found",
    "file_not_found",
    "file_unreadable",
    "session_busy",
    "session_closed",
    "idempotency_conflict",
    *NO_ROOM,
)
UNTOLD: Final = ("answer_pending", "generation_not_found", "too_many_streams")
"""Why an answer that was asked for can't be told: also if it was deleted meanwhile, or before the
message was sent again under its key."""
FAILED: Final = (
    "upstream_error",
    "upstream_truncated",
    "upstream_unreachable",
    "upstream_address_refused",
    "upstream_key_refused",
    "upstream_request_refused",
    "upstream_malformed",
    "upstream_overflow",
    "upstream_timeout",
    "upstream_rate_limited",
    "upstream_suspended",
    "api_key_unreadable",
    "worker_lost",
)
"""Why an answer can fail; for a model that is not there any more, `model_not_found`."""
_ACCEPTED: Final = Answer(
    "Accepted: the answer is being written.",
    AcceptedJson,
    gives={"session_id": "/session_id", "generation_id": "/generation_id"},
)
_ANYWHERE: Final = RequestBody(
    SendAnywhereBody, {"in_a_new_session": {"message": "Which river is the longest?"}}
)

MESSAGES: Final = Area(
    "Messages",
    "Questions, and their answers. What is accepted is answered, whatever becomes of the"
    " connection: read or follow the generation that it names.",
    {
        ("GET", "/api/chat/sessions/{session_id}/messages"): Operation(
            "list_messages",
            "List the messages of a session",
            {200: Answer("A page of them.", PageJson[MessageJson])},
            parameters=[*PAGING, _ORDER],
            errors=["session_not_found"],
        ),
        ("POST", "/api/chat/sessions/{session_id}/messages"): Operation(
            "send_message",
            "Send a message, and do not wait for the answer",
            {202: _ACCEPTED},
            "Up to 8 messages wait behind the one that is being answered.",
            RequestBody(
                SendBody,
                {
                    "plain": {"message": "Which river is the longest?"},
                    "as_a_teacher": {
                        "message": "Why do rivers bend?",
                        "persona": "teacher",
                        "file_ids": [],
                    },
                },
            ),
            [IDEMPOTENCY_KEY],
            _NOT_ACCEPTED,
        ),
        ("DELETE", "/api/chat/sessions/{session_id}/messages"): Operation(
            "clear_messages",
            "Clear the history of a session",
            {204: NO_CONTENT},
            errors=["session_not_found", "session_busy"],
        ),
        ("POST", "/api/chat/sessions/{session_id}/regenerate"): Operation(
            "regenerate_answer",
            "Write the last answer again",
            {202: _ACCEPTED},
            "The former one is no part of the conversation any more.",
            RequestBody(
                RegenerateBody,
                {"plain": {}, "as_a_teacher": {"persona": "teacher"}},
                required=False,
            ),
            [IDEMPOTENCY_KEY],
            [
                "session_not_found",
                "session_busy",
                "session_closed",
                "nothing_to_regenerate",
                "model_not_found",
                "persona_not_found",
                "idempotency_conflict",
                *NO_ROOM,
            ],
        ),
        ("POST", "/api/chat/message"): Operation(
            "ask",
            "Send a message, and wait for the whole answer",
            {
                200: Answer(
                    "The answer.",
                    AnsweredJson,
                    gives={"session_id": "/session_id", "generation_id": "/generation_id"},
                )
            },
            "Without `session_id` it makes a new session. If the answer takes too long it is 504"
            " `answer_pending`, and goes on; if it fails, why. Both name the `generation_id`.",
            _ANYWHERE,
            [IDEMPOTENCY_KEY],
            [*_NOT_ACCEPTED, *UNTOLD, *FAILED],
        ),
        ("POST", "/api/chat/message/stream"): Operation(
            "ask_and_follow",
            "Send a message, and follow its answer",
            {200: EVENTS},
            "The stream ends with the answer; cut, it can be taken up again at"
            " `/api/chat/generations/{generation_id}/stream`.",
            _ANYWHERE,
            [IDEMPOTENCY_KEY],
            [*_NOT_ACCEPTED, *UNTOLD],
        ),
    },
)
