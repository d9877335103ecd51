"""Counting in memory takes room and time only for what is not over."""

from collections.abc import Sequence
from typing import Any

import pytest

from domain.limits import Rate
from infrastructure.memory import rate_limiter
from infrastructure.memory.rate_limiter import MemoryRateLimiter

RATE, LONG = Rate("address", 2, 60), Rate("name", 2, 600)


def storage_of(limiter: MemoryRateLimiter) -> Any:
    return limiter._window._counter.storage


async def hit_all(limiter: MemoryRateLimiter, rate: Rate, keys: Sequence[str]) -> None:
    for key in keys:
        await limiter.hit(rate, key)


async def test_what_is_over_is_forgotten_by_and_by(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000_000.0
    monkeypatch.setattr("time.time", lambda: now)
    limiter = MemoryRateLimiter()
    storage = storage_of(limiter)
    await hit_all(limiter, RATE, [f"one-{number}" for number in range(50)])
    await limiter.hit(LONG, "ada")
    now += 121
    await hit_all(limiter, RATE, [f"two-{number}" for number in range(30)])
    assert len(storage.storage) == len(storage.expirations) == 31
    assert (await limiter.look(LONG, "ada")).remaining == 1
    assert not storage.locks


async def test_of_too_many_the_oldest_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limiter, "MOST_KEYS", 20)
    limiter = MemoryRateLimiter()
    await limiter.hit(LONG, "ada")
    await hit_all(limiter, RATE, [str(number) for number in range(50)])
    storage = storage_of(limiter)
    assert len(storage.storage) == len(storage.expirations) == 21
    assert (await limiter.look(RATE, "0")).remaining == 2
    assert (await limiter.look(RATE, "49")).remaining == 1
    assert (await limiter.look(LONG, "ada")).remaining == 1
