"""Waiting within a request for what takes long."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final, TypeVar

from starlette.requests import Request
from starlette.types import Receive

from application.visits import Leave
from domain.errors import InvalidToken

CLIENT_LEFT: Final = 499
"""The status of what nobody hears; the log shows it, as that of nginx does."""

T = TypeVar("T")

Visiting = Callable[[Leave], AbstractContextManager[object]]
"""As one of Visits: while it lasts, `leave` is called if who asks may not stay."""


async def unless_left(
    request: Request, wanted: Coroutine[Any, Any, T], visit: Visiting | None = None
) -> T | None:
    """What is wanted, or None as soon as the client is gone. The body must have been read. With a
    `visit` it raises InvalidToken as soon as who asks may not stay."""
    waiting = asyncio.ensure_future(wanted)
    leaving = asyncio.create_task(_left(request.receive))
    dismissed = asyncio.Event()
    dismissing = asyncio.create_task(dismissed.wait())
    try:
        with visit(dismissed.set) if visit else nullcontext():
            await asyncio.wait((waiting, leaving, dismissing), return_when=asyncio.FIRST_COMPLETED)
        if dismissed.is_set():
            raise InvalidToken
        return await waiting if waiting.done() else None
    finally:
        waiting.cancel()
        leaving.cancel()
        dismissing.cancel()


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
