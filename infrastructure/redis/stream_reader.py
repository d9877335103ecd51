"""Reading streams from Redis: what is not heard, or lies further back."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from redis.exceptions import ConnectionError as NotConnected
from redis.exceptions import RedisError

from application.events import Entry
from application.log_context import begin_apart
from domain.identifiers import SessionId
from domain.position import ORIGIN, Position
from infrastructure.redis.client import FAILURES, Client, cancel
from infrastructure.redis.event_codec import decode_event
from infrastructure.redis.keys import Keys
from infrastructure.redis.subscriber import Subscriber
from infrastructure.redis.tail import before

_AT_ONCE: Final = 4
"""Reads for subscribers. They share one processor: of more at once none would be done in time, and
all would be tried again."""

_RETRY_SECONDS: Final = 0.5

Read = tuple[Position, Sequence[Entry]]
"""The position after which all is held, and entries."""


class StreamReader:
    def __init__(self, client: Client, keys: Keys, subscriber: Subscriber) -> None:
        self.fails = False
        """One failed lately, although there is a connection to listen; others are still tried."""
        self._client: Final = client
        self._keys: Final = keys
        self._subscriber: Final = subscriber
        self._turns: Final = asyncio.Semaphore(_AT_ONCE)
        self._trying: asyncio.Task[None] | None = None

    async def close(self) -> None:
        if self._trying is not None:
            await cancel(self._trying)

    async def read(
        self, session_id: SessionId, after: Position | None, most: int | None = None
    ) -> Read:
        """All that is held, or what comes after a position. Raises one of FAILURES."""
        async with self._turns:
            if self._subscriber.away:
                raise NotConnected("Redis is away.")
            (read,) = await self.read_many([(session_id, after)], most)
        if isinstance(read, Exception):
            self._note_failure()
            raise read
        return read

    async def read_many(
        self, wanted: Sequence[tuple[SessionId, Position | None]], most: int | None = None
    ) -> Sequence[Read | Exception]:
        """Likewise, of several sessions in one trip: of each what is wrong with it, if anything.
        Raises one of FAILURES if nothing can be read."""
        pipeline = self._client.pipeline(transaction=False)
        limit = () if most is None else ("COUNT", most)
        for session_id, after in wanted:
            events = self._keys.events(session_id)
            pipeline.execute_command("XRANGE", events, "-", "+", "COUNT", 1)
            since = "-" if after is None else _after(after)
            pipeline.execute_command("XRANGE", events, since, "+", *limit)
        try:
            answers = await pipeline.execute(raise_on_error=False)
        except FAILURES:
            self._note_failure()
            raise
        return [_read(*each) for each in zip(answers[::2], answers[1::2], strict=True)]

    def _note_failure(self) -> None:
        if not self.fails:
            self.fails = True
            self._trying = begin_apart(self._try_again())

    async def _try_again(self) -> None:
        while self.fails:
            await asyncio.sleep(_RETRY_SECONDS)
            with suppress(*FAILURES):
                await self._client.execute_command("EXISTS", self._keys.events(SessionId("-")))
                self.fails = False


def published_entry(line: bytes) -> Entry:
    """Raises ValueError."""
    place, _, event = line.partition(b" ")
    return _entry(place, {b"e": event})


def _after(position: Position) -> str:
    """For XRANGE, which knows no seq of -1."""
    return f"({position}" if position.seq >= 0 else f"{position.fence}-0"


def _read(firsts: Any, rows: Any) -> Read | Exception:
    for answer in (firsts, rows):
        if isinstance(answer, Exception):
            return answer
    try:
        return _floor(firsts[0]) if firsts else ORIGIN, [_entry(*row) for row in rows]
    except (ValueError, KeyError):
        return RedisError("an event can't be read")


def _entry(place: bytes, fields: dict[bytes, bytes]) -> Entry:
    """Raises ValueError."""
    position = Position.parse(place.decode())
    if position is None:
        raise ValueError("an event in no place")
    return Entry(position, decode_event(fields[b"e"]))


def _floor(row: tuple[bytes, dict[bytes, bytes]]) -> Position:
    """After which nothing is missed in a stream that begins with this entry."""
    place, fields = row
    return Position.parse(fields.get(b"p", b"").decode()) or before(_entry(place, fields))
