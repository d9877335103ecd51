"""What all rate limiters promise."""

import asyncio

import pytest

from application.ports import RateLimiter
from domain.limits import Rate, Standing

RATE = Rate("guesses", 3, 300)
OTHER = Rate("others", 1, 300)


async def test_so_many_are_allowed_and_no_more(rate_limiter: RateLimiter) -> None:
    stood = [await rate_limiter.hit(RATE, "ada") for _ in range(5)]
    assert [each.allowed for each in stood] == [True, True, True, False, False]
    assert [each.remaining for each in stood] == [2, 1, 0, 0, 0]
    assert all(0 < each.reset_seconds <= RATE.seconds for each in stood)


async def test_who_looks_is_not_counted(rate_limiter: RateLimiter) -> None:
    looked = [await rate_limiter.look(RATE, "ada") for _ in range(5)]
    assert [(each.allowed, each.remaining) for each in looked] == [(True, 3)] * 5
    for _ in range(3):
        await rate_limiter.hit(RATE, "ada")
    looked = [await rate_limiter.look(RATE, "ada")]
    assert [(each.allowed, each.remaining) for each in looked] == [(False, 0)]


async def test_each_is_counted_by_itself(rate_limiter: RateLimiter) -> None:
    for _ in range(4):
        await rate_limiter.hit(RATE, "ada")
    assert (await rate_limiter.hit(RATE, "bob")).remaining == 2
    assert (await rate_limiter.hit(OTHER, "ada")).allowed


@pytest.mark.parametrize("key", ["", " ", "a/b", "{a}", "a:b*", "\u4f60", "\0\n", "x" * 500])
async def test_a_key_is_any_text(rate_limiter: RateLimiter, key: str) -> None:
    assert (await rate_limiter.hit(OTHER, key)).allowed
    assert not (await rate_limiter.hit(OTHER, key)).allowed
    assert (await rate_limiter.hit(OTHER, f"{key}.")).allowed


async def test_at_once_no_more_are_allowed_than_one_after_the_other(
    rate_limiter: RateLimiter,
) -> None:
    hits: list[Standing] = await asyncio.gather(*(rate_limiter.hit(RATE, "ada") for _ in range(20)))
    assert sum(each.allowed for each in hits) == RATE.amount


async def test_what_is_over_is_forgotten(rate_limiter: RateLimiter) -> None:
    soon = Rate("soon", 1, 1)
    assert (await rate_limiter.hit(soon, "ada")).allowed
    standing = await rate_limiter.hit(soon, "ada")
    assert not standing.allowed
    async with asyncio.timeout(60):
        while not standing.allowed:  # the window before counts by and by less
            await asyncio.sleep(standing.reset_seconds)
            standing = await rate_limiter.look(soon, "ada")
