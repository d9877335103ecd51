from collections.abc import Mapping
from typing import Final

from interface.dialects.response_body import ResponseBody
from interface.dialects.response_json import DeletedResponseJson, ItemsJson, ResponseJson
from interface.openapi.messages import UNTOLD
from interface.openapi.openai import ERRORS, GENERATION_ID, NOT_CALLED
from interface.openapi.operation import (
    ANY_EVENTS,
    EVENT_STREAM,
    Answer,
    Area,
    Operation,
    Parameter,
    RequestBody,
)
from interface.openapi.parameters import IDEMPOTENCY_KEY, LIMIT

_NUMBER: Final[Mapping[str, object]] = {"type": "integer", "minimum": 0}
_STREAMED: Final[Mapping[str, object]] = {EVENT_STREAM: ANY_EVENTS}
_GIVES: Final = {"response_id": "/id"}

RESPONSES: Final = Area(
    "OpenAI responses",
    "Calls that are kept for 30 days after they were answered, and can be gone on from.",
    {
        ("POST", "/v1/responses"): Operation(
            "create_response",
            "Let the model respond",
            {
                200: Answer(
                    "The response, also one that failed; with `background`, as it is by now; with"
                    " `stream`, its events, which end with it, or with an `error` if they are cut.",
                    ResponseJson,
                    also=_STREAMED,
                    gives=_GIVES,
                    headers=GENERATION_ID,
                )
            },
            "With `previous_response_id` it goes on from that conversation, whose `instructions`"
            " do not hold any more. Several may go on from one.",
            RequestBody(
                ResponseBody,
                {
                    "plain": {"model": "simulated", "input": "Which river is the longest?"},
                    "in_the_background": {
                        "input": [{"role": "user", "content": "Why do rivers bend?"}],
                        "instructions": "Answer in one sentence.",
                        "background": True,
                        "metadata": {"lesson": "7"},
                    },
                    "as_a_stream": {"input": "Why do rivers bend?", "stream": True},
                },
            ),
            [IDEMPOTENCY_KEY],
            [
                *NOT_CALLED,
                *UNTOLD,
                "context_length_exceeded",
                "previous_call_not_found",
                "previous_call_unanswered",
            ],
        ),
        ("GET", "/v1/responses/{response_id}"): Operation(
            "read_response",
            "Read a response, or follow it",
            {
                200: Answer(
                    "As it is by now; with `stream=true`, its events.",
                    ResponseJson,
                    also=_STREAMED,
                )
            },
            "A stream goes on exactly after any event, on any server, also when all of it is over.",
            parameters=[
                Parameter(
                    "stream",
                    "query",
                    "Whether to tell it as events.",
                    {"type": "string", "enum": ["true", "false"], "default": "false"},
                ),
                Parameter(
                    "starting_after",
                    "query",
                    "The `sequence_number` of the last event that was seen.",
                    _NUMBER,
                ),
            ],
            errors=["generation_not_found", "too_many_streams"],
        ),
        ("DELETE", "/v1/responses/{response_id}"): Operation(
            "delete_response",
            "Delete a response, whatever it is at",
            {200: Answer("It does not exist any more.", DeletedResponseJson)},
            errors=["generation_not_found"],
        ),
        ("POST", "/v1/responses/{response_id}/cancel"): Operation(
            "cancel_response",
            "Stop a response; what it has said so far is kept",
            {200: Answer("As it is by now: as a rule `cancelled`.", ResponseJson)},
            errors=["generation_not_found"],
        ),
        ("GET", "/v1/responses/{response_id}/input_items"): Operation(
            "list_input_items",
            "List what a response was asked, newest first",
            {200: Answer("A page of it.", ItemsJson)},
            parameters=[
                LIMIT,
                Parameter(
                    "order",
                    "query",
                    "Oldest first, or newest first.",
                    {"type": "string", "enum": ["asc", "desc"], "default": "desc"},
                ),
                Parameter(
                    "after", "query", "The id of an item to go on after.", {"type": "string"}
                ),
            ],
            errors=["generation_not_found"],
        ),
    },
    ERRORS,
)
