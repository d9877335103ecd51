"""HTTP replies: JSON, and every error as a problem."""

import logging
import re
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from domain.errors import ChatError
from interface.problems import RETRY_AFTER_SECONDS, STATUS, ProblemJson, problem, problem_of
from interface.request_id import request_id_of
from interface.wire.answers import PageJson
from interface.wire.encoding import encode

log = logging.getLogger(__name__)

_CHALLENGE: Final = 'Bearer realm="llm-chat"'
# RFC 6750, 3.1: who sent no token is not told of an error.
_CHALLENGES: Final = {"invalid_token": f'{_CHALLENGE}, error="invalid_token"'}


def json_reply(content: object, status: int = 200) -> Response:
    return Response(encode(content), status, media_type="application/json")


def secret_reply(content: object, status: int = 200) -> Response:
    """JSON that holds a token: nobody on the way may keep it."""
    reply = json_reply(content, status)
    reply.headers["Cache-Control"] = "no-store"
    return reply


T = TypeVar("T")
Shown = TypeVar("Shown")


def page_reply(
    found: Sequence[T], limit: int, as_json: Callable[[T], Shown], cursor_after: Callable[[T], str]
) -> Response:
    """A page of a list; one more than `limit` was looked for, to know whether it goes on."""
    shown, more = found[:limit], len(found) > limit
    page: PageJson[Shown] = {
        "items": [as_json(item) for item in shown],
        "next_cursor": cursor_after(shown[-1]) if more else None,
    }
    return json_reply(page)


def problem_reply(shown: ProblemJson) -> Response:
    headers = {}
    if shown["status"] in (429, 503):
        headers["Retry-After"] = str(shown.get("retry_after", RETRY_AFTER_SECONDS))
    if shown["status"] == 401:
        headers["WWW-Authenticate"] = _CHALLENGES.get(shown["code"], _CHALLENGE)
    return Response(
        encode(shown), shown["status"], headers=headers, media_type="application/problem+json"
    )


async def on_chat_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ChatError)
    if STATUS[error.code] >= 500:
        log.warning("%s: %s", error.code, error.__cause__ or error)
    return problem_reply(problem_of(error, request.url.path, request_id_of(request.scope)))


async def on_http_exception(request: Request, error: Exception) -> Response:
    """What the framework itself refuses: no such route, no such method, too large a body."""
    assert isinstance(error, HTTPException)
    code = {404: "not_found", 405: "method_not_allowed", 413: "payload_too_large"}.get(
        error.status_code, "bad_request"
    )
    reply = problem_reply(
        problem(
            code,
            error.detail,
            instance=request.url.path,
            request_id=request_id_of(request.scope),
        )
    )
    reply.headers.update(error.headers or {})
    if error.status_code == 405:
        reply.headers["Allow"] = ", ".join(_methods(request))
    return reply


def _methods(request: Request) -> list[str]:
    """Of all routes for the same thing as the first that fits, which the framework names alone.
    `/api/files/upload` would fit to `/api/files/{file_id}` too, but is no file."""
    routes = [route for route in request.app.routes if isinstance(route, Route)]
    fitting = [route for route in routes if route.path_regex.match(request.url.path)]
    same = [route for route in routes if _shape(route) in map(_shape, fitting[:1])]
    return sorted({method for route in same for method in route.methods or ()})


def _shape(route: Route) -> str:
    """Its path, however its parameters are called."""
    return re.sub(r"{\w+(:\w+)?}", "{}", route.path)


async def on_fault(request: Request, _: Exception) -> Response:
    """A fault of ours: the traceback is in the log, the client learns how to name it."""
    return problem_reply(
        problem(
            "internal_error",
            "Something went wrong on our side.",
            instance=request.url.path,
            request_id=request_id_of(request.scope),
        )
    )
