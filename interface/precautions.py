"""What every answer says beside itself: what browsers are not to do with it, and how who asks
stands with what is counted."""

from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from interface.rates import told_in

PRECAUTIONS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)

_ANSWERS: Final = frozenset({"http.response.start", "websocket.http.response.start"})


class Precautions:
    """ASGI middleware. What an answer says itself of one of these stays."""

    def __init__(self, app: ASGIApp) -> None:
        self._app: Final = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_care(message: Message) -> None:
            if message["type"] in _ANSWERS:
                headers = list(message.get("headers", ()))
                said = {name.lower() for name, _ in headers}
                headers += [header for header in PRECAUTIONS if header[0] not in said]
                message["headers"] = [*headers, *told_in(scope)]
            await send(message)

        await self._app(scope, receive, send_with_care)
