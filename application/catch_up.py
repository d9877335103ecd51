"""What a subscriber missed, from what the stream holds and what the database keeps.

Pure functions: a subscriber comes with a cursor, the stream with its held entries, the database
with generations in the order of their fences, and out comes what to show next.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Final

from application.events import (
    Chunk,
    Done,
    Entry,
    Failed,
    Opening,
    Reasoning,
    Snapshot,
    Stopped,
    Terminal,
)
from domain.generation import Failure, Generation, GenerationStatus
from domain.position import ORIGIN, Position

_position: Final = attrgetter("position")


@dataclass(frozen=True, slots=True)
class Seen:
    """The text of an attempt as the stream shows it, up to and including `position`."""

    position: Position
    attempt: int
    text: str
    reasoning: str


def with_progress(held: Sequence[Entry], generations: Sequence[Generation]) -> Sequence[Entry]:
    """What is held, and in its place what the database saved of a running answer while its events
    could not be stored. The stream may hold that very snapshot as well, or later events."""
    for generation in generations:
        if generation.progress is not None:
            held = _with_saved(held, generation)
    return held


def _with_saved(held: Sequence[Entry], generation: Generation) -> Sequence[Entry]:
    saved = generation.progress
    assert saved is not None
    place = Position(generation.fence, saved.seq)
    index = bisect_left(held, place, key=_position)
    before, after = held[:index], held[index:]
    if after and (after[0].position == place or _is_cut_off(after[0], place, generation)):
        return held
    text = Snapshot(generation.id, generation.attempt, saved.text, saved.reasoning, recovered=False)
    return [*before, Entry(place, text), *after]


def _is_cut_off(entry: Entry, from_: Position, generation: Generation) -> bool:
    """Whether what came between is not held any more, and was a part of its text."""
    if entry.position == from_.next or entry.event.generation_id != generation.id:
        return False
    return not isinstance(entry.event, Opening | Snapshot)


def seen_text(generation: Generation, held: Sequence[Entry]) -> Seen | None:
    """What is held of a generation's latest attempt; None if not from the attempt's beginning."""
    position, attempt = ORIGIN, 0
    text: list[str] = []
    reasoning: list[str] = []
    for entry in held:
        event = entry.event
        if event.generation_id != generation.id or isinstance(event, Terminal):
            continue
        position = entry.position
        match event:
            case Chunk():
                text.append(event.text)
            case Reasoning():
                reasoning.append(event.text)
            case Snapshot():
                attempt, text, reasoning = event.attempt, [event.text], [event.reasoning]
            case _:
                attempt, text, reasoning = event.attempt, [], []
    return Seen(position, attempt, "".join(text), "".join(reasoning)) if attempt else None


def catch_up(
    cursor: Position | None,
    end: Position,
    held: Sequence[Entry],
    generations: Sequence[Generation],
) -> list[Entry]:
    """What to show a subscriber with this cursor, in order.

    `end` is where the session's last ended answer ended, `generations` are the claimed ones from
    the cursor's fence on, or without a cursor those to be shown whole. `held`, which is to be
    `with_progress`, may be newer than both. Without a cursor an answer is shown as one snapshot.
    With one it is exactly what came after; where that is no longer held, a snapshot that says so.
    """
    after = end if cursor is None else cursor
    known = {generation.id for generation in generations}
    newest = max([end.fence, after.fence, *(generation.fence for generation in generations)])
    shown: list[Entry] = []
    for generation in generations:
        own = [entry for entry in held if entry.event.generation_id == generation.id]
        if cursor is not None:
            shown += _missed(cursor, generation, own)
        elif generation.end is None:
            shown += _running(generation, own)
        else:
            shown += _whole(generation, generation.end, recovered=True)
    # The others are later ones; or, if nothing after the cursor is missing, what one that goes on
    # has said between the ends of those that were stopped behind it. What has ended and is not
    # known any more was cleared.
    whole = cursor is not None and bool(held) and held[0].position <= cursor
    ended = {entry.event.generation_id for entry in held if isinstance(entry.event, Terminal)}
    shown += [
        entry
        for entry in held
        if entry.event.generation_id not in known
        and (
            entry.position.fence > newest
            or (whole and entry.position > after and entry.event.generation_id not in ended)
        )
    ]
    # One that stepped aside for another's end has events on both sides of it.
    return sorted(shown, key=_position)


def _running(generation: Generation, own: Sequence[Entry]) -> Iterator[Entry]:
    seen = seen_text(generation, own)
    if seen is None:
        return
    yield _snapshot(generation, seen, recovered=True)
    if isinstance(own[-1].event, Terminal):
        yield own[-1]


def _missed(after: Position, generation: Generation, own: Sequence[Entry]) -> Iterator[Entry]:
    later = [entry for entry in own if entry.position > after]
    if len(later) == len(own) and later and not isinstance(later[0].event, Opening | Snapshot):
        later = []  # something between the cursor and the first of them is no longer held
        if generation.end is None and (seen := seen_text(generation, own)):
            yield _snapshot(generation, seen, recovered=False)
    yield from later
    reached = later[-1].position if later else after
    if generation.end is None or generation.end <= reached:
        return
    if generation.end == reached.next:
        yield Entry(generation.end, terminal_event(generation))
    else:
        yield from _whole(generation, generation.end, recovered=False)


def _snapshot(generation: Generation, seen: Seen, *, recovered: bool) -> Entry:
    shown = Snapshot(generation.id, seen.attempt, seen.text, seen.reasoning, recovered)
    return Entry(seen.position, shown)


def _whole(generation: Generation, end: Position, *, recovered: bool) -> Iterator[Entry]:
    if end.seq > 0:  # else it was stopped before it began
        text = Snapshot(generation.id, generation.attempt, generation.text, recovered=recovered)
        yield Entry(Position(end.fence, end.seq - 1), text)
    yield Entry(end, terminal_event(generation))


def terminal_event(generation: Generation, title: str | None = None) -> Terminal:
    """The terminal event of an ended generation, as the database tells it."""
    match generation.status:
        case GenerationStatus.COMPLETED:
            return Done(
                generation.id,
                generation.answer_id,
                generation.finish_reason,
                generation.usage,
                title,
            )
        case GenerationStatus.STOPPED:
            return Stopped(generation.id, generation.answer_id, generation.usage)
        case _:
            failure = generation.failure or Failure("internal_error", "The answer failed.")
            return Failed(generation.id, generation.answer_id, failure, generation.request_id)
