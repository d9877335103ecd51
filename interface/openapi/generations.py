from typing import Final

from interface.openapi.operation import EVENTS, Access, Answer, Area, Operation
from interface.openapi.parameters import LAST_EVENT_ID
from interface.wire.answers import GenerationJson, StoppingJson

_OVER: Final = Answer("The last event was seen already: there is no more to come.")

GENERATIONS: Final = Area(
    "Answers",
    "An answer while it waits, is being written, and for good: a generation.",
    {
        ("GET", "/api/chat/generations/{generation_id}"): Operation(
            "read_generation",
            "Read how far an answer is",
            {200: Answer("The generation.", GenerationJson)},
            errors=["generation_not_found"],
        ),
        ("POST", "/api/chat/generations/{generation_id}/cancel"): Operation(
            "cancel_generation",
            "Stop an answer; what is written of it is kept",
            {
                200: Answer("It has ended.", StoppingJson),
                202: Answer("It is about to end.", StoppingJson),
            },
            "Harmless once it has ended.",
            errors=["generation_not_found"],
        ),
        ("GET", "/api/chat/generations/{generation_id}/stream"): Operation(
            "follow_generation",
            "Follow one answer to its end",
            {200: EVENTS, 204: _OVER},
            parameters=LAST_EVENT_ID,
            errors=["generation_not_found", "too_many_streams"],
        ),
        ("GET", "/sse/{session_id}"): Operation(
            "follow_session",
            "Follow all answers of a session, for as long as you stay",
            {200: EVENTS, 204: _OVER},
            parameters=LAST_EVENT_ID,
            errors=["session_not_found", "too_many_streams"],
            access=Access.CALLER_OR_TICKET,
        ),
    },
)
