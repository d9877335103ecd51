"""What must hold after every fault. Each rule gives the violations that it found."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import asyncpg
import redis.exceptions
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from tests.end_to_end.processes import PATIENCE, Json, sse, text_of
from tests.faults.readers import ENDS, Reader
from tests.faults.scripted_model import Script
from tests.faults.stack import Stack

_SETTLE_SECONDS: Final = 20.0
"""Until what is done beside an answer is done too: a heartbeat finds that nothing is held, what was
taken goes out of the queue. If its worker was killed before that, others look after 15 seconds."""
_LATE: Final = 8
"""Questions for which readers also come late."""
_EVENT: Final = {"completed": "done", "stopped": "stopped", "failed": "failed"}


class Rule(StrEnum):
    ENDS = "every accepted message ends, in one terminal state, in time"
    ANSWER = "one answer for a completed one, byte for byte what the model sent"
    SHOWN = "every subscriber's text is the database's"
    ORDER = "ids rise, and there is one terminal event"
    CALLS = "the model is called no more often than there were attempts"
    NOTHING_LEFT = "nothing is left behind"
    SECRETS = "no secret is in a log"
    TRACEBACKS = "no traceback is in a log"


async def until(holds: Callable[[], Awaitable[bool]], within: float = PATIENCE) -> bool:
    """Looks again and again, for what tells nobody when it happens; False if it did not in time.

    Not by a cancellation: clients use `wait_for`, which may swallow one in Python 3.11.
    """
    ends = time.monotonic() + within
    while not await holds():
        if time.monotonic() > ends:
            return False
        await asyncio.sleep(0.1)
    return True


@dataclass(frozen=True)
class Violation:
    rule: Rule
    what: str


@dataclass(eq=False)
class Question:
    """One that was accepted."""

    session_id: str
    generation_id: str
    prompt: str
    script: Script
    status: str = "completed"
    """How it is to end."""
    calls: int = 1
    """How often the model may be asked."""


@dataclass(eq=False)
class Oracle:
    stack: Stack
    questions: Sequence[Question]
    readers: Sequence[Reader]
    within: float = PATIENCE
    """Seconds until all must have ended, from now on."""
    settle: float = _SETTLE_SECONDS
    took: float = 0.0
    """Seconds until all had ended."""

    async def __call__(self) -> list[Violation]:
        found = [*await self._unended()]
        if not found:  # else what follows would only say so again
            for number, question in enumerate(self.questions):
                found += await self._wrong_answers(question, late=number < _LATE)
        for reader in self.readers:
            found += self._out_of_order(reader)
        found += [*self._calls(), *await self._left(), *self._in_logs()]
        return found

    async def _unended(self) -> list[Violation]:
        """(1), and that every reader hears of it."""
        heard = [
            reader.hears(lambda reader: reader.ended >= self._asked_in(reader.session_id))
            for reader in self.readers
        ]
        unended = {question.generation_id for question in self.questions}
        tasks = [asyncio.ensure_future(each) for each in (*heard, self._stored_ends(unended))]
        began = time.monotonic()
        _, waiting = await asyncio.wait(tasks, timeout=self.within)
        self.took = time.monotonic() - began
        for task in waiting:
            task.cancel()
        await asyncio.wait(tasks)
        found = []
        for task, reader in zip(tasks, self.readers, strict=False):
            if task in waiting:
                missing = self._asked_in(reader.session_id) - reader.ended
                found.append(Violation(Rule.ENDS, f"{reader.name} hears no end of {missing}"))
        found += [Violation(Rule.ENDS, f"{one} does not end") for one in unended]
        return found

    def _asked_in(self, session_id: str) -> set[str]:
        return {each.generation_id for each in self.questions if each.session_id == session_id}

    async def _stored_ends(self, unended: set[str]) -> None:
        """Takes out those that have ended. Past the product, which might show others what it reads
        for this."""
        database = await asyncpg.connect(self.stack.database_url)
        sql = (
            "SELECT id FROM generations WHERE id = ANY($1::text[])"
            " AND status NOT IN ('queued', 'running')"
        )

        async def have_ended() -> bool:
            unended.difference_update(row["id"] for row in await database.fetch(sql, [*unended]))
            return not unended

        try:
            await until(have_ended, self.within)
        finally:
            await database.close(timeout=1)

    async def _generation(self, question: Question) -> Json:
        async with self.stack.web.http() as http:
            reply = await http.get(f"/api/chat/generations/{question.generation_id}")
        found: Json = reply.json()
        return found if reply.status_code == 200 else {"status": "not told"}

    async def _wrong_answers(self, question: Question, *, late: bool) -> list[Violation]:
        """(2), (3) and the terminal part of (4)."""
        found = []
        stored = await self._generation(question)
        one, text = question.generation_id, stored["text"]
        if stored["status"] != question.status:
            found.append(Violation(Rule.ENDS, f"{one} is {stored['status']}: {stored['error']}"))
        answers = [
            item["content"]
            for item in await self._history(question.session_id)
            if item["generation_id"] == one and item["role"] == "assistant"
        ]
        # An earlier call was that of a worker who has lost its claim since.
        said = [each.text for each in question.script.tellings if each.whole][-1:]
        if stored["status"] == "completed" and not answers == [text] == said:
            found.append(Violation(Rule.ANSWER, f"{one}: {answers}, {text!r}, but said: {said}"))
        for name, events in await self._tellings(question, late=late):
            if not any(event["type"] in ENDS for event in events):
                found.append(Violation(Rule.ENDS, f"{name} hears no end of {one}"))
                continue
            if text_of(events) != text:
                shown = f"{text_of(events)!r} instead of {text!r}"
                found.append(Violation(Rule.SHOWN, f"{name}, {one}: {shown}"))
            ends = [event["type"] for event in events if event["type"] in ENDS]
            if ends != [_EVENT[stored["status"]]]:
                found.append(Violation(Rule.ORDER, f"{name}, {one}: ends with {ends}"))
        return found

    async def _history(self, session_id: str) -> Sequence[Json]:
        async with self.stack.web.http() as http:
            reply = await http.get(f"/api/chat/sessions/{session_id}/messages?limit=100")
        items: Sequence[Json] = reply.json()["items"]
        return items

    async def _tellings(self, question: Question, *, late: bool) -> list[tuple[str, list[Json]]]:
        """What each reader was told of it, and two that come late."""
        one = question.generation_id
        told = [
            (reader.name, reader.events_of(one))
            for reader in self.readers
            if reader.session_id == question.session_id
        ]
        if not late:
            return told
        path = f"/api/chat/generations/{one}/stream"
        heard: list[Json] = []
        with suppress(TimeoutError):
            async with asyncio.timeout(self.within), aclosing(sse(self.stack.web, path)) as events:
                async for event in events:
                    heard.append(event)
                    if event["type"] in ENDS:
                        break
        told.append(("late", heard))
        last = Reader("late, from the start", self.stack.up_webs, question.session_id, "ws")
        reading = asyncio.create_task(last.read())
        with suppress(TimeoutError):
            async with asyncio.timeout(self.within):
                await last.hears(lambda last: one in last.ended)
        reading.cancel()
        await asyncio.wait((reading,))
        told.append((last.name, last.events_of(one)))
        return told

    def _out_of_order(self, reader: Reader) -> Iterator[Violation]:
        """(4)"""
        ids = [tuple(map(int, event["id"].split("-"))) for event in reader.seen]
        if ids != sorted(set(ids)):
            yield Violation(Rule.ORDER, f"{reader.name}: {ids}")

    def _calls(self) -> Iterator[Violation]:
        """(5)"""
        for question in self.questions:
            calls = len(question.script.tellings)
            if calls > question.calls:
                what = f"{question.generation_id}: {calls} calls, not {question.calls}"
                yield Violation(Rule.CALLS, what)

    async def _left(self) -> list[Violation]:
        """(6)"""
        left: list[str] = []

        async def is_nothing() -> bool:
            left[:] = [*await self._rows(), *await self._keys(), *self._model_calls()]
            return not left

        await until(is_nothing, self.settle)
        return [Violation(Rule.NOTHING_LEFT, what) for what in left]

    async def _rows(self) -> list[str]:
        database = await asyncpg.connect(self.stack.database_url)
        try:
            rows = await database.fetch(
                "SELECT id, status FROM generations WHERE status IN ('queued', 'running')"
            )
        finally:
            await database.close()
        return [f"{row['id']} is {row['status']}" for row in rows]

    async def _keys(self) -> list[str]:
        """Whatever is queued, and keys that stay for ever; only the queue itself may."""
        if self.stack.redis is None or self.stack.redis.process is None:
            return []
        left = []
        once = Retry(NoBackoff(), 0)
        try:
            async with Redis.from_url(self.stack.redis.url, retry=once, socket_timeout=5) as client:
                async for key in client.scan_iter(count=1000):
                    left += await _left_at(client, key)
        except redis.exceptions.TimeoutError:
            left.append("Redis says nothing")
        return left

    def _model_calls(self) -> list[str]:
        at_work = [
            each
            for question in self.questions
            for each in question.script.tellings
            if not each.whole and not each.call.left.is_set()
        ]
        return [f"{len(at_work)} calls of the model go on"] if at_work else []

    def _in_logs(self) -> Iterator[Violation]:
        """(7), (8)"""
        for place in self.stack.places:
            log = place.log
            for secret in self.stack.secrets:
                if secret in log:
                    line = next(line for line in log.splitlines() if secret in line)
                    yield Violation(Rule.SECRETS, f"{place.name}: {line}")
            if "Traceback" in log:
                shown = re.search(r"(.*\n){0,3}.*Traceback(.*\n){0,60}", log)
                assert shown is not None
                yield Violation(Rule.TRACEBACKS, f"{place.name}: {shown[0]}")


async def _left_at(client: Redis, key: bytes) -> list[str]:
    if await client.ttl(key) != -1:
        return []
    groups = await client.xinfo_groups(key) if await client.type(key) == b"stream" else []
    left = [f"{group['pending']} are pending" for group in groups if group["pending"]]
    if not groups:
        left.append(f"{key!r} has no end")
    elif queued := await client.xlen(key):
        left.append(f"{queued} requests are queued")
    return left
