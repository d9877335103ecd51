from typing import Final

from limits.aio.storage import MemoryStorage

from domain.limits import Rate, Standing
from infrastructure.sliding_window import SlidingWindow


class MemoryRateLimiter:
    """Also right in one of several processes: each counts its own part there."""

    def __init__(self) -> None:
        self._window: Final = SlidingWindow(MemoryStorage())

    async def hit(self, rate: Rate, key: str) -> Standing:
        return await self._window.hit(rate, key)

    async def look(self, rate: Rate, key: str) -> Standing:
        return await self._window.look(rate, key)
