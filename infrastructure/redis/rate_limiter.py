import logging
from collections.abc import Callable
from time import monotonic
from typing import Any, Final

from limits.aio.storage import RedisStorage
from limits.aio.storage.redis.redispy import RedispyBridge

from domain.limits import Rate, Standing
from infrastructure.memory.rate_limiter import MemoryRateLimiter
from infrastructure.redis.asking import Asking
from infrastructure.redis.client import Client
from infrastructure.redis.keys import Keys
from infrastructure.sliding_window import SlidingWindow

log = logging.getLogger(__name__)


class RedisRateLimiter:
    """While Redis is away each process counts by itself, from nothing: so in the window in which it
    goes they may allow once more for each process, but never more than that."""

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
        self._ask: Final = Asking(log, "counting in this process alone", is_out, clock)

    async def hit(self, rate: Rate, key: str) -> Standing:
        shared = await self._ask(lambda: self._shared.hit(rate, key))
        return shared or await self._local.hit(rate, key)

    async def look(self, rate: Rate, key: str) -> Standing:
        shared = await self._ask(lambda: self._shared.look(rate, key))
        return shared or await self._local.look(rate, key)


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
