import asyncio
from typing import Final

from application.ports import Request
from domain.errors import QueueUnavailable


class MemoryRequestQueue:
    """Holds at most `capacity` requests; what is refused then is found by the sweeper.

    If `alone`, who puts and who takes are in different processes, which share nothing but the
    database: then it is always away, and the sweeper finds everything.
    """

    def __init__(self, capacity: int = 10_000, *, alone: bool = False) -> None:
        self.away: Final = alone
        self._requests: Final[asyncio.Queue[Request]] = asyncio.Queue(capacity)

    async def put(self, request: Request) -> None:
        if self.away:
            return
        try:
            self._requests.put_nowait(request)
        except asyncio.QueueFull:
            raise QueueUnavailable("The queue is full.") from None

    async def take(self) -> Request:
        return await self._requests.get()

    async def done(self, request: Request) -> None:
        """Nothing to do: what was taken is not held any more."""
