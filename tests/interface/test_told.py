"""What a client is told of an answer, if nothing that was told can be taken back."""

from collections.abc import Sequence
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from application.events import (
    Chunk,
    Done,
    Failed,
    Reasoning,
    Reset,
    Snapshot,
    Start,
    Stopped,
    StreamEvent,
)
from domain.generation import Failure
from interface.dialects.told import NOTHING, AnswerRestarted, Mark, Told
from tests.builders import GENERATION

START = Start(GENERATION, 1, "scripted", "why?")
RESET = Reset(GENERATION, 2, "scripted", "why?", "worker_lost")
DONE = Done(GENERATION, None, "stop", None)
STOPPED = Stopped(GENERATION, None, None)
FAILED = Failed(GENERATION, None, Failure("upstream_error", "It broke off."), None)

KINDS: Final = ("chunk", "snapshot", "reasoning")
OPENINGS: Final[st.SearchStrategy[StreamEvent]] = st.sampled_from([RESET, START])
ENDS: Final[st.SearchStrategy[StreamEvent]] = st.sampled_from([DONE, STOPPED, FAILED])


def chunk(text: str) -> Chunk:
    return Chunk(GENERATION, text)


def snapshot(text: str) -> Snapshot:
    return Snapshot(GENERATION, 1, text)


def heard(told: Told, *events: StreamEvent) -> list[str]:
    return [told.hear(event) for event in events]


def restarts(told: Told, event: StreamEvent) -> None:
    with pytest.raises(AnswerRestarted) as raised:
        told.hear(event)
    assert GENERATION in str(raised.value)


@st.composite
def attempts(draw: st.DrawFn, text: str) -> Sequence[StreamEvent]:
    """An answer of this text as one follows it: each attempt is cut into pieces in its own way, all
    but the last break off somewhere, and at any moment there may be a snapshot of all so far."""
    events: list[StreamEvent] = []
    ends = draw(st.lists(st.integers(0, len(text)), max_size=3))
    for end in [*ends, len(text)]:
        events.append(draw(OPENINGS) if events else START)
        cuts = draw(st.lists(st.tuples(st.integers(0, end), st.sampled_from(KINDS)), max_size=5))
        at = 0
        for to, kind in [*sorted(cuts), (end, "chunk")]:
            if kind == "snapshot":
                events.append(snapshot(text[:to]))
            elif kind == "reasoning":
                events.append(Reasoning(GENERATION, "hm"))
                to = at
            else:
                events.append(chunk(text[at:to]))
            at = to
    return [*events, draw(ENDS)]


@settings(deadline=None)
@given(st.data(), st.text(alphabet="ab\u00e9\U0001f419", max_size=12))
def test_what_was_told_is_the_text_however_it_comes(data: st.DataObject, text: str) -> None:
    events = data.draw(attempts(text))
    assert "".join(heard(Told(), *events)) == text


@settings(deadline=None)
@given(st.data(), st.text(alphabet="ab\u00e9\U0001f419", max_size=12))
def test_what_was_told_is_the_text_however_often_one_is_cut_and_goes_on_elsewhere(
    data: st.DataObject, text: str
) -> None:
    """Each time the answer is followed from its beginning, and only the mark is brought along."""
    mark, said = NOTHING, ""
    for _ in range(data.draw(st.integers(0, 3))):
        told = Told(mark)
        events = data.draw(attempts(text))
        for event in events[: data.draw(st.integers(0, len(events)))]:
            said += told.hear(event)
        kept = Mark.parse(str(told.mark))
        assert kept is not None
        mark = kept
        assert mark.characters == len(said)
    said += "".join(heard(Told(mark), *data.draw(attempts(text))))
    assert said == text


def test_a_piece_is_new_as_it_comes() -> None:
    assert heard(Told(), START, chunk("So "), chunk("far"), DONE) == ["", "So ", "far", ""]


def test_a_repeated_text_is_not_told_again_and_what_goes_beyond_it_is() -> None:
    told = Told()
    assert heard(told, START, chunk("So "), chunk("far"), RESET) == ["", "So ", "far", ""]
    assert heard(told, chunk("So f"), chunk("ar, so"), chunk(" good")) == ["", ", so", " good"]
    assert told.hear(DONE) == ""


def test_a_shorter_attempt_in_between_takes_nothing_back() -> None:
    told = Told()
    heard(told, START, chunk("So far"), RESET, chunk("So"), RESET)
    assert heard(told, chunk("So"), chunk(" far."), DONE) == ["", ".", ""]


@pytest.mark.parametrize("event", [chunk("Sad"), snapshot("Sad"), snapshot("Sad, so good")])
def test_another_text_is_noticed_at_once(event: StreamEvent) -> None:
    told = Told()
    heard(told, START, chunk("So far"), RESET)
    restarts(told, event)


@pytest.mark.parametrize("end", [DONE, STOPPED])
def test_an_answer_that_ends_before_what_was_told_came_out_differently(end: StreamEvent) -> None:
    told = Told()
    heard(told, START, chunk("So far"), RESET, chunk("So"))
    restarts(told, end)
    told = Told()
    heard(told, START, chunk("So far"))
    heard(told, snapshot("So"))
    restarts(told, end)


def test_one_that_fails_before_it_is_told_as_failed() -> None:
    told = Told()
    assert heard(told, START, chunk("So far"), RESET, FAILED) == ["", "So far", "", ""]


def test_of_a_text_that_another_told_the_end_is_compared() -> None:
    told = Told()
    heard(told, START, chunk("So far"))
    same, longer, other = Told(told.mark), Told(told.mark), Told(told.mark)
    assert heard(same, snapshot("So"), chunk(" far"), DONE) == ["", "", ""]
    assert heard(longer, START, chunk("So far, so good")) == ["", ", so good"]
    assert other.hear(chunk("So ba")) == ""
    restarts(other, chunk("d"))
    for end in (DONE, STOPPED):
        short = Told(told.mark)
        short.hear(snapshot("So"))
        restarts(short, end)
    assert Told(told.mark).hear(FAILED) == ""


@pytest.mark.parametrize(
    "text", ["", "3", "3-", "-1-0011223344556677", "03-0011223344556677", "3-00112233445566", "3-x"]
)
def test_what_is_no_mark_is_none(text: str) -> None:
    assert Mark.parse(text) is None


def test_a_long_answer_of_small_pieces_is_kept_as_it_comes() -> None:
    """Joined each time it would be 20 GB; the suite's limit for what hangs would end it."""
    told = Told()
    for _ in range(200_000):
        told.hear(chunk("x"))
        _ = told.mark
    assert told.mark.characters == 200_000
