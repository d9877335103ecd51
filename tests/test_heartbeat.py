"""By what a worker, which has no door, shows that it is well."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest

import watching
from application.ports import OpenUnitOfWork
from domain.errors import DatabaseUnavailable
from tests.end_to_end.processes import PATIENCE, process
from tests.end_to_end.test_start import start


class Database:
    """As far as a beat asks it."""

    def __init__(self) -> None:
        self.away = False
        self.asked = asyncio.Semaphore(0)
        self.sessions = self

    @asynccontextmanager
    async def __call__(self, **_: Any) -> AsyncIterator["Database"]:
        self.asked.release()
        if self.away:
            raise DatabaseUnavailable("It is away.")
        yield self

    async def reached(self, _: Sequence[Any]) -> None:
        pass

    async def times(self, number: int) -> None:
        async with asyncio.timeout(PATIENCE):
            for _ in range(number):
                await self.asked.acquire()


async def test_it_beats_while_the_database_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "BEAT_SECONDS", 0.001)
    database, file = Database(), tmp_path / "heartbeat"
    async with watching.beating(cast(OpenUnitOfWork, database), file):
        assert file.exists()
        database.away = True
        await database.times(3)  # one may have been under way
        file.unlink()
        await database.times(3)
        assert not file.exists()
        database.away = False
        while not file.exists():
            await database.times(1)


async def test_without_a_file_nothing_is_asked(tmp_path: Path) -> None:
    database = Database()
    async with watching.beating(cast(OpenUnitOfWork, database), None):
        pass
    assert database.asked.locked()


async def test_a_worker_beats_from_its_start(tmp_path: Path) -> None:
    assert start(tmp_path, "migrate")[0] == 0
    file = tmp_path / "heartbeat"
    async with process(tmp_path, "work", HEARTBEAT_FILE=str(file)):
        file.unlink()
        async with asyncio.timeout(PATIENCE):
            while not file.exists():  # noqa: ASYNC110 - another process makes it
                await asyncio.sleep(0.05)


def test_a_file_that_can_not_be_made_is_a_clear_error(tmp_path: Path) -> None:
    from tests.end_to_end.processes import KEYS

    assert start(tmp_path, "migrate")[0] == 0
    code, said = start(tmp_path, "work", HEARTBEAT_FILE=str(tmp_path / "no" / "beat"), **KEYS)
    assert (code, len(said)) == (2, 1)
    assert said[0].startswith("llm-chat: HEARTBEAT_FILE: ")
