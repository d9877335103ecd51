"""All that a process has of Redis: one client for commands, one connection to listen."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

from infrastructure.redis.cache import RedisCache
from infrastructure.redis.client import Client, close_client, open_client
from infrastructure.redis.event_stream import RedisEventStream
from infrastructure.redis.keys import Keys
from infrastructure.redis.rate_limiter import RedisRateLimiter
from infrastructure.redis.request_queue import RedisRequestQueue
from infrastructure.redis.seats import RedisSeats
from infrastructure.redis.subscriber import Subscriber
from infrastructure.redis.wake_ups import RedisWakeUps

COMMAND_SECONDS: Final = 0.5
"""How long a command may take. Nothing that people wait for depends on it."""

_START_SECONDS: Final = 1.0
"""How long a start waits for Redis before it goes on without."""


@dataclass(frozen=True, slots=True)
class RedisLink:
    client: Client
    subscriber: Subscriber
    queue: RedisRequestQueue
    stream: RedisEventStream
    wake_ups: RedisWakeUps
    cache: RedisCache
    rate_limiter: RedisRateLimiter
    seats: RedisSeats


@asynccontextmanager
async def open_redis(url: str, keys: Keys) -> AsyncIterator[RedisLink]:
    """Also while Redis is out: what depends on it says then that it is away."""
    async with AsyncExitStack() as closing:
        client = open_client(url, timeout=COMMAND_SECONDS)
        closing.push_async_callback(close_client, client)
        subscriber = Subscriber(client)
        closing.push_async_callback(subscriber.close)
        queue = RedisRequestQueue(url, prefix=keys.prefix, is_out=lambda: subscriber.away)
        closing.push_async_callback(queue.close)
        subscriber.on_return.append(queue.notice_return)
        stream = RedisEventStream(client, subscriber, keys)
        closing.push_async_callback(stream.close)
        stream.start()
        await subscriber.start(_START_SECONDS)
        wake_ups = RedisWakeUps(client, subscriber, keys)
        cache = RedisCache(client, keys, is_out=lambda: subscriber.away)
        rate_limiter = RedisRateLimiter(client, keys, is_out=lambda: subscriber.away)
        seats = RedisSeats(client, keys, is_out=lambda: subscriber.away)
        closing.push_async_callback(seats.close)
        yield RedisLink(client, subscriber, queue, stream, wake_ups, cache, rate_limiter, seats)
