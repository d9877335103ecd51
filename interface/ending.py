"""What becomes of requests that the process does not wait for when it ends."""

import asyncio
import logging
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from domain.errors import ChatError
from interface.problems import problem_of
from interface.replies import problem_reply
from interface.request_id import request_id_of

log = logging.getLogger(__name__)


class Restarting(ChatError):
    """The process is about to end; another one, or the next, takes over."""

    code = "restarting"

    def __init__(self) -> None:
        super().__init__("This process is about to end.")


class CutAtTheEnd:
    """ASGI middleware. Nobody cancels a request but the server, when its process ends: that is no
    fault of ours, and whoever waits for an answer may ask again."""

    def __init__(self, app: ASGIApp) -> None:
        self._app: Final = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        async def send_noting(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, send_noting)
        except asyncio.CancelledError:
            log.info("a request is cut: the process ends")
            if not begun:
                shown = problem_of(Restarting(), scope["path"], request_id_of(scope))
                await problem_reply(shown)(scope, receive, send)
