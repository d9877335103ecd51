"""What a process makes of what Redis publishes and holds."""

import pytest

from application.events import Chunk, Done, Entry, Snapshot, Start
from application.ports import PositionLost
from domain.identifiers import GenerationId
from domain.position import ORIGIN, Position
from infrastructure.redis.tail import Tail


def start(fence: int) -> Entry:
    return Entry(Position(fence, 0), Start(_named(fence), 1, "model", "why?"))


def chunk(fence: int, seq: int) -> Entry:
    return Entry(Position(fence, seq), Chunk(_named(fence), "text"))


def done(fence: int, seq: int) -> Entry:
    return Entry(Position(fence, seq), Done(_named(fence), None, "stop", None))


def snapshot(fence: int, seq: int) -> Entry:
    return Entry(Position(fence, seq), Snapshot(_named(fence), 1, "text", recovered=False))


def _named(fence: int) -> GenerationId:
    return GenerationId(f"gen-{fence}")


ANSWER = [start(3), chunk(3, 1), chunk(3, 2), done(3, 3)]


@pytest.fixture
def tail() -> Tail:
    """Of a session that was followed when its third answer began."""
    made = Tail(0)
    made.hear(Position(2, 7), ANSWER[:2], 0)
    return made


def test_it_holds_what_it_hears_from_then_on(tail: Tail) -> None:
    tail.hear(Position(3, 1), ANSWER[2:], 0)
    assert tail.log.after(Position(2, 7)) == ANSWER
    assert tail.log.after(Position(3, 1)) == ANSWER[2:]
    assert not tail.is_behind
    with pytest.raises(PositionLost):
        tail.log.after(Position(2, 6))


@pytest.mark.parametrize("again", [1, 2])
def test_what_it_hears_twice_it_holds_once(tail: Tail, again: int) -> None:
    tail.hear(None if again == 2 else Position(3, 0), ANSWER[2 - again : 3], 0)
    assert tail.log.after(Position(2, 7)) == ANSWER[:3]
    assert not tail.is_behind


def test_a_gap_is_seen_and_nothing_after_it_is_held(tail: Tail) -> None:
    tail.hear(Position(3, 2), ANSWER[3:], 0)
    assert tail.is_behind
    assert tail.log.after(Position(2, 7)) == ANSWER[:2]


def test_a_gap_is_closed_by_what_is_read(tail: Tail) -> None:
    tail.hear(Position(3, 2), ANSWER[3:], 0)
    tail.read(Position(2, 7), ANSWER[2:], 0)
    assert tail.log.after(Position(2, 7)) == ANSWER


def test_of_several_answers_that_are_read_at_once_the_last_two_are_held(tail: Tail) -> None:
    tail.read(Position(2, 7), [*ANSWER[2:], start(4), done(4, 1), start(5), chunk(5, 1)], 0)
    assert [str(entry.position) for entry in tail.log.entries] == ["4-0", "4-1", "5-0", "5-1"]
    assert tail.log.floor == Position(3, 3)


def test_what_is_read_and_held_already_changes_nothing(tail: Tail) -> None:
    tail.read(ORIGIN, ANSWER[:1], 0)
    assert tail.log.after(Position(2, 7)) == ANSWER[:2]


def test_a_stream_that_was_made_anew_in_the_midst_of_an_answer_is_another_one(tail: Tail) -> None:
    tail.hear(None, [snapshot(3, 9)], 0)
    assert tail.is_behind
    tail.read(Position(3, 8), [snapshot(3, 9), chunk(3, 10)], 0)
    assert len(tail.log.after(Position(3, 8))) == 2
    with pytest.raises(PositionLost) as lost:
        tail.log.after(Position(3, 1))
    assert lost.value.floor == Position(3, 8)


def test_the_next_answer_goes_on_after_the_stream_expired(tail: Tail) -> None:
    tail.hear(Position(3, 1), ANSWER[2:], 0)
    tail.hear(None, [start(4)], 0)
    assert not tail.is_behind
    assert [entry.position for entry in tail.log.after(Position(3, 3))] == [Position(4, 0)]


@pytest.mark.parametrize("read", [True, False])
def test_an_answer_in_between_is_missed(tail: Tail, read: bool) -> None:
    tail.hear(Position(3, 1), ANSWER[2:], 0)
    if read:
        tail.read(Position(4, 0), [start(5)], 0)
    else:
        tail.hear(None, [start(5)], 0)
        assert tail.is_behind
        tail.read(Position(4, 0), [start(5)], 0)
    with pytest.raises(PositionLost):
        tail.log.after(Position(3, 3))


def test_a_session_that_had_nothing_begins_anywhere() -> None:
    tail = Tail(0)
    tail.read(ORIGIN, [], 0)
    tail.hear(None, [start(5)], 0)
    assert not tail.is_behind
    assert len(tail.log.after(Position(4, 2))) == 1


def test_after_what_was_read_to_begin_with_nothing_is_missed() -> None:
    tail = Tail(0)
    tail.read(Position(2, 7), ANSWER[:2], 0)
    assert tail.is_known
    tail.hear(Position(3, 1), ANSWER[2:], 0)
    assert tail.log.after(Position(3, 1)) == ANSWER[2:]
    with pytest.raises(PositionLost):
        tail.log.after(Position(3, 0))


def test_what_is_gone_stays_gone(tail: Tail) -> None:
    tail.log.end()
    tail.hear(Position(3, 1), ANSWER[2:], 0)
    tail.read(ORIGIN, ANSWER, 0)
    with pytest.raises(PositionLost):
        tail.log.after(Position(3, 1))
    assert tail.log.entries == []


def test_an_ended_answer_is_left_to_redis_after_a_while(tail: Tail) -> None:
    tail.hear(Position(3, 1), ANSWER[2:], 100)
    tail.shorten(109)
    assert len(tail.log.entries) == 4
    tail.shorten(110)
    assert tail.log.entries == []
    assert tail.log.top == Position(3, 3)
    tail.hear(Position(3, 3), [start(4)], 111)
    assert not tail.is_behind


def test_a_long_answer_is_left_to_redis_in_part(tail: Tail) -> None:
    tail.hear(Position(3, 1), [chunk(3, seq) for seq in range(2, 3_000)], 0)
    tail.shorten(0)
    assert len(tail.log.entries) == 1_000
    assert tail.log.top == Position(3, 2_999)
