"""The event stream that all processes share: each session's is a stream in Redis.

What is new comes by publish and subscribe, and says what was before it, so that a gap is seen;
gaps, and what lies further back, are read from the stream.
"""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any, Final

from redis.exceptions import NoScriptError

from application.events import Entry
from application.log_context import begin_apart
from application.ports import PositionLost, Subscription
from domain.identifiers import SessionId
from domain.position import Position
from infrastructure.redis.client import FAILURES, Client, cancel, said_by
from infrastructure.redis.event_writer import Flusher, RedisEventWriter
from infrastructure.redis.keys import Keys
from infrastructure.redis.scripts import REMOVE, REMOVED
from infrastructure.redis.stream_reader import StreamReader, published_entry
from infrastructure.redis.subscriber import Subscriber
from infrastructure.redis.tail import Tail

log = logging.getLogger(__name__)

_AT_ONCE: Final = 256
"""Entries handed to a subscriber in one batch; sessions read again in one trip."""

_UPKEEP_SECONDS: Final = 5.0
_RETRY_SECONDS: Final = 0.5
_MOST_REMOVALS: Final = 10_000
"""Kept for when Redis is back; what is more expires by itself."""


class RedisEventStream:
    def __init__(self, client: Client, subscriber: Subscriber, keys: Keys) -> None:
        self._client: Final = client
        self._subscriber: Final = subscriber
        self._keys: Final = keys
        self._flusher: Final = Flusher(client, keys, subscriber)
        self._tails: Final[dict[SessionId, Tail]] = {}
        self._reader: Final = StreamReader(client, keys, subscriber)
        self._removals: Final[dict[SessionId, None]] = {}
        self._tasks: Final[set[asyncio.Task[Any]]] = set()

    @property
    def away(self) -> bool:
        return self._subscriber.away or self._reader.fails

    @property
    def is_out(self) -> bool:
        """There is no use in asking."""
        return self._subscriber.away

    def start(self) -> None:
        self._flusher.start()
        self._subscriber.on_loss.append(self._lose)
        self._subscriber.on_return.append(self._return)
        self._begin(self._upkeep())

    async def close(self) -> None:
        await cancel(*self._tasks)
        await self._reader.close()
        await self._flusher.close()

    def writer(self, session_id: SessionId, fence: int) -> RedisEventWriter:
        return RedisEventWriter(self._flusher, session_id, fence)

    @asynccontextmanager
    async def subscribe(self, session_id: SessionId) -> AsyncIterator[Subscription]:
        tail = self._tails.get(session_id)
        if tail is None:
            tail = self._tails[session_id] = Tail(monotonic())
        subscription = _Subscription(self, session_id, tail)
        tail.log.subscriptions.add(subscription)
        try:
            if not tail.is_listening:
                channel = self._keys.channel(session_id)
                tail.is_listening = await self._subscriber.listen(
                    channel, self._hearing(session_id, tail)
                )
            yield subscription
        finally:
            tail.log.subscriptions.discard(subscription)
            tail.left_at = monotonic()

    async def held(self, session_id: SessionId) -> Sequence[Entry]:
        return await self.held_since(session_id, None)

    async def held_since(self, session_id: SessionId, since: Position | None) -> Sequence[Entry]:
        tail = self._tails.get(session_id)
        if tail is not None:
            if tail.log.is_over:
                return ()
            known = tail.held() if since is None else tail.since(since)
            if known is not None:
                return known
        # What else is shared here may begin in the midst of an answer: it is no substitute.
        if self.is_out:
            return ()
        try:
            if since is not None:
                _, entries = await self._reader.read(session_id, since.before)
            elif tail is None:
                _, entries = await self._reader.read(session_id, None)
            else:
                entries = await self._read_whole(session_id, tail)
        except FAILURES as error:
            log.debug("a stream can't be read: %s", said_by(error))
            return ()
        return () if tail is not None and tail.log.is_over else entries

    async def _read_whole(self, session_id: SessionId, tail: Tail) -> Sequence[Entry]:
        """Once for all who want it at this moment."""
        if tail.reading is None:
            tail.reading = begin_apart(self._read_for_all(session_id, tail))
            self._tasks.add(tail.reading)
            tail.reading.add_done_callback(self._tasks.discard)
        return await asyncio.shield(tail.reading)

    async def _read_for_all(self, session_id: SessionId, tail: Tail) -> Sequence[Entry]:
        listened = tail.is_listening
        try:
            floor, entries = await self._reader.read(session_id, None)
        finally:
            tail.reading = None
        tail.read(floor, entries, monotonic())
        tail.whole = tuple(entries) if listened else None
        return entries

    async def remove(self, session_id: SessionId) -> None:
        tail = self._tails.get(session_id)
        if tail is not None:
            tail.log.end()
        if not self.is_out:
            try:
                async with asyncio.timeout(_RETRY_SECONDS):
                    await self._remove(session_id)
            except FAILURES as error:
                log.debug("a stream can't be removed: %s", said_by(error))
            else:
                return
        if len(self._removals) < _MOST_REMOVALS:
            self._removals[session_id] = None

    async def read_after(
        self, session_id: SessionId, tail: Tail, after: Position
    ) -> Sequence[Entry]:
        """Some of what comes after a position. Raises PositionLost, and one of FAILURES."""
        floor, entries = await self._reader.read(session_id, after, _AT_ONCE)
        tail.read(max(floor, after) if entries else floor, entries, monotonic())
        if after < floor:
            raise PositionLost(floor)
        return entries

    async def _remove(self, session_id: SessionId) -> None:
        keys = self._keys
        rest = (2, keys.events(session_id), keys.marks(session_id), keys.channel(session_id))
        try:
            await self._client.execute_command("EVALSHA", REMOVE.sha, *rest)
        except NoScriptError:
            await self._client.execute_command("EVAL", REMOVE.text, *rest)

    def _hearing(self, session_id: SessionId, tail: Tail) -> Callable[[bytes], None]:
        def hear(data: bytes) -> None:
            if data == REMOVED:
                tail.log.end()
                return
            try:
                previous, *lines = data.split(b"\n")
                entries = [published_entry(line) for line in lines]
            except ValueError as error:
                log.warning("an event can't be read: %s", error)
                return
            tail.hear(Position.parse(previous.decode()), entries, monotonic())
            if tail.is_behind:
                self._refresh_soon(session_id, tail)

        return hear

    def _refresh_soon(self, session_id: SessionId, tail: Tail) -> None:
        if not tail.is_refreshing:
            self._begin(self._refresh(session_id, tail))

    async def _refresh(self, session_id: SessionId, tail: Tail) -> None:
        tail.is_refreshing = True
        try:
            while tail.is_behind and not self.is_out and self._tails.get(session_id) is tail:
                tail.is_behind = False
                try:
                    tail.read(*await self._reader.read(session_id, tail.read_up_to), monotonic())
                except FAILURES as error:
                    log.debug("a stream can't be read: %s", said_by(error))
                    tail.is_behind = True
                    await asyncio.sleep(_RETRY_SECONDS)
        finally:
            tail.is_refreshing = False

    async def _read_on(self, tails: Sequence[tuple[SessionId, Tail]]) -> None:
        wanted = [(session_id, tail.read_up_to) for session_id, tail in tails]
        reads = await self._reader.read_many(wanted)
        for (session_id, tail), read in zip(tails, reads, strict=True):
            if isinstance(read, Exception):  # it keeps no other from being read
                tail.is_behind = True
                self._refresh_soon(session_id, tail)
            else:
                tail.read(*read, monotonic())

    def _return(self) -> None:
        """What was published in the meantime is read."""
        for tail in self._tails.values():
            tail.is_listening = True
        self._begin(self._catch_up())

    async def _catch_up(self) -> None:
        tails = list(self._tails.items())
        for start in range(0, len(tails), _AT_ONCE):
            batch = tails[start : start + _AT_ONCE]
            while not self.is_out:
                try:
                    await self._read_on(batch)
                    break
                except FAILURES as error:
                    log.debug("streams can't be read: %s", said_by(error))
                    await asyncio.sleep(_RETRY_SECONDS)

    def _lose(self) -> None:
        for tail in self._tails.values():
            tail.is_listening = False
        self._flusher.give_up()

    async def _upkeep(self) -> None:
        while True:
            await asyncio.sleep(_UPKEEP_SECONDS * random.uniform(0.8, 1.2))
            now = monotonic()
            for session_id, tail in list(self._tails.items()):
                if tail.log.subscriptions:
                    tail.shorten(now)
                elif now - tail.left_at >= _UPKEEP_SECONDS:  # its followers may come back
                    del self._tails[session_id]
                    self._subscriber.leave(self._keys.channel(session_id))
            try:
                while self._removals and not self.is_out:
                    session_id = next(iter(self._removals))
                    await self._remove(session_id)
                    del self._removals[session_id]
            except FAILURES as error:
                log.debug("a stream can't be removed: %s", said_by(error))

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class _Subscription:
    __slots__ = ("_session_id", "_stream", "_tail", "_waiter", "_woken")

    def __init__(self, stream: RedisEventStream, session_id: SessionId, tail: Tail) -> None:
        self._stream = stream
        self._session_id = session_id
        self._tail = tail
        self._waiter: asyncio.Future[None] | None = None
        self._woken = False

    async def held(self, since: Position | None = None) -> Sequence[Entry]:
        return await self._stream.held_since(self._session_id, since)

    async def next(self, after: Position) -> Sequence[Entry]:
        while True:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                entries: Sequence[Entry] | None = self._heard(after)
                if not entries and self._is_read_for(after):
                    entries = await self._read(after)
                if entries or self._woken:
                    self._woken = False
                    return entries or ()
                retry = _RETRY_SECONDS if entries is None else None
                await asyncio.wait((self._waiter,), timeout=retry)
            finally:
                self._waiter = None

    def _heard(self, after: Position) -> Sequence[Entry]:
        """From what all share here. Raises PositionLost only if the session is gone."""
        log = self._tail.log
        if log.is_over:
            raise PositionLost(log.floor)
        return log.after(after) if after >= log.floor else ()

    def _is_read_for(self, after: Position) -> bool:
        return not self._tail.is_known or after < self._tail.log.floor

    async def _read(self, after: Position) -> Sequence[Entry] | None:
        """From Redis; None if it can't be known at present."""
        if self._stream.is_out:
            return None
        try:
            return await self._stream.read_after(self._session_id, self._tail, after)
        except FAILURES as error:
            log.debug("a stream can't be read: %s", said_by(error))
            return None

    def wake(self) -> None:
        self._woken = True
        self.notify()

    def notify(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
