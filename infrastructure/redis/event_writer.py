"""The pens of a process's claims, and the one hand that moves them all.

`write` only notes what is to be stored. A flusher takes what all the writers have, and sends it in
one pipeline: one step for each session (`scripts.APPEND`), one round trip for all of them.
"""

import asyncio
import logging
from collections.abc import Sequence
from time import monotonic
from typing import Any, Final, Protocol

from redis.exceptions import NoScriptError

from application.events import Chunk, Entry, Reasoning, Snapshot, StreamEvent
from domain.identifiers import SessionId
from domain.position import Position
from infrastructure.joining import Piece, join
from infrastructure.redis.client import FAILURES, Client, cancel, said_by
from infrastructure.redis.event_codec import encode_event
from infrastructure.redis.keys import Keys
from infrastructure.redis.scripts import APPEND, STORED

log = logging.getLogger(__name__)

JOIN_SECONDS: Final = 0.02
"""How far apart flushes of one answer are at least; the first piece goes at once."""

SEND_SECONDS: Final = 0.8
"""How long Redis may take to store it. `flush` promises a second."""

_BETWEEN_SECONDS: Final = 0.005
_AT_ONCE: Final = 4
"""So far apart are flushes when there is much to do: a trip costs more than what it takes along.
After a rest so many may follow one another at once, for then what comes is somebody's first."""

_MOST_AT_ONCE: Final = 500
"""Sessions in one trip."""


class Reachable(Protocol):
    @property
    def away(self) -> bool: ...


class RedisEventWriter:
    """`_ready` are entries in their places, `_pieces` are yet to be joined and placed."""

    __slots__ = (
        "_flusher", "_pieces", "_quiet_until", "_ready", "_settled",
        "broken", "in_flight", "session_id", "top",
    )  # fmt: skip

    def __init__(self, flusher: "Flusher", session_id: SessionId, fence: int) -> None:
        self.session_id: Final = session_id
        self.top = Position(fence, -1)
        self.broken = False
        self.in_flight = False
        self._flusher: Final = flusher
        self._ready: list[Entry] = []
        self._pieces: list[Piece] = []
        self._quiet_until = 0.0
        self._settled: asyncio.Future[None] | None = None

    def write(self, event: StreamEvent) -> None:
        if not self.broken and self._flusher.away:
            self.break_()
        if self.broken:
            self.top = self.top.next
        elif isinstance(event, Chunk | Reasoning):
            joins = bool(self._pieces) or monotonic() < self._quiet_until
            self._pieces.append(event)
            self._flusher.flush(self, at_once=not joins)
        else:
            self._place_pieces()
            self._place(event)
            self._flusher.flush(self, at_once=True)

    def restart(self, snapshot: Snapshot) -> Position:
        self.break_()
        if self._flusher.away:
            self.top = self.top.next
        else:
            self.broken = False
            self._place(snapshot)
            self._flusher.flush(self, at_once=True)
        return self.top

    def rise(self, fence: int) -> None:
        self._pieces.clear()
        self.top = Position(fence, -1)
        self.broken = False

    async def flush(self) -> Position:
        if self.is_dirty or self.in_flight:
            if self.is_dirty:
                self._flusher.flush(self, at_once=True)
            if self._settled is None:
                self._settled = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._settled)
        return self.top

    @property
    def is_dirty(self) -> bool:
        return bool(self._ready or self._pieces)

    def take(self) -> Sequence[Entry]:
        """What is to be sent now."""
        if self._pieces:
            self._place_pieces()
            self._quiet_until = monotonic() + JOIN_SECONDS
        taken, self._ready = self._ready, []
        self.in_flight = True
        return taken

    def sent(self, status: int | None) -> None:
        """What became of it; None if nobody knows."""
        self.in_flight = False
        if status != STORED:
            self.break_()
        self._settle()

    def break_(self) -> None:
        self.broken = True
        self._pieces.clear()
        self._ready.clear()
        self._settle()

    def _settle(self) -> None:
        if self._settled is not None and not (self.in_flight or self.is_dirty):
            self._settled.set_result(None)
            self._settled = None

    def _place_pieces(self) -> None:
        for piece in join(self._pieces):
            self._place(piece)
        self._pieces.clear()

    def _place(self, event: StreamEvent) -> None:
        self.top = self.top.next
        self._ready.append(Entry(self.top, event))


