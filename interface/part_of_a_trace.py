from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from application.ports import Spans


class PartOfATrace:
    """ASGI middleware: what a request makes is part of the trace that it says it comes from. A
    socket says nothing: its messages have nothing in common but their way."""

    def __init__(self, app: ASGIApp, spans: Spans) -> None:
        self._app = app
        self._spans = spans

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        parent = Headers(scope=scope).get("traceparent") if scope["type"] == "http" else None
        if parent is None:
            await self._app(scope, receive, send)
            return
        with self._spans.within(parent):
            await self._app(scope, receive, send)
