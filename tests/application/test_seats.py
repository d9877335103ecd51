from contextlib import AsyncExitStack

import pytest

from application.seats import Seats, Transport
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


async def test_they_are_counted_by_how_the_answer_is_heard() -> None:
    seats = Seats(MemorySeats(), 1)
    assert set(seats.by_transport.values()) == {0}
    async with seats.of(ADA, Transport.WEBSOCKET), seats.of(BOB):
        with pytest.raises(TooManyStreams):
            await seats.of(ADA, Transport.SSE).__aenter__()
        assert seats.by_transport == {"sse": 0, "websocket": 1, "waiting": 1}
        seats.change(Transport.WAITING, Transport.SSE)
        assert seats.by_transport == {"sse": 1, "websocket": 1, "waiting": 0}
        seats.change(Transport.SSE, Transport.WAITING)
    assert set(seats.by_transport.values()) == {0}
