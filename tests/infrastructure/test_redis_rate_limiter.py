"""What many processes count together, and each by itself while Redis is away."""

from redis.asyncio import Redis

from domain.limits import Rate
from infrastructure.redis.client import close_client, open_client
from infrastructure.redis.keys import Keys
from infrastructure.redis.rate_limiter import RedisRateLimiter
from tests.contracts.conftest import some_keys

RATE = Rate("guesses", 3, 300)
NOBODY = "redis://127.0.0.1:1"


async def test_two_processes_count_together(redis_url: str) -> None:
    keys = some_keys()
    one, two = open_client(redis_url, timeout=1), open_client(redis_url, timeout=1)
    limiters = RedisRateLimiter(one, keys), RedisRateLimiter(two, keys)
    try:
        stood = [await limiters[turn % 2].hit(RATE, "ada") for turn in range(5)]
    finally:
        await close_client(one)
        await close_client(two)
    assert [each.allowed for each in stood] == [True, True, True, False, False]


async def test_what_is_counted_is_gone_from_redis_by_itself(redis_url: str) -> None:
    keys = some_keys()
    client = open_client(redis_url, timeout=1)
    assert isinstance(client, Redis)
    try:
        await RedisRateLimiter(client, keys).hit(RATE, "ada")
        (held,) = await client.keys(f"{keys.rates}*")
        assert 0 < await client.ttl(held) <= 2 * RATE.seconds
    finally:
        await close_client(client)


async def test_without_redis_each_process_still_limits() -> None:
    client = open_client(NOBODY, timeout=0.5)
    limiter = RedisRateLimiter(client, Keys("test"))
    stood = [await limiter.hit(RATE, "ada") for _ in range(5)]
    assert [each.allowed for each in stood] == [True, True, True, False, False]
    assert not (await limiter.look(RATE, "ada")).allowed
    await close_client(client)


async def test_a_redis_that_is_known_to_be_away_is_not_asked(redis_url: str) -> None:
    client = open_client(redis_url, timeout=1)
    keys = some_keys()
    away = RedisRateLimiter(client, keys, is_out=lambda: True)
    there = RedisRateLimiter(client, keys)
    try:
        for _ in range(4):
            await away.hit(RATE, "ada")
        assert (await there.look(RATE, "ada")).remaining == RATE.amount
    finally:
        await close_client(client)


async def test_after_a_failure_redis_is_asked_again_in_a_while(redis_url: str) -> None:
    now = 0.0
    keys = some_keys()
    client, nobody = open_client(redis_url, timeout=1), open_client(NOBODY, timeout=0.5)
    limiter = RedisRateLimiter(client, keys, clock=lambda: now)
    broken = RedisRateLimiter(nobody, keys, clock=lambda: now)
    try:
        assert (await broken.hit(RATE, "ada")).remaining == 2
        broken._shared = limiter._shared  # type: ignore[misc] # Redis is there again
        assert (await broken.hit(RATE, "ada")).remaining == 1
        now = 1.5
        assert (await broken.hit(RATE, "ada")).remaining == 2
    finally:
        await close_client(client)
        await close_client(nobody)
