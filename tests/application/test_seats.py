from contextlib import ExitStack

import pytest

from application.seats import Seats, Transport
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


def test_they_are_counted_by_how_the_answer_is_heard() -> None:
    seats = Seats(1)
    assert set(seats.by_transport.values()) == {0}
    with seats.of(ADA, Transport.WEBSOCKET), seats.of(BOB):
        with pytest.raises(TooManyStreams):
            seats.of(ADA, Transport.SSE).__enter__()
        assert seats.by_transport == {"sse": 0, "websocket": 1, "waiting": 1}
        seats.change(Transport.WAITING, Transport.SSE)
        assert seats.by_transport == {"sse": 1, "websocket": 1, "waiting": 0}
        seats.change(Transport.SSE, Transport.WAITING)
    assert set(seats.by_transport.values()) == {0}
