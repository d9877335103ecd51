"""What only the stored bytes can show."""

import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from domain.api_config import ApiChanges
from domain.errors import KeyUnreadable, NameTaken
from domain.secret import Secret
from infrastructure.key_ring import KeyRing
from infrastructure.sql.migrate import migrate
from infrastructure.sql.sqlite import SqliteDatabase
from infrastructure.sql.unit_of_work import OpenSqlUnitOfWork
from tests.builders import API_KEY, a_new_api, add_api, add_user

NEW_KEY = "sk-Zq81-another-distinctive-77Bc"
KEYS = KeyRing([bytes(32)])


@pytest.fixture
async def sqlite(tmp_path: Path) -> AsyncIterator[SqliteDatabase]:
    database = SqliteDatabase(tmp_path / "chat.db")
    await database.open()
    await migrate(database)
    yield database
    await database.close()


def contents(folder: Path) -> dict[str, bytes]:
    return {entry.name: entry.read_bytes() for entry in folder.iterdir()}


async def test_no_byte_on_the_disk_tells_a_key(sqlite: SqliteDatabase, tmp_path: Path) -> None:
    works = OpenSqlUnitOfWork(sqlite, KEYS)
    user = await add_user(works)
    kept = await add_api(works, a_new_api(user, "kept", "a-name-that-is-found"))
    gone = await add_api(works, a_new_api(user, "gone"))
    async with works() as work:
        await work.api_configs.change(user, kept.id, ApiChanges(api_key=Secret(NEW_KEY)))
        await work.api_configs.delete(user, gone.id)
        await work.commit()
    files = contents(tmp_path)
    assert files.keys() >= {"chat.db", "chat.db-wal"}
    assert any(b"a-name-that-is-found" in content for content in files.values())
    for content in files.values():
        for key in (API_KEY, NEW_KEY):
            assert key.encode() not in content
            assert key[3:12].encode() not in content


async def test_no_statement_in_the_log_tells_a_key(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # Before the engine is made: it looks only then.
    caplog.set_level(logging.DEBUG, "sqlalchemy.engine")
    database = SqliteDatabase(tmp_path / "chat.db")
    await database.open()
    await migrate(database)
    works = OpenSqlUnitOfWork(database, KEYS)
    user = await add_user(works)
    made = await add_api(works, a_new_api(user))
    async with works() as work:
        await work.api_configs.change(user, made.id, ApiChanges(api_key=Secret(NEW_KEY)))
        with pytest.raises(NameTaken):
            await work.api_configs.add(a_new_api(user))
    await database.close()
    assert "INSERT INTO user_apis" in caplog.text
    assert made.base_url in caplog.text
    for key in (API_KEY, NEW_KEY):
        assert key[:-4] not in caplog.text


async def test_what_is_stored_is_sealed_for_its_row(sqlite: SqliteDatabase) -> None:
    works = OpenSqlUnitOfWork(sqlite, KEYS)
    user = await add_user(works)
    made = await add_api(works, a_new_api(user))
    assert KEYS.open(made) == Secret(API_KEY)
    async with works() as work:
        changes = ApiChanges(api_key=Secret(NEW_KEY))
        changed = await work.api_configs.change(user, made.id, changes)
        await work.commit()
    assert changed is not None
    assert KEYS.open(changed) == Secret(NEW_KEY)
    async with works(read_only=True) as work:
        found = await work.api_configs.find(user, made.id)
    assert found is not None
    assert KEYS.open(found) == Secret(NEW_KEY)


async def test_a_seal_that_was_copied_to_another_row_is_refused(sqlite: SqliteDatabase) -> None:
    works = OpenSqlUnitOfWork(sqlite, KEYS)
    ada, bob = await add_user(works, "ada"), await add_user(works, "bob")
    mine = await add_api(works, a_new_api(ada))
    theirs = await add_api(works, a_new_api(bob, base_url="https://evil.example.com", api_key=None))

    def copy(connection: Connection) -> None:
        connection.execute(
            text(
                "UPDATE user_apis SET sealed_key ="
                " (SELECT sealed_key FROM user_apis WHERE id = :mine) WHERE id = :theirs"
            ),
            {"mine": mine.id, "theirs": theirs.id},
        )

    async with sqlite.connect(read_only=False) as connection:
        await connection.run_sync(copy)
        await connection.commit()
    async with works(read_only=True) as work:
        stolen = await work.api_configs.find(bob, theirs.id)
    assert stolen is not None
    assert stolen.sealed_key == mine.sealed_key
    with pytest.raises(KeyUnreadable):
        KEYS.open(stolen)
