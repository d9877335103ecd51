"""Seats that many processes know of together, and each of its own while Redis is away."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack

import pytest
from redis.asyncio import Redis

from domain.identifiers import UserId
from infrastructure.redis import seats as redis_seats
from infrastructure.redis.client import Client, close_client, open_client
from infrastructure.redis.keys import Keys
from infrastructure.redis.seats import RedisSeats
from tests.contracts.conftest import some_keys

ADA = UserId(1)
KEYS = some_keys()


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Client]:
    async with AsyncExitStack() as closing:
        opened = open_client(redis_url, timeout=1)
        closing.push_async_callback(close_client, opened)
        yield opened


@pytest.fixture
def keys() -> Keys:
    return some_keys()


async def test_two_processes_know_of_each_others_seats(client: Client, keys: Keys) -> None:
    one, two = RedisSeats(client, keys), RedisSeats(client, keys)
    taken = [await (one, two)[turn % 2].take(ADA, 3) for turn in range(4)]
    assert [each is not None for each in taken] == [True, True, True, False]
    assert taken[0] is not None
    one.leave(ADA, taken[0])
    await one.close()
    assert await two.take(ADA, 3) is not None
    assert await one.take(ADA, 3) is None


async def test_the_seats_of_a_process_that_died_are_free_in_a_while(
    client: Client, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_seats, "SEAT_MS", 300)
    dead, living = RedisSeats(client, keys), RedisSeats(client, keys)
    assert await dead.take(ADA, 2) is not None
    assert await living.take(ADA, 2) is not None
    assert await living.take(ADA, 2) is None
    async with asyncio.timeout(60):
        while await living.take(ADA, 2) is None:
            await living.renew()
            await asyncio.sleep(0.05)
    await living.renew()
    assert await living.take(ADA, 2) is None  # for its first one is there all the while


async def test_nothing_is_left_in_redis(client: Client, keys: Keys) -> None:
    assert isinstance(client, Redis)
    seats = RedisSeats(client, keys)
    taken = [await seats.take(ADA, 5) for _ in range(3)]
    assert 0 < await client.pttl(keys.seats(ADA)) <= redis_seats.SEAT_MS
    for each in taken:
        assert each is not None
        seats.leave(ADA, each)
    await seats.close()
    assert await client.keys(f"{keys.prefix}:*") == []


async def test_without_redis_each_process_counts_its_own() -> None:
    nobody = open_client("redis://127.0.0.1:1", timeout=0.5)
    seats = RedisSeats(nobody, KEYS)
    taken = [await seats.take(ADA, 2) for _ in range(3)]
    assert [each is not None for each in taken] == [True, True, False]
    assert taken[0] is not None
    seats.leave(ADA, taken[0])
    await seats.close()
    assert await seats.take(ADA, 2) is not None
    await close_client(nobody)


async def test_seats_that_were_taken_while_redis_was_away_are_known_when_it_is_back(
    client: Client, keys: Keys
) -> None:
    away = True
    one, two = RedisSeats(client, keys, is_out=lambda: away), RedisSeats(client, keys)
    for _ in range(2):
        assert await one.take(ADA, 2) is not None
    away = False
    await one.renew()
    assert await two.take(ADA, 2) is None


async def test_who_left_while_redis_was_away_is_gone_when_it_is_back(
    client: Client, keys: Keys
) -> None:
    away = False
    seats = RedisSeats(client, keys, is_out=lambda: away)
    for left in range(2):
        taken = await seats.take(ADA, 1)
        assert taken is not None
        away = True
        seats.leave(ADA, taken)
        await seats.close()
        away = False
        if left:
            await seats.renew()
            assert await RedisSeats(client, keys).take(ADA, 1) is not None


async def test_who_leaves_while_seats_are_renewed_is_gone(client: Client, keys: Keys) -> None:
    assert isinstance(client, Redis)

    class Leaving(RedisSeats):
        async def _sit(self, user: UserId, most: int, seats: Sequence[str]) -> int:
            for seat in seats if most > 5 else ():
                self.leave(user, seat)
            await self.close()  # so Redis is told of it before it is asked for them
            return await super()._sit(user, most, seats)

    seats = Leaving(client, keys)
    for _ in range(3):
        assert await seats.take(ADA, 5) is not None
    await seats.renew()
    await seats.close()
    assert await client.keys(f"{keys.prefix}:*") == []


async def test_who_gives_up_while_waiting_for_a_seat_has_none(client: Client, keys: Keys) -> None:
    seats = RedisSeats(client, keys)
    waiting = asyncio.create_task(seats.take(ADA, 1))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait((waiting,))
    assert waiting.cancelled()
    await seats.close()
    assert await seats.take(ADA, 1) is not None
