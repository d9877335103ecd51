from contextlib import AsyncExitStack

import pytest

from application.seats import Seats
from domain.identifiers import UserId
from domain.limits import TooManyStreams
from infrastructure.memory.seats import MemorySeats

ADA, BOB = UserId(1), UserId(2)


async def test_each_user_has_so_many_seats_and_who_leaves_makes_room() -> None:
    taken = MemorySeats()
    seats = Seats(taken, 2)
    async with AsyncExitStack() as stay:
        await stay.enter_async_context(seats.of(ADA))
        async with seats.of(ADA):
            with pytest.raises(TooManyStreams) as refused:
                await stay.enter_async_context(seats.of(ADA))
            assert refused.value.retry_after is not None
            async with seats.of(BOB):
                pass
        async with seats.of(ADA):
            pass
    assert not taken.taken


async def test_a_seat_is_left_by_who_fails() -> None:
    taken = MemorySeats()
    with pytest.raises(ValueError, match="so"):
        async with Seats(taken, 1).of(ADA):
            raise ValueError("so")
    assert not taken.taken


async def test_without_a_limit_there_is_always_a_seat() -> None:
    taken = MemorySeats()
    async with AsyncExitStack() as stay:
        for _ in range(1_000):
            await stay.enter_async_context(Seats(taken).of(ADA))
