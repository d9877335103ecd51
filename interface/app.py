"""The web application: routes, errors, and what every request passes."""

from collections.abc import Sequence
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import BaseRoute

from domain.errors import ChatError
from interface.replies import on_chat_error, on_fault, on_http_exception
from interface.request_id import RequestIds

MAX_BODY_BYTES: Final = 1024 * 1024


def build_app(routes: Sequence[BaseRoute]) -> Starlette:
    return Starlette(
        routes=routes,
        middleware=[Middleware(RequestIds)],
        exception_handlers={
            ChatError: on_chat_error,
            HTTPException: on_http_exception,
            Exception: on_fault,
        },
        max_body_size=MAX_BODY_BYTES,
    )
