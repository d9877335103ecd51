"""What all that know of taken seats promise."""

import asyncio

from application.ports import TakenSeats
from domain.identifiers import UserId

ADA, BOB = UserId(1), UserId(2)


async def test_so_many_may_be_taken_and_no_more(seats: TakenSeats) -> None:
    taken = [await seats.take(ADA, 2) for _ in range(4)]
    assert [each is not None for each in taken] == [True, True, False, False]
    assert await seats.take(BOB, 2) is not None


async def test_who_leaves_makes_room_for_one(seats: TakenSeats) -> None:
    taken = [await seats.take(ADA, 3) for _ in range(3)]
    for each in taken:
        assert each is not None
        seats.leave(ADA, each)
        assert await seats.take(ADA, 3) is not None
        assert await seats.take(ADA, 3) is None


async def test_at_once_no_more_are_taken_than_one_after_the_other(seats: TakenSeats) -> None:
    taken = await asyncio.gather(*(seats.take(ADA, 5) for _ in range(20)))
    assert sum(each is not None for each in taken) == 5


async def test_a_renewed_seat_is_still_taken_and_one_that_was_left_is_not(
    seats: TakenSeats,
) -> None:
    first, second = [await seats.take(ADA, 2) for _ in range(2)]
    assert first is not None
    assert second is not None
    await seats.renew()
    assert await seats.take(ADA, 2) is None
    seats.leave(ADA, first)
    await seats.renew()
    assert await seats.take(ADA, 2) is not None
    assert await seats.take(ADA, 2) is None