class Flusher:
    """Sends what the writers of a process have, all of them together, as long as Redis is there."""

    def __init__(self, client: Client, keys: Keys, link: Reachable) -> None:
        self._client: Final = client
        self._keys: Final = keys
        self._link: Final = link
        self._due: dict[RedisEventWriter, None] = {}
        self._joining: dict[RedisEventWriter, None] = {}
        self._any_due: Final = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._running: asyncio.Task[None] | None = None

    @property
    def away(self) -> bool:
        return self._link.away

    def start(self) -> None:
        self._running = asyncio.create_task(self._run())

    async def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._running is not None:
            await cancel(self._running)
        self.give_up()

    def flush(self, writer: RedisEventWriter, *, at_once: bool) -> None:
        if at_once:
            self._joining.pop(writer, None)
            self._due[writer] = None
            self._any_due.set()
        elif writer not in self._due:
            self._joining[writer] = None
            if self._timer is None:
                loop = asyncio.get_running_loop()
                self._timer = loop.call_later(JOIN_SECONDS, self._joined)

    def give_up(self) -> None:
        """On all that is not sent yet: it would come late, if at all."""
        dirty = [*self._due, *self._joining]
        self._due.clear()
        self._joining.clear()
        for writer in dirty:
            writer.break_()

    def _joined(self) -> None:
        self._timer = None
        self._due |= self._joining
        self._joining.clear()
        self._any_due.set()

    async def _run(self) -> None:
        paid_until = 0.0
        while True:
            await self._any_due.wait()
            now = monotonic()
            paid_until = max(paid_until, now - _AT_ONCE * _BETWEEN_SECONDS) + _BETWEEN_SECONDS
            if paid_until > now:
                await asyncio.sleep(paid_until - now)
            self._any_due.clear()
            writers = list(self._due)
            self._due.clear()
            for start in range(0, len(writers), _MOST_AT_ONCE):
                await self._send(writers[start : start + _MOST_AT_ONCE])

    async def _send(self, writers: Sequence[RedisEventWriter]) -> None:
        batch = [
            (writer, taken) for writer in writers if writer.is_dirty and (taken := writer.take())
        ]
        if not batch:
            return
        statuses: Sequence[int | None] = [None] * len(batch)
        try:
            async with asyncio.timeout(SEND_SECONDS):
                statuses = await self._append(batch)
        except FAILURES as error:
            log.debug("nothing is stored: %s", said_by(error))
            self.give_up()
        except Exception:
            log.exception("storing events failed")
        finally:
            for (writer, _), status in zip(batch, statuses, strict=True):
                writer.sent(status)

    async def _append(
        self, batch: Sequence[tuple[RedisEventWriter, Sequence[Entry]]]
    ) -> Sequence[int | None]:
        calls = [self._arguments(writer.session_id, entries) for writer, entries in batch]
        answers = await self._pipeline([("EVALSHA", APPEND.sha, *call) for call in calls])
        again = [n for n, each in enumerate(answers) if isinstance(each, NoScriptError)]
        if again:  # a server that is new: it keeps what it is told here
            repeated = await self._pipeline([("EVAL", APPEND.text, *calls[n]) for n in again])
            for n, answer in zip(again, repeated, strict=True):
                answers[n] = answer
        for answer in answers:
            if isinstance(answer, Exception):
                log.warning("an event is not stored: %s", said_by(answer))
                break
        return [answer if isinstance(answer, int) else None for answer in answers]

    async def _pipeline(self, commands: Sequence[tuple[bytes | str | int, ...]]) -> list[Any]:
        pipeline = self._client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        answers: list[Any] = await pipeline.execute(raise_on_error=False)
        return answers

    def _arguments(
        self, session_id: SessionId, entries: Sequence[Entry]
    ) -> list[bytes | str | int]:
        keys = self._keys
        arguments: list[bytes | str | int] = [
            2,
            keys.events(session_id),
            keys.marks(session_id),
            keys.channel(session_id),
        ]
        for entry in entries:
            event = entry.event
            arguments += (*entry.position, event.generation_id, encode_event(event))
        return arguments
