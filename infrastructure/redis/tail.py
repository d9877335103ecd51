"""What a process holds of a session that somebody follows here."""

import asyncio
from collections.abc import Sequence
from typing import Final

from application.events import Entry, Opening
from domain.position import ORIGIN, Position
from infrastructure.event_log import EventLog

_MOST_ENTRIES: Final = 2_000
"""Whoever is further behind reads from Redis."""

_KEEP_ENDED_SECONDS: Final = 10.0


class Tail:
    """The newest entries of the stream, which all that follow it here share.

    It `is_known` as soon as there is a position from which on nothing is missed. It `is_behind`
    when something was published that does not follow what is held: Redis is to be read then.
    """

    __slots__ = (
        "is_behind", "is_known", "is_listening", "is_refreshing", "log", "reading", "whole",
    )  # fmt: skip

    def __init__(self, now: float) -> None:
        self.log: Final = EventLog(now)
        self.is_known = False
        self.is_listening = False
        self.is_behind = False
        self.is_refreshing = False
        self.reading: asyncio.Task[Sequence[Entry]] | None = None
        """Of the whole stream: whoever wants it meanwhile waits for the same."""
        self.whole: tuple[Entry, ...] | None = None
        """The whole stream as it was read lately; what came after that is in the log."""

    @property
    def read_up_to(self) -> Position | None:
        """What comes after it is to be read; None if all is."""
        return self.log.top if self.is_known else None

    def hear(self, previous: Position | None, entries: Sequence[Entry], now: float) -> None:
        """What was published. `previous` is what Redis held before it, if anything."""
        log = self.log
        if log.is_over:
            return
        if not self.is_known:
            log.floor = previous or before(entries[0])
            self.is_known = True
        fresh = [entry for entry in entries if entry.position > log.top]
        if not fresh:
            return
        if (
            len(fresh) < len(entries)
            or previous == log.top
            or _begins_anew(previous, fresh[0], log)
        ):
            if isinstance(fresh[0].event, Opening):
                self.whole = None  # the oldest of it is let go of
            log.append(fresh, now)
        else:
            self.is_behind = True

    def read(self, floor: Position, entries: Sequence[Entry], now: float) -> None:
        """What Redis holds: all after `floor`, or all after `top` if that is higher."""
        log = self.log
        if log.is_over:
            return
        fresh = [entry for entry in entries if entry.position > log.top]
        if not self.is_known:
            log.replace((), entries[-1].position if entries else ORIGIN, now)
            self.is_known = True
        elif fresh and (floor <= log.top or _begins_anew(None, fresh[0], log)):
            log.append(fresh, now)
        elif fresh:
            log.replace(fresh, floor, now)

    def held(self) -> Sequence[Entry] | None:
        """All that the stream holds, if that is known without reading it."""
        whole, log = self.whole, self.log
        if whole is None or self.is_behind or not self.is_listening or not whole:
            return None
        top = whole[-1].position
        return (*whole, *log.since(top.next)) if log.floor <= top else None

    def since(self, position: Position) -> Sequence[Entry] | None:
        """What is held from this position on, if it is known and held here."""
        if self.is_behind or not (self.is_known and self.is_listening):
            return None
        entries = self.log.since(position)
        return entries if entries and entries[0].position == position else None

    def shorten(self, now: float) -> None:
        """Redis has it too."""
        log = self.log
        self.whole = None
        if log.ended and now - log.changed_at >= _KEEP_ENDED_SECONDS:
            log.cut(len(log.entries))
        elif len(log.entries) > _MOST_ENTRIES:
            log.cut(len(log.entries) - _MOST_ENTRIES // 2)


def before(first: Entry) -> Position:
    """From where on nothing is missed in a stream that begins with this entry, if it is not known
    what was before it. An answer that begins follows what its session had before."""
    fence, seq = first.position
    if seq == 0 and isinstance(first.event, Opening):
        return Position(fence - 1, 0)
    return Position(fence, seq - 1)


def _begins_anew(previous: Position | None, first: Entry, log: EventLog) -> bool:
    """The stream was empty or had expired, and the next answer makes it again: nothing was missed
    between."""
    fence, seq = first.position
    opens = seq == 0 and isinstance(first.event, Opening)
    return previous is None and opens and (fence == log.top.fence + 1 or log.top == ORIGIN)
