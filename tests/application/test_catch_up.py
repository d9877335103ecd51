"""Whatever a subscriber has seen, whatever is still held: afterwards it knows what all know."""

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from application.catch_up import catch_up, seen_text, terminal_event, with_progress
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
from domain.generation import Failure, Generation, GenerationStatus, Progress
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


# What the database saved of a running answer


@dataclass
class Broken:
    """A running answer whose events could not all be stored, as it was told under one fence: at
    some of its places there is a snapshot that the database may have saved."""

    told: list[Entry]

    def text(self, position: Position | None) -> str:
        """What is known of it at this place."""
        seen = [entry for entry in self.told if position is not None and entry.position <= position]
        return Reader().read(seen).texts.get(GENERATION, "")

    def saved(self, position: Position) -> Generation:
        return replace(
            a_generation(fence=2, attempt=2),
            progress=Progress(position.seq, self.text(position), ""),
        )


@st.composite
def broken_answers(draw: st.DrawFn) -> Broken:
    told = [Entry(Position(2, 0), Reset(GENERATION, 2, "model", "why?", "takeover"))]
    text = ""
    for seq in range(1, draw(st.integers(1, 12)) + 1):
        event: StreamEvent = Chunk(GENERATION, draw(st.text("abc", min_size=1, max_size=2)))
        if isinstance(event, Chunk) and draw(st.booleans()):
            event = Snapshot(GENERATION, 2, text, recovered=False)
        text += event.text if isinstance(event, Chunk) else ""
        told.append(Entry(Position(2, seq), event))
    return Broken(told)


def snapshots(entries: list[Entry]) -> list[int]:
    return [n for n, entry in enumerate(entries) if isinstance(entry.event, Snapshot)]


@given(broken_answers(), st.data())
def test_what_was_saved_is_an_event_like_any_other(answer: Broken, data: st.DataObject) -> None:
    """The stream holds the beginning, or what came after a snapshot, or both, or nothing; whoever
    comes with any cursor is told nothing wrong, and all that is known."""
    told = answer.told
    broke = data.draw(st.integers(0, len(told)), "the first that could not be stored")
    later = [n for n in snapshots(told) if n >= broke]
    went_on = data.draw(st.sampled_from([*later, len(told)]), "stored again from")
    held = (told[:broke] if data.draw(st.booleans(), "not lost") else []) + told[went_on:]
    saved = data.draw(st.sampled_from(later)) if later else None
    generation = a_generation(fence=2, attempt=2)
    if saved is not None:
        generation = answer.saved(told[saved].position)
    merged = with_progress(held, [generation])
    top = merged[-1].position if merged else None
    seen = seen_text(generation, merged)
    assert (seen.position if seen else None) == top
    assert (seen.text if seen else "") == answer.text(top)
    for count in range(len(told) + 1):
        reader = Reader().read(told[:count])
        reader.read(catch_up(reader.position or ORIGIN, ORIGIN, merged, [generation]))
        known = max(filter(None, (reader.position, top)), default=None)
        assert reader.position == known
        assert reader.texts.get(GENERATION, "") == answer.text(known)
    newcomer = Reader().read(catch_up(None, ORIGIN, merged, [generation]))
    assert (newcomer.position, newcomer.texts.get(GENERATION, "")) == (top, answer.text(top))


def saved_at(seq: int) -> Generation:
    return replace(a_generation(), progress=Progress(seq, "so it is", "hm"))


def test_what_was_saved_is_shown_in_place_of_what_was_lost() -> None:
    held = [
        Entry(Position(1, 0), Start(GENERATION, 1, "model", "why?")),
        Entry(Position(1, 1), Chunk(GENERATION, "so ")),
    ]
    merged = with_progress(held, [saved_at(5)])
    shown = catch_up(Position(1, 0), ORIGIN, merged, [saved_at(5)])
    assert [entry.position.seq for entry in shown] == [1, 5]
    assert shown[1].event == Snapshot(GENERATION, 1, "so it is", "hm", recovered=False)
    assert catch_up(Position(1, 5), ORIGIN, merged, [saved_at(5)]) == []
    assert catch_up(Position(1, 7), ORIGIN, merged, [saved_at(5)]) == []


def test_what_is_held_in_the_place_of_what_was_saved_stays() -> None:
    held = [Entry(Position(1, 5), Snapshot(GENERATION, 1, "so it is", "hm", recovered=False))]
    assert with_progress(held, [saved_at(5)]) is held


@pytest.mark.parametrize("event", [Chunk(GENERATION, "end"), Done(GENERATION, None, "stop", None)])
def test_what_was_saved_is_not_followed_by_what_does_not_come_right_after_it(
    event: StreamEvent,
) -> None:
    held = [Entry(Position(1, 7), event)]
    assert with_progress(held, [saved_at(5)]) is held
    assert len(with_progress(held, [saved_at(6)])) == 2


def test_of_one_of_which_nothing_was_saved_nothing_is_added() -> None:
    held = [Entry(Position(1, 0), Start(GENERATION, 1, "model", "why?"))]
    assert with_progress(held, [a_generation()]) is held
