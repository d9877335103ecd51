from typing import Final

from interface.dialects.chat_body import ChatCompletionBody
from interface.dialects.chat_telling import CompletionJson
from interface.dialects.openai_errors import ErrorJson, code_of, status_of
from interface.dialects.openai_models import OpenAIModelJson, OpenAIModelsJson
from interface.openapi.messages import FAILED, UNTOLD
from interface.openapi.operation import (
    ANY_EVENTS,
    EVENT_STREAM,
    JSON,
    NO_ROOM,
    Answer,
    Area,
    ErrorShape,
    Operation,
    RequestBody,
)
from interface.openapi.parameters import IDEMPOTENCY_KEY

ERRORS: Final = ErrorShape(ErrorJson, JSON, "ToOpenAI", code_of, status_of)
NOT_CALLED: Final = ("model_not_found", "idempotency_conflict", *NO_ROOM)
GENERATION_ID: Final = {
    "X-Generation-Id": "The answer, as the routes of generations know it: for taking up a stream"
    " that was cut, and for stopping it.",
}

OPENAI: Final = Area(
    "OpenAI",
    "What clients of OpenAI ask, in their words: point them at `/v1`. Errors are told as OpenAI"
    " tells them. A server in open mode takes any API key, since these clients insist on one.",
    {
        ("POST", "/v1/chat/completions"): Operation(
            "create_chat_completion",
            "Let a conversation be gone on with",
            {
                200: Answer(
                    "The answer; with `stream`, as server-sent events: a chunk an event, at the"
                    " end `[DONE]`. If its answer fails, or it is cut, a stream ends with an"
                    " `error`.",
                    CompletionJson,
                    also={EVENT_STREAM: ANY_EVENTS},
                    headers=GENERATION_ID,
                )
            },
            "The conversation is answered as it is given, without persona, history or limits of"
            " this server's. It goes through the same queue as every message: a worker that dies"
            " is replaced, and a client that leaves stops nothing. What was asked and answered is"
            " kept for an hour.",
            RequestBody(
                ChatCompletionBody,
                {
                    "plain": {
                        "model": "simulated",
                        "messages": [{"role": "user", "content": "Which river is the longest?"}],
                    },
                    "as_a_stream": {
                        "messages": [
                            {"role": "system", "content": "Answer in one sentence."},
                            {"role": "user", "content": "Why do rivers bend?"},
                        ],
                        "stream": True,
                        "stream_options": {"include_usage": True},
                        "max_completion_tokens": 200,
                    },
                },
            ),
            [IDEMPOTENCY_KEY],
            [*NOT_CALLED, *UNTOLD, "answer_stopped", *FAILED],
        ),
        ("GET", "/v1/models"): Operation(
            "list_openai_models",
            "List the models that can be named",
            {200: Answer("All of them.", OpenAIModelsJson)},
        ),
        ("GET", "/v1/models/{model}"): Operation(
            "read_openai_model",
            "Read one of them",
            {200: Answer("The model.", OpenAIModelJson)},
            errors=["model_not_found"],
        ),
    },
    ERRORS,
)
