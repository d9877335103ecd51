"""Queue and event stream are away: a worker answers what it finds in the database, and lets it be
seen there."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from application.ports import Finish, Request
from application.watch_sessions import WatchSessions
from domain.errors import QueueUnavailable
from domain.identifiers import GenerationId
from domain.position import ORIGIN
from domain.prompt import ContextWindow
from domain.uploaded_file import FileLimits
from infrastructure.jwt_tokens import JwtTokens
from infrastructure.memory.rate_limiter import MemoryRateLimiter
from infrastructure.memory.seats import MemorySeats
from interface.client_address import ClientAddress
from interface.origins import Origins
from interface.repeat import repeat
from interface.worker import Worker
from tests.application.test_catch_up import Reader
from tests.application.test_show_again import FrailChat, frail_chat
from tests.application.test_step_aside import Talker
from tests.builders import SECRET_KEY
from tests.fakes import CountingIds, FakeDocumentReader, FakeFileStore, FakePasswords, FakeQueue
from tests.interface.clients import PATIENCE_SECONDS
from wiring.given import Admission, Bounds, Pages, Ports
from wiring.web import build_web
from wiring.worker import build_worker

LONG = 3600.0
"""Seconds between heartbeats and between sweeps: no test lives to see one."""


class AwayQueue(FakeQueue):
    """It notes whether it was asked in vain more than once."""

    def __init__(self) -> None:
        super().__init__(full=True, away=True)
        self.tried = asyncio.Event()
        self.tried_again = asyncio.Event()

    async def take(self) -> Request:
        if self.away:
            if self.tried.is_set():
                self.tried_again.set()
            self.tried.set()
            raise QueueUnavailable("no redis")
        return await asyncio.Future()


@dataclass
class Away:
    chat: FrailChat
    queue: AwayQueue
    ports: Ports
    worker: Worker
    talker: Talker

    async def said(self, generation_id: GenerationId, text: str) -> None:
        """Waits until that can be read."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                progress = (await self.chat.generation(generation_id)).progress
                if progress is not None and progress.text == text:
                    return
                await asyncio.sleep(0.001)


@pytest.fixture
async def away(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Away]:
    for name in ("_QUEUE_AWAY_SWEEP", "_SHOW_AGAIN", "_QUEUE_PAUSE"):
        monkeypatch.setattr(f"interface.worker.{name}_SECONDS", 0.001)
    async with frail_chat() as chat:
        chat.queue = queue = AwayQueue()
        chat.stream.leave()
        ports = Ports(
            chat.database,
            queue,
            chat.stream,
            chat.wake_ups,
            chat.cache,
            chat.models,
            chat.personas,
            CountingIds(),
            FakeFileStore(),
            FakeDocumentReader(),
            MemoryRateLimiter(),
            MemorySeats(),
        )
        worker = build_worker(ports, ContextWindow(20, 1_000, len), 10, LONG, LONG)
        chat.scripted(talker := Talker())
        worker.start()
        yield Away(chat, queue, ports, worker, talker)
        await worker.drain(0)


async def test_what_waits_is_answered_without_a_hint_and_can_be_read_while_it_is(
    away: Away, caplog: pytest.LogCaptureFixture
) -> None:
    chat, reader = away.chat, Reader()
    generation_id = (await chat.ask()).generation_id
    await away.talker.say("so ")
    await away.said(generation_id, "so ")
    async with chat.follow(chat.user, chat.session_id, ORIGIN) as following:
        reader.read(list(await anext(following)))
        assert reader.texts == {generation_id: "so "}
        await away.talker.say("it is", Finish("stop"))
        watching = asyncio.create_task(repeat(0.001, chat.watch))
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not reader.ended:
                reader.read(list(await anext(following)))
        watching.cancel()
    assert reader.texts == {generation_id: "so it is"}
    await asyncio.wait_for(away.queue.tried_again.wait(), PATIENCE_SECONDS)
    lines = [*caplog.get_records("setup"), *caplog.records]
    said = [line.getMessage() for line in lines if line.name == "interface.worker"]
    assert said.count("queue_unavailable: no redis") == 1


async def test_what_waits_is_left_to_its_hint_when_the_queue_is_back(away: Away) -> None:
    away.queue.away = False
    chat = away.chat
    generation_id = (await chat.ask()).generation_id
    await asyncio.sleep(0.05)
    assert (await chat.generation(generation_id)).attempt == 0
    away.queue.away = True
    await away.talker.say("so ")
    await away.said(generation_id, "so ")
    await away.talker.say(Finish("stop"))


async def test_what_is_finished_while_the_worker_ends_can_be_read_too(away: Away) -> None:
    generation_id = (await away.chat.ask()).generation_id
    await away.talker.say("so ")
    draining = asyncio.create_task(away.worker.drain(LONG))
    await away.talker.say("it ")
    await away.said(generation_id, "so it ")
    await away.talker.say(Finish("stop"))
    await draining
    assert (await away.chat.generation(generation_id)).text == "so it "


async def test_the_doors_look_often_while_the_stream_is_away(away: Away) -> None:
    tokens = JwtTokens(SECRET_KEY, access_seconds=900)
    admission = Admission(FakePasswords(), tokens, False, ClientAddress())
    web = build_web(
        away.ports,
        admission,
        Bounds(LONG, FileLimits(1_000, 3, 2_000)),
        Origins(),
        Pages({}, {}, b""),
    )
    assert isinstance(web.watch, WatchSessions)
    assert web.hurry_to_watch.reason()
    away.chat.stream.come_back()
    assert not web.hurry_to_watch.reason()
