from typing import Final

from interface.openapi.operation import NO_CONTENT, Answer, Area, Operation, RequestBody
from interface.openapi.parameters import PAGING
from interface.wire.answers import ApiTokenJson, MadeApiTokenJson, PageJson
from interface.wire.request_bodies import CreateApiTokenBody

API_TOKENS: Final = Area(
    "API tokens",
    "Ways in for programs.",
    {
        ("GET", "/api/user/tokens"): Operation(
            "list_api_tokens",
            "List your API tokens",
            {200: Answer("A page of them.", PageJson[ApiTokenJson])},
            parameters=PAGING,
        ),
        ("POST", "/api/user/tokens"): Operation(
            "make_api_token",
            "Make an API token",
            {
                201: Answer(
                    "The one time that it is shown.", MadeApiTokenJson, gives={"token_id": "/id"}
                )
            },
            body=RequestBody(
                CreateApiTokenBody,
                {
                    "for_a_month": {"name": "nightly report", "expires_in_days": 30},
                    "for_good": {"name": "nightly report"},
                },
            ),
            errors=["too_many_tokens"],
        ),
        ("DELETE", "/api/user/tokens/{token_id}"): Operation(
            "delete_api_token",
            "Delete an API token: it is good no more",
            {204: NO_CONTENT},
            errors=["token_not_found"],
        ),
    },
)
