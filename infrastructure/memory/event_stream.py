"""The event stream of one process. After a restart it is empty: the database answers then."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from contextvars import Context
from time import monotonic
from typing import Final

from application.events import Chunk, Entry, Reasoning, Snapshot, StreamEvent
from application.ports import Subscription
from domain.identifiers import SessionId
from domain.position import Position
from infrastructure.event_log import EventLog, may_begin
from infrastructure.joining import Piece, join

JOIN_SECONDS: Final = 0.02
"""How far apart flushes of one answer are at least; the first piece goes at once."""

_MOST_PENDING: Final = 64 * 1024  # characters
MOST_ENTRIES: Final = 300_000
"""Held for all sessions together before the oldest ended answers are forgotten: 100-300 MB."""

_EXPIRY_SECONDS: Final = 60.0
_REMEMBER_REMOVED_SECONDS: Final = 3600.0
"""No claim of before is so old."""


class MemoryEventStream:
    def __init__(
        self,
        clock: Callable[[], float] = monotonic,
        most_entries: int = MOST_ENTRIES,
        *,
        alone: bool = False,
    ) -> None:
        """If `alone`, readers and writers are in different processes, which share nothing but the
        database: then it is always away."""
        self._alone: Final = alone
        self._clock: Final = clock
        self._most_entries: Final = most_entries
        self._appended = 0
        self._logs: Final[dict[SessionId, EventLog]] = {}
        self._removed: Final[dict[SessionId, float]] = {}
        self._dirty: Final[set[_Writer]] = set()
        self._flush_timer: asyncio.TimerHandle | None = None
        self._expiry_timer: asyncio.TimerHandle | None = None

    @property
    def away(self) -> bool:
        return self._alone

    def writer(self, session_id: SessionId, fence: int) -> "_Writer":
        return _Writer(self, session_id, fence)

    @asynccontextmanager
    async def subscribe(self, session_id: SessionId) -> AsyncIterator[Subscription]:
        log = self._log(session_id)
        subscription = _Subscription(log)
        log.subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            log.subscriptions.discard(subscription)
            self._drop_if_unused(session_id)

    async def held(self, session_id: SessionId) -> Sequence[Entry]:
        log = self._logs.get(session_id)
        return tuple(log.entries) if log else ()

    async def remove(self, session_id: SessionId) -> None:
        self._removed[session_id] = self._clock()
        if self._expiry_timer is None:
            self._schedule_expiry()
        log = self._logs.get(session_id)
        if log is not None:
            log.end()
            self._drop_if_unused(session_id)

    def close(self) -> None:
        for timer in (self._flush_timer, self._expiry_timer):
            if timer is not None:
                timer.cancel()
        self._logs.clear()

    def expire(self) -> None:
        """Forget what nobody may want any more: running answers of an hour, ended ones of ten
        minutes without a new event."""
        now = self._clock()
        for session_id, log in list(self._logs.items()):
            log.expire(now)
            self._drop_if_unused(session_id)
        for session_id, since in list(self._removed.items()):
            if now - since < _REMEMBER_REMOVED_SECONDS:
                break  # they are in the order of their times
            del self._removed[session_id]

    def append(self, session_id: SessionId, entries: Sequence[Entry]) -> bool:
        """False, and nothing is stored, if a higher fence has written, or the place is taken."""
        if self.away or session_id in self._removed:
            return False
        log, first = self._log(session_id), entries[0]
        stored = first.position > log.top and (bool(log.entries) or may_begin(first))
        if stored:
            log.append(entries, self._clock())
            self._appended += len(entries)
            if self._appended > self._most_entries / 4:
                self._make_room()
            if self._expiry_timer is None:
                self._schedule_expiry()
        self._drop_if_unused(session_id)
        return stored

    def _make_room(self) -> None:
        """Forget the answers that ended longest ago, if too much is held."""
        self._appended = 0
        held = sum(len(log.entries) for log in self._logs.values())
        for session_id, log in sorted(self._logs.items(), key=lambda item: item[1].changed_at):
            if held <= self._most_entries:
                return
            held -= log.forget_ended()
            self._drop_if_unused(session_id)

    def flush_soon(self, writer: "_Writer") -> None:
        self._dirty.add(writer)
        if self._flush_timer is None:
            loop = asyncio.get_running_loop()
            self._flush_timer = loop.call_later(JOIN_SECONDS, self._flush_dirty)

    def _flush_dirty(self) -> None:
        self._flush_timer = None
        dirty = list(self._dirty)
        self._dirty.clear()
        for writer in dirty:
            writer.store_pending()

    def _log(self, session_id: SessionId) -> EventLog:
        log = self._logs.get(session_id)
        if log is None:
            log = self._logs[session_id] = EventLog(self._clock())
        return log

    def _drop_if_unused(self, session_id: SessionId) -> None:
        log = self._logs.get(session_id)
        if log is not None and not log.entries and not log.subscriptions:
            del self._logs[session_id]

    def _schedule_expiry(self) -> None:
        loop = asyncio.get_running_loop()
        # Not about the request in which it happens to begin: it goes on as long as there is one.
        self._expiry_timer = loop.call_later(_EXPIRY_SECONDS, self._expire_again, context=Context())

    def _expire_again(self) -> None:
        self.expire()
        self._expiry_timer = None
        if self._logs or self._removed:
            self._schedule_expiry()


class _Subscription:
    __slots__ = ("_log", "_waiter", "_woken")

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._waiter: asyncio.Future[None] | None = None
        self._woken = False

    async def held(self, since: Position | None = None) -> Sequence[Entry]:
        return tuple(self._log.since(since))

    async def next(self, after: Position) -> Sequence[Entry]:
        entries = self._log.after(after)
        if not entries and not self._woken:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
            entries = self._log.after(after)
        self._woken = False
        return entries

    def wake(self) -> None:
        self._woken = True
        self.notify()

    def notify(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class _Writer:
    __slots__ = ("_fenced", "_length", "_pending", "_quiet_until", "_session_id", "_stream", "top")

    def __init__(self, stream: MemoryEventStream, session_id: SessionId, fence: int) -> None:
        self._stream = stream
        self._session_id = session_id
        self._pending: list[Piece] = []
        self._length = 0
        self._quiet_until = 0.0
        self._fenced = False
        self.top = Position(fence, -1)

    def write(self, event: StreamEvent) -> None:
        if not isinstance(event, Chunk | Reasoning):
            self.store_pending()
            self._store((event,))
            return
        if not self._pending and monotonic() >= self._quiet_until:
            self._store((event,))
            self._quiet_until = monotonic() + JOIN_SECONDS
            return
        self._pending.append(event)
        self._length += len(event.text)
        if self._length >= _MOST_PENDING:
            self.store_pending()
        else:
            self._stream.flush_soon(self)

    @property
    def broken(self) -> bool:
        return self._fenced

    def restart(self, snapshot: Snapshot) -> Position:
        self._pending.clear()
        self._length = 0
        self._fenced = False
        self._store((snapshot,))
        return self.top

    def rise(self, fence: int) -> None:
        self._fenced = False
        self._pending.clear()
        self._length = 0
        self.top = Position(fence, -1)

    async def flush(self) -> Position:
        self.store_pending()
        return self.top

    def store_pending(self) -> None:
        if self._pending:
            self._store(join(self._pending))
            self._pending.clear()
            self._length = 0
            self._quiet_until = monotonic() + JOIN_SECONDS

    def _store(self, events: Sequence[StreamEvent]) -> None:
        fence, seq = self.top
        entries = [Entry(Position(fence, seq + n), event) for n, event in enumerate(events, 1)]
        self.top = entries[-1].position
        if not self._fenced:
            self._fenced = not self._stream.append(self._session_id, entries)
