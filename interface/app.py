"""The web application: routes, errors, and what every request passes."""

from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from domain.errors import ChatError
from interface.dialects.openai_errors import OpenAIErrors
from interface.ending import CutAtTheEnd
from interface.replies import on_chat_error, on_fault, on_http_exception
from interface.request_id import RequestIds


def build_app(routes: Sequence[BaseRoute]) -> ASGIApp:
    handlers = {
        ChatError: on_chat_error,
        HTTPException: on_http_exception,
        Exception: on_fault,
    }
    starlette = Starlette(routes=routes, exception_handlers=handlers)
    # Ids outside of all else, so that also the answer to a fault of ours has one.
    return RequestIds(OpenAIErrors(CutAtTheEnd(starlette)))
