from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from application.ports import EventStream, OpenUnitOfWork, RequestQueue
from infrastructure.key_ring import KeyRing
from infrastructure.memory.event_stream import MemoryEventStream
from infrastructure.memory.request_queue import MemoryRequestQueue
from infrastructure.sql.migrate import migrate
from infrastructure.sql.sqlite import SqliteDatabase
from infrastructure.sql.unit_of_work import OpenSqlUnitOfWork
from tests.fakes import FakeDatabase


@pytest.fixture
async def sqlite(tmp_path: Path) -> AsyncIterator[SqliteDatabase]:
    database = SqliteDatabase(tmp_path / "chat.db")
    await database.open()
    await migrate(database)
    yield database
    await database.close()


@pytest.fixture(params=["fake", "sqlite"])
def database(request: pytest.FixtureRequest) -> OpenUnitOfWork:
    """Every database passes the same suite; a new one is a line here."""
    if request.param == "fake":
        return FakeDatabase()
    return OpenSqlUnitOfWork(request.getfixturevalue("sqlite"), KeyRing([bytes(32)]))


@pytest.fixture(params=["memory"])
def queue(request: pytest.FixtureRequest) -> RequestQueue:
    assert request.param == "memory"
    return MemoryRequestQueue(capacity=3)


@pytest.fixture(params=["memory"])
async def stream(request: pytest.FixtureRequest) -> AsyncIterator[EventStream]:
    assert request.param == "memory"
    made = MemoryEventStream()
    yield made
    made.close()
