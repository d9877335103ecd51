import time
from collections import defaultdict, deque
from typing import Final

from limits.aio.storage import MemoryStorage

from domain.limits import Rate, Standing
from infrastructure.sliding_window import SlidingWindow

MOST_KEYS: Final = 200_000
"""Of rates over the same time: some 60 MB. Beyond that the oldest is forgotten: who comes from so
many addresses is not held up by counting them."""


class MemoryRateLimiter:
    """Also right in one of several processes: each counts its own part there."""

    def __init__(self) -> None:
        self._window: Final = SlidingWindow(_Storage())

    async def hit(self, rate: Rate, key: str) -> Standing:
        return await self._window.hit(rate, key)

    async def look(self, rate: Rate, key: str) -> Standing:
        return await self._window.look(rate, key)


class _Storage(MemoryStorage):
    """The library's own looks at all keys there are with each hit, for some to forget: with 100,000
    of them that holds up the loop for 15 ms. Here each hit forgets two at most."""

    def __init__(self) -> None:
        super().__init__()
        self._ages: Final[defaultdict[float, deque[tuple[float, str]]]] = defaultdict(deque)
        """By how long keys are kept: when each of them is over, the oldest first."""

    async def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        count = await self.get(key) + amount  # which forgets it, if it is over
        self.storage[key] = count
        if key not in self.expirations:
            over = self.expirations[key] = time.time() + expiry
            self._ages[expiry].append((over, key))
        for ages in self._ages.values():
            self._forget_some(ages)
        return count

    async def decr(self, key: str, amount: int = 1) -> int:
        count = self.storage[key] = max(0, await self.get(key) - amount)
        return count

    def _forget_some(self, ages: deque[tuple[float, str]]) -> None:
        for _ in range(2):
            if not ages or (ages[0][0] > time.time() and len(ages) <= MOST_KEYS):
                return
            over, key = ages.popleft()
            if self.expirations.get(key) == over:  # else it began anew meanwhile
                del self.expirations[key]
                self.storage.pop(key, None)
