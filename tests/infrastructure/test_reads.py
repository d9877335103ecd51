"""How often a message reads the database, with and without what a worker recalls."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest
from sqlalchemy import Connection, event

from application.ports import Cache
from infrastructure.key_ring import KeyRing
from infrastructure.memory.cache import MemoryCache
from infrastructure.memory.event_stream import MemoryEventStream
from infrastructure.sql.migrate import migrate
from infrastructure.sql.postgres import PostgresDatabase
from infrastructure.sql.sqlite import SqliteDatabase
from infrastructure.sql.unit_of_work import OpenSqlUnitOfWork
from tests.application.conftest import Chat
from tests.application.test_recollect import Away
from tests.builders import a_new_api, add_api, add_session, add_user
from tests.fakes import FakeDatabase


@dataclass
class Asked:
    """What a database was asked to read."""

    database: SqliteDatabase | PostgresDatabase
    statements: list[str] = field(default_factory=list)

    async def listen(self) -> None:
        def listen(connection: Connection) -> None:
            event.listen(connection, "before_cursor_execute", self._note)

        if isinstance(self.database, SqliteDatabase):
            async with self.database.connect(read_only=False) as connection:
                await connection.run_sync(listen)
            return
        engine = self.database._writing.sync_engine
        event.listen(engine, "before_cursor_execute", self._note)

    def _note(self, _conn: object, _cursor: object, sql: str, *_: object) -> None:
        if sql.startswith("SELECT"):
            self.statements.append(sql)


@pytest.fixture
async def sqlite(tmp_path: Path) -> AsyncIterator[SqliteDatabase]:
    database = SqliteDatabase(tmp_path / "chat.db")
    await database.open()
    await migrate(database)
    yield database
    await database.close()


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest) -> SqliteDatabase | PostgresDatabase:
    found: SqliteDatabase | PostgresDatabase = request.getfixturevalue(request.param)
    return found


@pytest.fixture
async def asked(database: SqliteDatabase | PostgresDatabase) -> Asked:
    made = Asked(database)
    await made.listen()
    return made


async def reads(asked: Asked, cache: Cache, *, configured: bool) -> list[int]:
    """Of each of three messages of one conversation, from before it is accepted to its end."""
    works = OpenSqlUnitOfWork(asked.database, KeyRing([bytes(32)]))
    user = await add_user(works)
    session_id = await add_session(works, user)
    if configured:
        await add_api(works, a_new_api(user, model_name="scripted"))
    stream = MemoryEventStream()
    # Its use cases ask no more of a database than of the fake.
    chat = Chat(user, session_id, cast(FakeDatabase, works), stream, cache=cache)
    counted = []
    for _ in range(3):
        asked.statements.clear()
        await chat.ask_and_answer()
        counted.append(len(asked.statements))
    stream.close()
    return counted


async def test_what_is_recalled_saves_the_read_of_the_conversation(asked: Asked) -> None:
    first, second, third = await reads(asked, MemoryCache(), configured=False)
    assert (second, third) == (first - 1, first - 1)


async def test_and_that_of_the_configuration(asked: Asked) -> None:
    first, second, third = await reads(asked, MemoryCache(), configured=True)
    assert (second, third) == (first - 2, first - 2)


@pytest.mark.parametrize("configured", [False, True])
async def test_without_a_cache_each_message_reads_what_the_first_one_does(
    asked: Asked, configured: bool
) -> None:
    counted = await reads(asked, Away(), configured=configured)
    assert len(set(counted)) == 1


async def test_neither_the_session_nor_the_default_model_takes_a_read_of_its_own(
    asked: Asked,
) -> None:
    await reads(asked, MemoryCache(), configured=True)
    of_sessions = [sql for sql in asked.statements if "FROM chat_sessions" in sql]
    assert len(of_sessions) == 3  # to lock it and to see it, then to lock it for the end
    assert not [sql for sql in asked.statements if sql.startswith("SELECT user_apis")]
