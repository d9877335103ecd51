"""Counting within a window that moves on with time, by the library `limits`: what was counted in
the window before this one counts by the part of it that is not over yet."""

import time
from typing import Final

from limits import RateLimitItemPerSecond
from limits.aio.storage import Storage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from domain.limits import Rate, Standing


class SlidingWindow:
    """Raises whatever its storage raises."""

    def __init__(self, storage: Storage) -> None:
        self._counter: Final = SlidingWindowCounterRateLimiter(storage)

    async def hit(self, rate: Rate, key: str) -> Standing:
        allowed = await self._counter.hit(_item(rate), key)
        return await self._standing(rate, key, allowed)

    async def look(self, rate: Rate, key: str) -> Standing:
        return await self._standing(rate, key, await self._counter.test(_item(rate), key))

    async def _standing(self, rate: Rate, key: str, allowed: bool) -> Standing:
        reset_at, remaining = await self._counter.get_window_stats(_item(rate), key)
        resets = reset_at - time.time()
        if resets <= 0 and remaining < rate.amount:
            # In the very moment in which a window begins the library takes its end for now.
            resets = rate.seconds
        return Standing(allowed, remaining, max(0.0, resets))


def _item(rate: Rate) -> RateLimitItemPerSecond:
    return RateLimitItemPerSecond(rate.amount, rate.seconds, rate.name)
