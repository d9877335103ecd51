import asyncio
import logging
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any, Final

from limits.aio.storage import RedisStorage
from limits.aio.storage.redis.redispy import RedispyBridge

from domain.limits import Rate, Standing
from infrastructure.memory.rate_limiter import MemoryRateLimiter
from infrastructure.redis.client import FAILURES, Client, said_by
from infrastructure.redis.keys import Keys
from infrastructure.sliding_window import SlidingWindow

log = logging.getLogger(__name__)

_ANSWER_SECONDS: Final = 0.2
_PAUSE_SECONDS: Final = 1.0
"""After a failure Redis is not asked for so long: by then it is known whether it is away."""


class RedisRateLimiter:
    """While Redis is away each process counts by itself, from nothing: so together they may allow
    as many times as much as there are processes, but never more than that."""

    def __init__(
        self,
        client: Client,
        keys: Keys,
        is_out: Callable[[], bool] = bool,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """`is_out` tells what is known of Redis otherwise."""
        self._shared: Final = SlidingWindow(_Storage(client, keys.rates))
        self._local: Final = MemoryRateLimiter()
        self._is_out: Final = is_out
        self._clock: Final = clock
        self._quiet_until = 0.0

    async def hit(self, rate: Rate, key: str) -> Standing:
        shared = await self._ask(lambda: self._shared.hit(rate, key))
        return shared or await self._local.hit(rate, key)

    async def look(self, rate: Rate, key: str) -> Standing:
        shared = await self._ask(lambda: self._shared.look(rate, key))
        return shared or await self._local.look(rate, key)

    async def _ask(self, ask: Callable[[], Awaitable[Standing]]) -> Standing | None:
        if self._is_out() or self._clock() < self._quiet_until:
            return None
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                return await ask()
        except FAILURES as error:
            self._quiet_until = self._clock() + _PAUSE_SECONDS
            log.info("counting in this process alone: %s", said_by(error))
            return None


class _Storage(RedisStorage):
    """Over our client, which may also be a cluster's: both keys of a counter have one hash tag."""

    def __init__(self, client: Client, prefix: str) -> None:
        self._client: Final = client
        super().__init__("redis://", implementation="redispy", key_prefix=prefix)

    def configure_bridge(self) -> None:
        assert isinstance(self.bridge, RedispyBridge)
        self.bridge.storage = self._client
        own: Any = self._client  # as the library's own, but for its types
        self.bridge.connection_getter = lambda _: own
