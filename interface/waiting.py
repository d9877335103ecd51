"""Waiting within a request for what takes long."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from starlette.requests import Request
from starlette.types import Receive

CLIENT_LEFT: Final = 499
"""The status of what nobody hears; the log shows it, as that of nginx does."""

T = TypeVar("T")


async def unless_left(request: Request, wanted: Coroutine[Any, Any, T]) -> T | None:
    """What is wanted, or None as soon as the client is gone. The body must have been read."""
    waiting = asyncio.ensure_future(wanted)
    leaving = asyncio.create_task(_left(request.receive))
    try:
        await asyncio.wait((waiting, leaving), return_when=asyncio.FIRST_COMPLETED)
        return await waiting if waiting.done() else None
    finally:
        waiting.cancel()
        leaving.cancel()


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
