from contextlib import ExitStack

import pytest

from application.seats import Seats
from domain.identifiers import UserId
from domain.limits import TooManyStreams

ADA, BOB = UserId(1), UserId(2)


def test_each_user_has_so_many_seats_and_who_leaves_makes_room() -> None:
    seats = Seats(2)
    with ExitStack() as stay:
        stay.enter_context(seats.of(ADA))
        with seats.of(ADA):
            with pytest.raises(TooManyStreams) as refused:
                stay.enter_context(seats.of(ADA))
            assert refused.value.retry_after is not None
            with seats.of(BOB):
                pass
        with seats.of(ADA):
            pass
    assert not seats.taken


def test_a_seat_is_left_by_who_fails() -> None:
    seats = Seats(1)
    with pytest.raises(ValueError, match="so"), seats.of(ADA):
        raise ValueError("so")
    assert not seats.taken


def test_without_a_limit_there_is_always_a_seat() -> None:
    seats = Seats()
    with ExitStack() as stay:
        for _ in range(1_000):
            stay.enter_context(seats.of(ADA))
