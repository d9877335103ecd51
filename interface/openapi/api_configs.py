from typing import Final

from interface.openapi.operation import NO_CONTENT, Answer, Area, Operation, Parameter, RequestBody
from interface.openapi.parameters import PAGING
from interface.wire.answers import ApiJson, ModelsJson, PageJson, TrialJson
from interface.wire.request_bodies import MAX_MODEL_NAME, ChangeApiBody, CreateApiBody

_MODEL_NAME: Final = Parameter(
    "model_name",
    "query",
    "Only those of this model.",
    {"type": "string", "minLength": 1, "maxLength": MAX_MODEL_NAME},
)
_ONE: Final = "/api/user/apis/{id_or_name}"

API_CONFIGS: Final = Area(
    "Models",
    "Which models there are; and configurations of your own: a model, at a server that speaks the"
    " OpenAI dialect, with your key.",
    {
        ("GET", "/api/models"): Operation(
            "list_models",
            "List all models that you may name",
            {200: Answer("All of them.", ModelsJson)},
        ),
        ("GET", "/api/user/apis"): Operation(
            "list_apis",
            "List your model configurations",
            {200: Answer("A page of them.", PageJson[ApiJson])},
            parameters=[*PAGING, _MODEL_NAME],
        ),
        ("POST", "/api/user/apis"): Operation(
            "add_api",
            "Add a model configuration",
            {201: Answer("Added.", ApiJson, gives={"api_id": "/id", "name": "/name"})},
            body=RequestBody(
                CreateApiBody,
                {
                    "at_home": {
                        "name": "at home",
                        "model_name": "small-model",
                        "base_url": "http://127.0.0.1:11434/v1",
                        "api_key": "",
                    },
                    "with_a_key": {
                        "name": "paid",
                        "model_name": "large-model",
                        "base_url": "https://api.example.com/v1",
                        "api_key": "a-key-of-that-server",
                        "provider": "openai",
                    },
                },
            ),
            errors=["name_taken"],
        ),
        ("GET", "/api/user/apis/first"): Operation(
            "read_first_api",
            "Read your first model configuration, which answers where no model is named",
            {200: Answer("The configuration.", ApiJson)},
            errors=["api_not_found"],
        ),
        ("GET", "/api/user/apis/{name}"): Operation(
            "read_api",
            "Read a model configuration by its name",
            {200: Answer("The configuration.", ApiJson)},
            errors=["api_not_found"],
            shown_as=_ONE,
        ),
        ("PUT", "/api/user/apis/{api_id}"): Operation(
            "change_api",
            "Change a model configuration",
            {200: Answer("As it is now.", ApiJson)},
            "A new `base_url` without a new key takes the key away: it was for another server.",
            RequestBody(ChangeApiBody, {"rename": {"name": "at work"}}, required=False),
            errors=["api_not_found", "name_taken"],
            shown_as=_ONE,
        ),
        ("DELETE", "/api/user/apis/{api_id}"): Operation(
            "delete_api",
            "Delete a model configuration",
            {204: NO_CONTENT},
            errors=["api_not_found"],
            shown_as=_ONE,
        ),
        ("POST", "/api/user/apis/{api_id}/test"): Operation(
            "try_api",
            "Ask the model for a first word",
            {200: Answer("Whether it answers.", TrialJson)},
            errors=["api_not_found"],
        ),
    },
)
