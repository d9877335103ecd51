import asyncio
import logging
import os
import random
import re
import secrets
import socket
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from redis.exceptions import ResponseError

from application.ports import Request
from domain.errors import QueueUnavailable
from domain.identifiers import GenerationId
from infrastructure.redis.client import FAILURES, cancel, close_client, open_client, said_by

log = logging.getLogger(__name__)

_GROUP: Final = "workers"
_GENERATION: Final = b"generation"
_REQUEST: Final = b"request"
_TRACEPARENT: Final = b"traceparent"
_VALID_TRACEPARENT: Final = re.compile(rb"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")

_ANSWER_SECONDS: Final = 1.0
_PUT_SECONDS: Final = 1.5
"""In all, with the way there: a client waits for it."""
_BLOCK_SECONDS: Final = 0.5
"""Of a read that finds nothing. A Redis that hangs is noticed an answer's time later."""
_GROUP_PAUSE_SECONDS: Final = 0.05
_MAX_GROUP_PAUSE_SECONDS: Final = 1.0
_AT_ONCE: Final = 16
"""How much is taken over at a time."""
_HELD: Final = 10_000
"""Requests that were taken and not done: their claims failed, and their entries are others'."""

_FORGET: Final = """
redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])
return redis.call('XDEL', KEYS[1], ARGV[2])
"""
_GIVE_BACK: Final = """
if redis.call('XACK', KEYS[1], ARGV[1], ARGV[2]) == 0 then return 0 end
redis.call('XDEL', KEYS[1], ARGV[2])
redis.call('XADD', KEYS[1], '*', unpack(ARGV, 3))
return 1
"""
_LEAVE: Final = """
if #redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1, ARGV[2]) > 0 then return 0 end
redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2])
return 1
"""


@dataclass(frozen=True, slots=True)
class Upkeep:
    """What takers do for each other, at most once in `every` seconds each: they take over what
    another took longer than `pending` ago and neither claimed nor gave back, and forget those who
    asked for nothing in `consumer` seconds."""

    every: float = 5.0
    pending: float = 10.0
    consumer: float = 3_600.0


@dataclass(frozen=True, slots=True)
class _Entry:
    id: bytes
    request: Request


