"""Who watches does not load what is watched."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest

from application.log_context import Told, lines_are_about, only_about
from application.watch_backlog import WatchBacklog
from domain.repositories import Backlog
from tests.application.conftest import Chat
from tests.fakes import FakeDatabase, FakeUnitOfWork

LONG = 3600.0


async def test_it_is_what_waits(chat: Chat) -> None:
    watch = WatchBacklog(chat.database, kept_seconds=0)
    assert await watch() == Backlog(0, 0)
    await chat.ask()
    await chat.ask()
    found = await watch()
    assert found is not None
    assert found.waiting == 2
    assert found.oldest_seconds > 0


async def test_many_who_look_ask_the_database_once(chat: Chat) -> None:
    watch = WatchBacklog(chat.database, kept_seconds=LONG)
    before = chat.database.reads
    found = await asyncio.gather(*(watch() for _ in range(9)))
    await chat.ask()
    assert [*found, await watch()] == [Backlog(0, 0)] * 10
    assert chat.database.reads == before + 1


async def test_a_database_that_is_away_is_seen_and_so_is_its_return(chat: Chat) -> None:
    watch = WatchBacklog(chat.database, kept_seconds=0)
    assert await watch() == Backlog(0, 0)
    chat.database.away = 1
    assert await watch() is None
    assert await watch() == Backlog(0, 0)


class Slow:
    """A database that does not say a word until it is let go on."""

    def __init__(self, database: FakeDatabase) -> None:
        self.database = database
        self.go_on = asyncio.Event()
        self.asked = 0

    @asynccontextmanager
    async def __call__(self, *, read_only: bool = False) -> AsyncIterator[FakeUnitOfWork]:
        self.asked += 1
        await self.go_on.wait()
        async with self.database(read_only=read_only) as work:
            yield work


async def test_one_that_hangs_is_not_waited_for_nor_asked_again_on_top(chat: Chat) -> None:
    slow = Slow(chat.database)
    watch = WatchBacklog(slow, kept_seconds=LONG, patience_seconds=0.001)
    assert [await watch() for _ in range(3)] == [None] * 3
    assert slow.asked == 1
    slow.go_on.set()
    watch.patience_seconds = LONG
    assert await watch() == Backlog(0, 0)
    assert slow.asked == 1


async def test_a_fault_is_logged_and_no_hindrance(
    chat: Chat, caplog: pytest.LogCaptureFixture
) -> None:
    watch = WatchBacklog(chat.database)
    chat.database.state = None  # type: ignore[assignment]
    assert await watch() is None
    assert "the backlog is not known" in caplog.text


async def test_who_happens_to_ask_first_is_not_what_its_lines_are_about(chat: Chat) -> None:
    seen: list[Mapping[str, Told]] = []

    class Noting(Slow):
        @asynccontextmanager
        async def __call__(self, *, read_only: bool = False) -> AsyncIterator[FakeUnitOfWork]:
            seen.append(lines_are_about())
            async with super().__call__(read_only=read_only) as work:
                yield work

    noting = Noting(chat.database)
    noting.go_on.set()
    only_about(request_id="request-1")
    assert await WatchBacklog(noting)() == Backlog(0, 0)
    only_about()
    assert seen == [{}]
