"""A new day begins from nothing."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from domain.identifiers import UserId
from infrastructure.key_ring import KeyRing
from infrastructure.sql.connection import Database
from infrastructure.sql.migrate import migrate
from infrastructure.sql.spending import spend, spent_today
from infrastructure.sql.sqlite import SqliteDatabase
from infrastructure.sql.unit_of_work import OpenSqlUnitOfWork
from tests.builders import add_user


@pytest.fixture
async def sqlite(tmp_path: Path) -> AsyncIterator[SqliteDatabase]:
    database = SqliteDatabase(tmp_path / "chat.db")
    await database.open()
    await migrate(database)
    yield database
    await database.close()


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest) -> Database:
    opened: Database = request.getfixturevalue(request.param)
    return opened


async def test_what_was_taken_yesterday_is_over(database: Database) -> None:
    user = await add_user(OpenSqlUnitOfWork(database, KeyRing([bytes(32)])))

    def days(connection: Connection, user: UserId) -> list[int]:
        taken = []
        spend(connection, user, 5)
        spend(connection, user, 6)
        taken.append(spent_today(connection, user).tokens)
        connection.execute(text("UPDATE spending SET day = day - 1"))
        taken.append(spent_today(connection, user).tokens)
        spend(connection, user, 2)
        taken.append(spent_today(connection, user).tokens)
        return taken

    async with database.connect(read_only=False) as connection:
        assert await connection.run_sync(days, user) == [11, 0, 2]
