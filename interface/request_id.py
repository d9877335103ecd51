"""One id for a request: taken from the client or made, told to it, and written to the log."""

import logging
import re
from secrets import token_hex
from time import perf_counter
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger("llm_chat.access")

_ACCEPTED: Final = re.compile(r"[A-Za-z0-9._-]{8,64}")
_PROBES: Final = frozenset({"/healthz", "/readyz"})
"""Asked every few seconds by whoever watches; only an answer that is not well is worth a line."""
_ANSWERS: Final = frozenset({"http.response.start", "websocket.http.response.start"})
"""The latter to a WebSocket that is refused before it is one."""


def request_id_of(scope: Scope) -> str:
    request_id: str = scope["request_id"]
    return request_id


class RequestIds:
    """ASGI middleware. The log line has no query string: that may hold a ticket."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if _ACCEPTED.fullmatch(given) else token_hex(8)
        scope["request_id"] = request_id
        began = perf_counter()
        name = scope.get("method", "WEBSOCKET"), scope["path"]

        async def send_with_id(message: Message) -> None:
            if message["type"] in _ANSWERS:
                message["headers"] = [
                    *message.get("headers", ()),
                    (b"x-request-id", request_id.encode()),
                ]
                milliseconds = (perf_counter() - began) * 1000
                status = message["status"]
                well = status < 400 and scope["path"] in _PROBES
                level = logging.DEBUG if well else logging.INFO
                log.log(level, "%s %r %d %.1fms %s", *name, status, milliseconds, request_id)
            elif message["type"] == "websocket.accept":
                log.info("%s %r accepted %s", *name, request_id)
            await send(message)

        await self._app(scope, receive, send_with_id)