class RedisRequestQueue:
    """One stream, and one group of consumers, of which each process is one.

    What was read stays pending until it is `done`. A process that dies in between leaves it to the
    others' upkeep; the database's sweep is faster than that, so it is but a broom.
    """

    def __init__(
        self,
        url: str,
        *,
        prefix: str = "llmchat",
        upkeep: Upkeep | None = None,
        is_out: Callable[[], bool] = bool,
    ) -> None:
        """`is_out` tells what is known of Redis otherwise: then a `put` does not wait for it.

        Raises ValueError, as `check_redis_url` does. Redis may be away.
        """
        self._is_out: Final = is_out
        self._key: Final = f"{prefix}:requests"
        self._upkeep: Final = upkeep or Upkeep()
        self._name: Final = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self._client: Final = open_client(url, timeout=_ANSWER_SECONDS)
        self._reader: Final = open_client(url, timeout=_ANSWER_SECONDS, block=_BLOCK_SECONDS)
        self._takers: Final[deque[asyncio.Future[_Entry]]] = deque()
        self._spare: Final[deque[_Entry]] = deque()
        self._held: Final[OrderedDict[Request, dict[bytes, None]]] = OrderedDict()
        self._reading: asyncio.Task[None] | None = None
        self._next_upkeep = 0.0
        self._away = False
        self._closed = False

    @property
    def away(self) -> bool:
        return self._away

    def notice_return(self) -> None:
        """Redis is there again, as was found out elsewhere."""
        self._away = False

    async def put(self, request: Request) -> None:
        if self._is_out():
            raise QueueUnavailable("Redis is away.")
        try:
            async with asyncio.timeout(_PUT_SECONDS):
                await self._client.execute_command("XADD", self._key, "*", *_fields(request))
        except FAILURES as error:
            raise self._unavailable(error) from error
        self._away = False

    async def take(self) -> Request:
        if self._closed:
            raise QueueUnavailable("The queue is closed.")
        if self._spare:
            return self._hand_out(self._spare.popleft())
        taker: asyncio.Future[_Entry] = asyncio.get_running_loop().create_future()
        self._takers.append(taker)
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read_for_takers())
        try:
            return self._hand_out(await taker)
        except asyncio.CancelledError:
            if taker in self._takers:
                self._takers.remove(taker)
            elif not taker.cancelled() and taker.exception() is None:
                self._give(taker.result(), first=True)
            raise

    async def done(self, request: Request) -> None:
        """Raises QueueUnavailable: then it comes again, to whoever takes it over."""
        held = self._held.get(request)
        if not held:
            return
        entry_id = next(iter(held))
        del held[entry_id]
        if not held:
            del self._held[request]
        try:
            await self._script(_FORGET, entry_id)
        except FAILURES as error:
            raise self._unavailable(error) from error

    async def close(self) -> None:
        """What was taken for takers who are gone is put again, for others."""
        self._closed = True
        self._fail_takers(QueueUnavailable("The queue is closed."))
        if self._reading is not None:
            # Not in the midst of a read: Redis would hand out to nobody what comes just then.
            await asyncio.wait([self._reading], timeout=_BLOCK_SECONDS + _ANSWER_SECONDS)
            await cancel(self._reading)
        with suppress(*FAILURES):
            async with asyncio.timeout(_ANSWER_SECONDS):
                while self._spare:
                    entry = self._spare.popleft()
                    await self._script(_GIVE_BACK, entry.id, *_fields(entry.request))
                await self._script(_LEAVE, self._name)
        await close_client(self._reader)
        await close_client(self._client)

    def _hand_out(self, entry: _Entry) -> Request:
        self._held.setdefault(entry.request, {})[entry.id] = None
        while len(self._held) > _HELD:
            self._held.popitem(last=False)
        return entry.request

    def _give(self, entry: _Entry, *, first: bool = False) -> None:
        """To who waits, or who comes next."""
        while self._takers:
            taker = self._takers.popleft()
            if not taker.done():
                taker.set_result(entry)
                return
        if first:
            self._spare.appendleft(entry)
        else:
            self._spare.append(entry)

    def _unavailable(self, error: BaseException) -> QueueUnavailable:
        self._away = True
        return QueueUnavailable(f"The queue can't be used: {said_by(error)}")

    async def _read_for_takers(self) -> None:
        """A task of its own, which goes on when a taker is cancelled, until nobody waits or it
        fails."""
        try:
            while any(not taker.done() for taker in self._takers):
                for entry in await self._read():
                    self._give(entry)
                self._away = False
        except Exception as error:
            self._away = True
            self._fail_takers(error)

    def _fail_takers(self, error: Exception) -> None:
        while self._takers:
            taker = self._takers.popleft()
            if taker.done():
                continue
            if isinstance(error, FAILURES):
                failure: Exception = self._unavailable(error)
                failure.__cause__ = error
            else:
                failure = error
            taker.set_exception(failure)

    async def _read(self) -> Sequence[_Entry]:
        """What comes within half a second, if anything does."""
        pause = 0.0
        while True:
            try:
                if self._is_upkeep_due():
                    entries = await self._take_over()
                    if entries:
                        return entries
                return await self._read_next()
            except ResponseError as error:
                if not _says_that_the_group_is_gone(error):
                    raise
            # Redis has lost it, or has never had it. It says so at once, however often one asks.
            await asyncio.sleep(pause)
            pause = min(2 * pause + _GROUP_PAUSE_SECONDS, _MAX_GROUP_PAUSE_SECONDS)
            await self._make_group()

    async def _read_next(self) -> Sequence[_Entry]:
        # After a failure it asks without waiting, to know at once whether Redis is back.
        block = () if self._away else ("BLOCK", int(_BLOCK_SECONDS * 1_000))
        command: Sequence[str | int] = [
            "XREADGROUP",
            "GROUP",
            _GROUP,
            self._name,
            "COUNT",
            1,
            *block,
        ]
        found = await self._reader.execute_command(*command, "STREAMS", self._key, ">")
        return await self._entries(found[0][1]) if found else []

    async def _make_group(self) -> None:
        try:
            await self._reader.execute_command("XGROUP CREATE", self._key, _GROUP, "0", "MKSTREAM")
        except ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise

    def _is_upkeep_due(self) -> bool:
        now = asyncio.get_running_loop().time()
        if now < self._next_upkeep:
            return False
        self._next_upkeep = now + self._upkeep.every * random.uniform(0.75, 1.25)
        return True

    async def _take_over(self) -> Sequence[_Entry]:
        await self._forget_consumers()
        # XAUTOCLAIM does this at once, but 6.2 and 7.0 differ in what it does with deleted ones.
        idle = int(self._upkeep.pending * 1_000)
        pending = await self._reader.execute_command(
            "XPENDING", self._key, _GROUP, "IDLE", idle, "-", "+", _AT_ONCE, parse_detail=True
        )
        ids: list[bytes] = [each["message_id"] for each in pending]
        if not ids:
            return []
        found = await self._reader.execute_command(
            "XCLAIM", self._key, _GROUP, self._name, idle, *ids
        )
        claimed = [(entry_id, fields) for entry_id, fields in found if entry_id is not None]
        for entry_id in set(ids) - {entry_id for entry_id, _ in claimed}:
            # Another was faster, or it is deleted: then nobody else will ever acknowledge it.
            if not await self._reader.execute_command("XRANGE", self._key, entry_id, entry_id):
                await self._reader.execute_command("XACK", self._key, _GROUP, entry_id)
        return await self._entries(claimed)

    async def _forget_consumers(self) -> None:
        told = await self._reader.execute_command("XINFO CONSUMERS", self._key, _GROUP)
        for consumer in told:
            silent = consumer["idle"] > self._upkeep.consumer * 1_000
            if silent and consumer["name"] != self._name:
                await self._script(_LEAVE, consumer["name"])

    async def _entries(self, found: Sequence[tuple[bytes, dict[bytes, bytes]]]) -> list[_Entry]:
        entries = []
        for entry_id, fields in found:
            try:
                entries.append(_Entry(entry_id, _request(fields)))
            except (KeyError, UnicodeDecodeError):
                log.warning("an entry of %s is no request: it is dropped", self._key)
                await self._script(_FORGET, entry_id)
        return entries

    async def _script(self, script: str, *values: str | bytes) -> Any:
        return await self._client.execute_command("EVAL", script, 1, self._key, _GROUP, *values)


def _fields(request: Request) -> Sequence[str | bytes]:
    fields: list[str | bytes] = [_GENERATION, request.generation_id]
    if request.request_id is not None:
        fields += [_REQUEST, request.request_id]
    if request.traceparent is not None:
        fields += [_TRACEPARENT, request.traceparent]
    return fields


def _request(fields: dict[bytes, bytes]) -> Request:
    request_id = fields.get(_REQUEST)
    traceparent = fields.get(_TRACEPARENT, b"")
    return Request(
        GenerationId(fields[_GENERATION].decode()),
        None if request_id is None else request_id.decode(),
        traceparent.decode() if _VALID_TRACEPARENT.fullmatch(traceparent) else None,
    )


def _says_that_the_group_is_gone(error: ResponseError) -> bool:
    """7.0 says UNBLOCKED if it goes under a read that waits; 6.2 lets that wait. XINFO misses the
    whole stream."""
    return str(error).startswith(("NOGROUP", "UNBLOCKED", "no such key"))
