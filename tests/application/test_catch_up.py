"""Whatever a subscriber has seen, whatever is still held: afterwards it knows what all know."""

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from application.catch_up import catch_up, seen_text, terminal_event
from application.events import (
    Chunk,
    Done,
    Entry,
    Failed,
    Reasoning,
    Reset,
    Snapshot,
    Start,
    Stopped,
    StreamEvent,
    Terminal,
)
from domain.generation import Failure, Generation, GenerationStatus
from domain.identifiers import GenerationId
from domain.position import ORIGIN, Position
from tests.builders import GENERATION, a_generation


@dataclass
class Reader:
    """A client that follows the protocol to the letter, and its complaints."""

    texts: dict[GenerationId, str] = field(default_factory=dict)
    ended: list[GenerationId] = field(default_factory=list)
    position: Position | None = None

    def read(self, entries: list[Entry]) -> "Reader":
        for entry in entries:
            assert self.position is None or entry.position > self.position
            self.position = entry.position
            self._read(entry.event)
        return self

    def _read(self, event: StreamEvent) -> None:
        name = event.generation_id
        match event:
            case Chunk():
                self.texts[name] += event.text
            case Snapshot():
                self.texts[name] = event.text
            case Start() | Reset():
                self.texts[name] = ""
            case Done() | Stopped() | Failed():
                assert name not in self.ended
                self.ended.append(name)


@dataclass
class History:
    """All that ever happened in a session, and what the database says of it."""

    entries: list[Entry]
    generations: list[Generation]

    @property
    def end(self) -> Position:
        return max((g.end for g in self.generations if g.end), default=ORIGIN)

    def since(self, cursor: Position | None) -> list[Generation]:
        running = [g for g in self.generations if not g.ended]
        if cursor is None:
            return running
        return [g for g in self.generations if g.fence >= max(cursor.fence, 1)] or running


@st.composite
def histories(draw: st.DrawFn) -> History:
    """Up to four answers of up to three attempts; the last may be still running."""
    entries: list[Entry] = []
    generations: list[Generation] = []
    fence = 0
    count = draw(st.integers(1, 4))
    for number in range(count):
        name = GenerationId(f"gen_{number}")
        runs = number == count - 1 and draw(st.booleans())
        text, seq = "", 0
        attempts = draw(st.integers(1, 3))
        for attempt in range(1, attempts + 1):
            fence += 1
            text, seq = "", 0
            first = Start(name, 1, "model", "why?")
            again = Reset(name, attempt, "model", "why?", "takeover")
            entries.append(Entry(Position(fence, 0), first if attempt == 1 else again))
            for piece in draw(st.lists(st.text("abc", min_size=1, max_size=2), max_size=3)):
                seq += 1
                text += piece
                entries.append(Entry(Position(fence, seq), Chunk(name, piece)))
        generation = a_generation(name, fence=fence, attempt=attempts)
        if not runs:
            generation = replace(
                generation, status=GenerationStatus.COMPLETED, last_seq=seq + 1, text=text
            )
            entries.append(Entry(Position(fence, seq + 1), terminal_event(generation)))
        generations.append(generation)
    return History(entries, generations)


def everything(history: History) -> Reader:
    return Reader().read(history.entries)


def opening_of(history: History, index: int) -> int:
    """Streams are let go of in whole answers: where the one of this entry begins."""
    name = history.entries[index].event.generation_id
    return next(i for i, e in enumerate(history.entries) if e.event.generation_id == name)


@given(histories(), st.data())
def test_whoever_comes_back_ends_with_what_all_know(history: History, data: st.DataObject) -> None:
    seen = data.draw(st.integers(0, len(history.entries)), "entries seen")
    dropped = data.draw(st.integers(0, len(history.entries)), "entries no longer held")
    held = history.entries[opening_of(history, dropped) :] if dropped < len(history.entries) else []
    reader = Reader().read(history.entries[:seen])
    cursor = reader.position
    reader.read(catch_up(cursor or ORIGIN, history.end, held, history.since(cursor or ORIGIN)))
    known = everything(history)
    assert reader.ended == known.ended
    for name in known.ended:
        assert reader.texts[name] == known.texts[name]
    running = history.generations[-1]
    if not running.ended and held:
        assert reader.texts[running.id] == known.texts[running.id]


@given(histories(), st.data())
def test_what_is_held_is_shown_event_by_event(history: History, data: st.DataObject) -> None:
    seen = data.draw(st.integers(0, len(history.entries)))
    cursor = history.entries[seen - 1].position if seen else ORIGIN
    shown = catch_up(cursor, history.end, history.entries, history.since(cursor))
    assert shown == history.entries[seen:]


