"""Errors as clients of OpenAI expect them, under `/v1`."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

import msgspec
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from typing_extensions import TypedDict

from interface.problems import STATUS, ProblemJson
from interface.wire.encoding import encode

PREFIX: Final = "/v1"
_PROBLEM: Final = "application/problem+json"

# By these names clients know them; all others keep ours.
_CODES: Final[Mapping[str, str]] = {
    "not_signed_in": "invalid_api_key",
    "invalid_token": "invalid_api_key",
    "previous_call_not_found": "previous_response_not_found",
}
_STATUSES: Final = {"invalid_request": HTTPStatus.BAD_REQUEST}
_PARAMETERS: Final[Mapping[str, str]] = {
    "model_not_found": "model",
    "previous_call_not_found": "previous_response_id",
    "previous_call_unanswered": "previous_response_id",
    "context_length_exceeded": "input",
}
_WORTH_A_RETRY: Final = frozenset({429, 503})
_SPENT: Final = "token_budget_spent"
"""Not before tomorrow."""


class ErrorDetailJson(TypedDict):
    message: str
    type: str
    param: str | None
    code: str


class ErrorJson(TypedDict):
    error: ErrorDetailJson


def code_of(code: str) -> str:
    """Of ours."""
    return _CODES.get(code, code)


def status_of(code: str) -> HTTPStatus:
    """By our code."""
    return _STATUSES.get(code, STATUS[code])


def openai_error(problem: ProblemJson) -> ErrorJson:
    """A problem in OpenAI's words; of several flaws the first is told in full."""
    status, code = problem["status"], problem["code"]
    message, parameter = problem["detail"], _PARAMETERS.get(code)
    if flaws := problem.get("errors"):
        parameter = _place(flaws[0]["pointer"])
        said = flaws[0]["message"]
        names_it = parameter is None or said.startswith(f"{parameter} ")
        message = said if names_it else f"{parameter}: {said}"
    return {
        "error": {
            "message": message,
            "type": _type(status, code),
            "param": parameter,
            "code": code_of(code),
        }
    }


def _type(status: int, code: str) -> str:
    if code == _SPENT:
        return "insufficient_quota"
    if status == 429:
        return "rate_limit_error"
    return "server_error" if status >= 500 else "invalid_request_error"


def _place(pointer: str) -> str | None:
    """`/messages/0/role` is `messages[0].role`."""
    parts = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]
    said = "".join(f"[{part}]" if part.isdecimal() else f".{part}" for part in parts)
    return said.removeprefix(".") or None


class OpenAIErrors:
    """ASGI middleware: whoever refuses a request under `/v1`, and for whatever reason, the client
    hears it in its own dialect."""

    def __init__(self, app: ASGIApp) -> None:
        self._app: Final = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and f"{scope['path']}/".startswith(f"{PREFIX}/"):
            send = _Translating(send)
        await self._app(scope, receive, send)


class _Translating:
    """A `send` that holds a problem back until all of it is there."""

    def __init__(self, send: Send) -> None:
        self._send: Final = send
        self._start: Message | None = None
        self._body = bytearray()

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and _is_problem(message):
            self._start = message
        elif self._start is None:
            await self._send(message)
        else:
            self._body += message.get("body", b"")
            if not message.get("more_body", False):
                await self._translate(self._start)

    async def _translate(self, start: Message) -> None:
        problem: ProblemJson = msgspec.json.decode(self._body)
        body = encode(openai_error(problem))
        status = status_of(problem["code"]).value
        headers = MutableHeaders(raw=list(start["headers"]))
        headers["content-type"] = "application/json"
        headers["content-length"] = str(len(body))
        if status not in _WORTH_A_RETRY or problem["code"] == _SPENT:
            # Else OpenAI's clients ask twice more in any case.
            headers["x-should-retry"] = "false"
        await self._send({**start, "status": status, "headers": headers.raw})
        await self._send({"type": "http.response.body", "body": body})


def _is_problem(start: Message) -> bool:
    return (b"content-type", _PROBLEM.encode()) in start["headers"]
