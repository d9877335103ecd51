"""What one process holds of one session's stream."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from operator import attrgetter
from typing import Final, Protocol

from application.events import Entry, Opening, Snapshot, Terminal
from application.ports import PositionLost
from domain.identifiers import GenerationId
from domain.position import ORIGIN, Position

_MOST_AT_ONCE: Final = 256  # entries handed to a subscriber in one batch
_KEEP_RUNNING_SECONDS: Final = 3600.0
_KEEP_ENDED_SECONDS: Final = 600.0

_NEVER: Final = Position(2**63, 0)  # no fence is so high

_position = attrgetter("position")


class Listener(Protocol):
    def notify(self) -> None:
        """There is something new."""


class EventLog:
    """One session's entries, and who waits for more. All after `floor` is held."""

    __slots__ = ("changed_at", "entries", "floor", "subscriptions")

    def __init__(self, now: float) -> None:
        self.entries: list[Entry] = []
        self.floor = ORIGIN
        self.changed_at = now
        self.subscriptions: set[Listener] = set()

    @property
    def top(self) -> Position:
        """Nothing up to here is taken once more."""
        return self.entries[-1].position if self.entries else self.floor

    def append(self, entries: Sequence[Entry], now: float) -> None:
        """What comes right after `top`."""
        self.entries.extend(entries)
        for index in range(len(self.entries) - 1, len(self.entries) - len(entries) - 1, -1):
            if isinstance(self.entries[index].event, Opening):  # the newest one
                self._trim(index)
                break
        self.changed_at = now
        self.notify()

    def replace(self, entries: Sequence[Entry], floor: Position, now: float) -> None:
        """What was held is not continued; this is."""
        self.entries = list(entries)
        self.floor = floor
        self.changed_at = now
        self.notify()

    def notify(self) -> None:
        for subscription in self.subscriptions:
            subscription.notify()

    def after(self, position: Position) -> Sequence[Entry]:
        if position < self.floor:
            raise PositionLost(self.floor)
        if not self.entries or self.entries[-1].position <= position:
            return ()
        start = bisect_right(self.entries, position, key=_position)
        return self.entries[start : start + _MOST_AT_ONCE]

    def since(self, position: Position | None) -> Sequence[Entry]:
        """From there on, this one included; all without one."""
        if position is None:
            return self.entries
        return self.entries[bisect_left(self.entries, position, key=_position) :]

    def end(self) -> None:
        """Nothing is held, nothing will be, and who waits for more is told that it is lost."""
        self.entries.clear()
        self.floor = _NEVER
        self.notify()

    @property
    def is_over(self) -> bool:
        """It was ended."""
        return self.floor == _NEVER

    def expire(self, now: float) -> None:
        if not self.entries:
            return
        keep = _KEEP_ENDED_SECONDS if self.ended else _KEEP_RUNNING_SECONDS
        if now - self.changed_at >= keep:
            self.cut(len(self.entries))

    def forget_ended(self) -> int:
        """How many entries were let go of."""
        count = len(self.entries) if self.ended else 0
        if count:
            self.cut(count)
        return count

    @property
    def ended(self) -> bool:
        return bool(self.entries) and isinstance(self.entries[-1].event, Terminal)

    def _trim(self, opening: int) -> None:
        """Keep what is held of the answer that begins with this entry, and the one before it."""
        generation_id = self.entries[opening].event.generation_id
        previous: GenerationId | None = None
        for index in range(opening - 1, -1, -1):
            held = self.entries[index].event.generation_id
            if held not in (generation_id, previous):
                if previous is not None:
                    self.cut(index + 1)
                    return
                previous = held

    def cut(self, count: int) -> None:
        """Let go of the oldest ones."""
        self.floor = self.entries[count - 1].position
        del self.entries[:count]


def may_begin(entry: Entry) -> bool:
    """Whether it may come after a gap, or first of all: nothing before it is missed."""
    return entry.position.seq == 0 or isinstance(entry.event, Snapshot)
