"""An event stream that goes away, and comes back with or without what it held."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from application.events import Entry
from application.ports import PositionLost, Subscription
from domain.identifiers import SessionId
from domain.position import Position
from infrastructure.memory.event_stream import MemoryEventStream


class FrailStream(MemoryEventStream):
    """While it is away nothing is stored and nothing can be read. What a writer could not store
    breaks it, as its promise is, and nothing more of it is stored until it begins anew."""

    def __init__(self) -> None:
        super().__init__()
        self._away = False
        self._views: set[_FrailView] = set()
        self.remembers = False
        """Whether subscribers can read what was held when it went away."""
        self.most_at_once = 256
        """Entries in a batch."""

    @property
    def away(self) -> bool:
        return self._away

    def leave(self) -> None:
        self._away = True
        self._stir()

    def come_back(self) -> None:
        self._away = False
        self._stir()

    def lose(self) -> None:
        """All that it held."""
        for log in self._logs.values():
            log.entries.clear()

    def lose_positions(self, floor: Position) -> None:
        """Who waits is told that it has lost its position, and then nothing can be read."""
        for view in self._views:
            view.lost = floor
        self.leave()

    def append(self, session_id: SessionId, entries: Sequence[Entry]) -> bool:
        if self._away:
            return False
        log, first = self._log(session_id), entries[0].position
        lost = not log.entries and first.seq > 0
        stored = super().append(session_id, entries)
        if stored and lost:
            log.floor = max(log.floor, Position(first.fence, first.seq - 1))
        return stored

    async def held(self, session_id: SessionId) -> Sequence[Entry]:
        return () if self._away else await super().held(session_id)

    @asynccontextmanager
    async def subscribe(self, session_id: SessionId) -> AsyncIterator[Subscription]:
        async with super().subscribe(session_id) as inner:
            view = _FrailView(self, inner)
            self._views.add(view)
            try:
                yield view
            finally:
                self._views.discard(view)

    def _stir(self) -> None:
        for view in self._views:
            view.stir()


class _FrailView:
    def __init__(self, stream: FrailStream, inner: Subscription) -> None:
        self._stream = stream
        self._inner = inner
        self._woken = False
        self._stirred = asyncio.Event()
        self.lost: Position | None = None

    async def held(self, since: Position | None = None) -> Sequence[Entry]:
        hidden = self._stream.away and not self._stream.remembers
        return () if hidden else await self._inner.held(since)

    async def next(self, after: Position) -> Sequence[Entry]:
        while not self._woken:
            self._stirred.clear()
            if self.lost is not None:
                lost, self.lost = PositionLost(self.lost), None
                raise lost
            if self._stream.away:
                await self._stirred.wait()
            elif entries := await self._inner.next(after):
                return entries[: self._stream.most_at_once]
        self._woken = False
        return ()

    def wake(self) -> None:
        self._woken = True
        self.stir()

    def stir(self) -> None:
        self._stirred.set()
        self._inner.wake()
