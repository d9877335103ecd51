"""One id for a request: taken from the client or made, told to it, and written to the log."""

import logging
import re
from secrets import token_hex
from time import perf_counter
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from application.log_context import only_about

log = logging.getLogger("llm_chat.access")

_ACCEPTED: Final = re.compile(r"[A-Za-z0-9._-]{8,64}")
_PROBES: Final = frozenset({"/healthz", "/readyz", "/metrics"})
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
        method, path = scope.get("method", "WEBSOCKET"), scope["path"]
        only_about(request_id=request_id)

        async def send_with_id(message: Message) -> None:
            if message["type"] in _ANSWERS:
                message["headers"] = [
                    *message.get("headers", ()),
                    (b"x-request-id", request_id.encode()),
                ]
                milliseconds = round((perf_counter() - began) * 1000, 1)
                status = message["status"]
                well = status < 400 and path in _PROBES
                log.log(
                    logging.DEBUG if well else logging.INFO,
                    "%s %r %d %.1fms %s",
                    *(method, path, status, milliseconds, request_id),
                    extra={
                        "method": method,
                        "path": path,
                        "status": status,
                        "milliseconds": milliseconds,
                    },
                )
            elif message["type"] == "websocket.accept":
                log.info(
                    "%s %r accepted %s",
                    *(method, path, request_id),
                    extra={"method": method, "path": path, "status": 101},
                )
            await send(message)

        await self._app(scope, receive, send_with_id)
        only_about()  # not if it fails: the server writes the traceback, in this very task