@given(histories())
def test_a_newcomer_gets_the_running_answer_as_one_snapshot_and_nothing_else(
    history: History,
) -> None:
    shown = catch_up(None, history.end, history.entries, history.since(None))
    running = history.generations[-1]
    if running.ended:
        assert shown == []
    else:
        assert [entry.position for entry in shown] == [history.entries[-1].position]
        snapshot = shown[0].event
        assert isinstance(snapshot, Snapshot)
        assert snapshot.recovered
        assert snapshot.text == everything(history).texts[running.id]


@given(histories(), st.data())
def test_a_stream_that_is_newer_than_the_database_loses_nothing(
    history: History, data: st.DataObject
) -> None:
    """The database was read a moment before the stream: it knew fewer answers."""
    known_then = data.draw(st.integers(0, len(history.generations)), "answers known then")
    then = History(history.entries, history.generations[:known_then])
    for cursor in (ORIGIN, None):
        reader = Reader()
        if cursor is None:
            reader.texts = {g.id: "" for g in then.generations}
        reader.read(catch_up(cursor, then.end, history.entries, then.since(cursor)))
        ended = everything(history).ended
        assert reader.ended == (ended if cursor else ended[known_then:])


@given(histories())
def test_a_database_that_is_newer_than_the_stream_tells_the_end(history: History) -> None:
    """The end is committed, its event is not written yet."""
    *held, last = history.entries
    if not isinstance(last.event, Terminal):
        return
    cursor = held[-1].position
    shown = catch_up(cursor, history.end, held, history.since(cursor))
    assert [(entry.position, entry.event) for entry in shown] == [(last.position, last.event)]


def test_lost_events_are_told_by_a_snapshot_that_says_so() -> None:
    ended = replace(
        a_generation(status=GenerationStatus.COMPLETED, last_seq=5, text="all of it"), fence=3
    )
    shown = catch_up(Position(3, 2), Position(3, 5), [], [ended])
    assert [entry.position for entry in shown] == [Position(3, 4), Position(3, 5)]
    assert shown[0].event == Snapshot(GENERATION, 1, "all of it", recovered=False)
    assert isinstance(shown[1].event, Done)


def test_a_newcomer_to_an_answer_that_has_just_ended_is_told_so() -> None:
    """The stream is newer: the database was read while the answer was running."""
    held = [
        Entry(Position(1, 0), Start(GENERATION, 1, "model", "why?")),
        Entry(Position(1, 1), Chunk(GENERATION, "so")),
        Entry(Position(1, 2), Done(GENERATION, None, "stop", None)),
    ]
    shown = catch_up(None, ORIGIN, held, [a_generation()])
    assert shown[0].event == Snapshot(GENERATION, 1, "so")
    assert shown[0].position == Position(1, 1)
    assert shown[1:] == held[2:]


def test_the_end_of_a_text_whose_middle_is_lost_is_not_shown_as_its_continuation() -> None:
    held = [Entry(Position(1, 7), Chunk(GENERATION, "the end"))]
    assert catch_up(Position(1, 2), ORIGIN, held, [a_generation()]) == []
    ended = a_generation(status=GenerationStatus.COMPLETED, last_seq=8, text="all of it")
    shown = catch_up(Position(1, 2), Position(1, 8), held, [ended])
    assert shown[0].event == Snapshot(GENERATION, 1, "all of it", recovered=False)
    assert [entry.position.seq for entry in shown] == [7, 8]


def test_a_cursor_at_the_end_has_missed_nothing() -> None:
    ended = a_generation(status=GenerationStatus.COMPLETED, last_seq=5, text="all")
    assert catch_up(Position(1, 5), Position(1, 5), [], [ended]) == []


def test_reasoning_is_part_of_what_was_seen() -> None:
    held = [
        Entry(Position(1, 0), Start(GENERATION, 1, "model", "why?")),
        Entry(Position(1, 1), Reasoning(GENERATION, "hm")),
        Entry(Position(1, 2), Chunk(GENERATION, "so")),
    ]
    seen = seen_text(a_generation(), held)
    assert seen is not None
    assert (seen.position, seen.text, seen.reasoning) == (Position(1, 2), "so", "hm")


def test_what_is_not_held_from_its_beginning_is_not_taken_for_the_whole() -> None:
    held = [Entry(Position(1, 7), Chunk(GENERATION, "the end"))]
    assert seen_text(a_generation(), held) is None


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (GenerationStatus.COMPLETED, Done),
        (GenerationStatus.STOPPED, Stopped),
        (GenerationStatus.FAILED, Failed),
    ],
)
def test_each_ending_has_its_event(status: GenerationStatus, kind: type[Terminal]) -> None:
    failure = Failure("code", "detail")
    ended = replace(a_generation(status=status, last_seq=1), failure=failure)
    assert isinstance(terminal_event(ended), kind)
