"""The worker heeds what was changed under its answers now, not at the next heartbeat."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx
import pytest

from application.ports import Finish, Piece, Request, TextPiece
from domain.errors import QueueUnavailable
from domain.identifiers import GenerationId, SessionId
from domain.position import ORIGIN, Position
from domain.prompt import ContextWindow, Prompt
from infrastructure.memory.cache import MemoryCache
from infrastructure.memory.rate_limiter import MemoryRateLimiter
from infrastructure.memory.request_queue import MemoryRequestQueue
from infrastructure.memory.seats import MemorySeats
from infrastructure.memory.wake_ups import MemoryWakeUps
from tests.fakes import CountingIds, FakeDocumentReader
from tests.interface.clients import PATIENCE_SECONDS
from tests.interface.doors import Doors
from wiring.given import Ports
from wiring.worker import build_worker

LONG = 3600.0
"""Seconds between heartbeats and between sweeps: no test lives to see one."""


@dataclass
class Endless:
    """A model that says "so far" and nothing more; it notes when its call is closed."""

    reached: asyncio.Event = field(default_factory=asyncio.Event)
    closed: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, _: Prompt) -> AsyncGenerator[Piece, None]:
        try:
            yield TextPiece("so far")
            self.reached.set()
            await asyncio.Event().wait()
            yield Finish("stop")
        finally:
            self.closed.set()


class Heeded:
    """Wake-ups that fail whoever listens first; a test can wait until somebody listens."""

    def __init__(self, inner: MemoryWakeUps, *failures: Exception) -> None:
        self._inner = inner
        self._failures = list(failures)
        self.listening = asyncio.Event()

    async def wake(self, session_id: SessionId) -> None:
        await self._inner.wake(session_id)

    async def woken(self) -> AsyncGenerator[SessionId, None]:
        if self._failures:
            raise self._failures.pop(0)
        self.listening.set()
        async for session_id in self._inner.woken():
            yield session_id


@dataclass
class Answering:
    doors: Doors
    session: SessionId
    generation_id: GenerationId
    model: Endless
    wake_ups: Heeded

    async def until(self, last: Position) -> list[str]:
        """The kinds of the session's events, up to this one."""
        async with self.doors.stream.subscribe(self.session) as subscription:
            shown = list(await subscription.held())
            while not shown or shown[-1].position < last:
                after = shown[-1].position if shown else ORIGIN
                shown += await asyncio.wait_for(subscription.next(after), PATIENCE_SECONDS)
        return [type(entry.event).__name__ for entry in shown]


@asynccontextmanager
async def answering(
    doors: Doors, session: SessionId, *failures: Exception
) -> AsyncIterator[Answering]:
    """An answer that a worker is writing, who hears nothing but wake-ups."""
    queue, wake_ups = MemoryRequestQueue(), Heeded(doors.wake_ups, *failures)
    ports = Ports(
        doors.database,
        queue,
        doors.stream,
        wake_ups,
        MemoryCache(),
        doors.models,
        doors.personas,
        CountingIds(),
        doors.files,
        FakeDocumentReader(),
        MemoryRateLimiter(),
        MemorySeats(),
    )
    worker = build_worker(ports, ContextWindow(20, 1_000, len), 10, LONG, LONG)
    worker.start()
    doors.model.script = model = Endless()
    generation_id = await doors.ask(session)
    await queue.put(Request(generation_id))
    for begun in (wake_ups.listening, model.reached):
        await asyncio.wait_for(begun.wait(), PATIENCE_SECONDS)
    yield Answering(doors, session, generation_id, model, wake_ups)
    await worker.drain(0)


async def cancel(http: httpx.AsyncClient, generation_id: GenerationId) -> str:
    reply = await http.post(f"/api/chat/generations/{generation_id}/cancel")
    status: str = reply.json()["status"]
    return status


async def test_an_answer_that_is_to_stop_is_closed_at_once(
    doors: Doors, http: httpx.AsyncClient, session: SessionId
) -> None:
    async with answering(doors, session) as answer:
        assert await cancel(http, answer.generation_id) == "running"
        assert await answer.until(Position(1, 2)) == ["Start", "Chunk", "Stopped"]
        assert answer.model.closed.is_set()


async def test_an_answer_in_a_deleted_session_is_closed_at_once(
    doors: Doors, http: httpx.AsyncClient, session: SessionId
) -> None:
    async with answering(doors, session) as answer:
        await http.delete(f"/api/chat/sessions/{session}")
        await asyncio.wait_for(answer.model.closed.wait(), PATIENCE_SECONDS)
    assert list(await doors.stream.held(session)) == []


async def test_an_answer_steps_aside_at_once_for_what_is_stopped_behind_it(
    doors: Doors, http: httpx.AsyncClient, session: SessionId
) -> None:
    async with answering(doors, session) as answer:
        assert await cancel(http, await doors.ask(session)) == "stopped"
        assert await answer.until(Position(3, 0)) == ["Start", "Chunk", "Stopped", "Snapshot"]
        assert not answer.model.closed.is_set()


async def test_a_wake_up_that_can_not_be_heeded_keeps_nobody_from_the_next(
    doors: Doors,
    http: httpx.AsyncClient,
    session: SessionId,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("interface.worker._QUEUE_PAUSE_SECONDS", 0)
    async with answering(doors, session) as answer:
        answer.wake_ups.listening.clear()
        doors.database.away = 1
        await doors.wake_ups.wake(session)
        await asyncio.wait_for(answer.wake_ups.listening.wait(), PATIENCE_SECONDS)
        await cancel(http, answer.generation_id)
        assert (await answer.until(Position(1, 2)))[-1] == "Stopped"
    assert "database_unavailable: away" in caplog.text


async def test_wake_ups_that_fail_are_listened_to_again(
    doors: Doors,
    http: httpx.AsyncClient,
    session: SessionId,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("interface.worker._QUEUE_PAUSE_SECONDS", 0)
    failures = (QueueUnavailable("no redis"), ZeroDivisionError())
    async with answering(doors, session, *failures) as answer:
        await cancel(http, answer.generation_id)
        assert (await answer.until(Position(1, 2)))[-1] == "Stopped"
    assert "queue_unavailable: no redis" in caplog.text
    assert "heeding a wake-up failed" in caplog.text
