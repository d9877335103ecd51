import asyncio
from collections.abc import AsyncGenerator
from typing import Final

from domain.identifiers import SessionId

_MOST_KEPT: Final = 10_000
"""For a worker that is slow; what it misses its heartbeat finds."""


class MemoryWakeUps:
    def __init__(self) -> None:
        self._workers: Final[set[asyncio.Queue[SessionId]]] = set()

    async def wake(self, session_id: SessionId) -> None:
        for woken in self._workers:
            if not woken.full():
                woken.put_nowait(session_id)

    async def woken(self) -> AsyncGenerator[SessionId, None]:
        woken: asyncio.Queue[SessionId] = asyncio.Queue(_MOST_KEPT)
        self._workers.add(woken)
        try:
            while True:
                yield await woken.get()
        finally:
            self._workers.discard(woken)
