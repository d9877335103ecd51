"""What is special about SQLite, and the migrations."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, event, text

from domain.errors import DatabaseUnavailable
from domain.generation import Failure
from domain.identifiers import SessionId
from domain.repositories import SessionPage
from infrastructure.key_ring import KeyRing
from infrastructure.sql.migrate import alembic_config, is_current, migrate
from infrastructure.sql.sqlite import SqliteDatabase
from infrastructure.sql.tables import metadata
from infrastructure.sql.unit_of_work import OpenSqlUnitOfWork
from tests.builders import NOON, add_call, add_session, add_user
from tests.infrastructure.statements import answer_a_message

KEYS = KeyRing([bytes(32)])


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[SqliteDatabase]:
    made = SqliteDatabase(tmp_path / "deep" / "chat.db")
    await made.open()
    yield made
    await made.close()


async def run(database: SqliteDatabase, sql: str) -> list[Any]:
    def execute(connection: Connection) -> list[Any]:
        return list(connection.execute(text(sql)))

    async with database.connect(read_only=True) as connection:
        return await connection.run_sync(execute)


# The comparison is blind to it, and says so; the plans below are not.
@pytest.mark.filterwarnings("ignore:Skipped unsupported reflection of expression-based index")
@pytest.mark.filterwarnings("ignore:autogenerate skipping metadata-specified expression-based")
async def test_the_migrations_make_the_tables_of_the_code(database: SqliteDatabase) -> None:
    assert not await is_current(database)
    await migrate(database)
    assert await is_current(database)

    def differences(connection: Connection) -> list[Any]:
        return list(compare_metadata(MigrationContext.configure(connection), metadata))

    async with database.connect(read_only=True) as connection:
        assert await connection.run_sync(differences) == []


async def test_where_ids_must_not_come_back_the_migrations_say_so_too(
    database: SqliteDatabase,
) -> None:
    """The comparison above is blind to this."""
    await migrate(database)
    made = await run(
        database, "SELECT name FROM sqlite_master WHERE sql LIKE '%AUTOINCREMENT%' ORDER BY name"
    )
    tables = sorted(metadata.tables.values(), key=lambda table: table.name)
    wanted = [(table.name,) for table in tables if table.dialect_options["sqlite"]["autoincrement"]]
    assert made == wanted == [("api_tokens",), ("uploaded_files",), ("user_apis",)]


async def test_the_step_to_accounts_keeps_the_users_and_can_be_undone(
    database: SqliteDatabase,
) -> None:
    def step(to: str) -> Callable[[Connection], None]:
        def take(connection: Connection) -> None:
            connection.begin()
            config = alembic_config()
            config.attributes["connection"] = connection
            (command.downgrade if to < "0003" else command.upgrade)(config, to)

        return take

    async def go(to: str) -> None:
        async with database.connect(read_only=False) as connection:
            await connection.run_sync(step(to))
            await connection.commit()

    await migrate(database)
    user = await add_user(OpenSqlUnitOfWork(database, KEYS), "ada")
    await add_session(OpenSqlUnitOfWork(database, KEYS), user)
    await go("0002")
    assert await run(database, "SELECT username FROM users") == [("ada",)]
    tables = "SELECT name FROM sqlite_master WHERE name IN ('sign_ins', 'api_tokens', 'tickets')"
    assert await run(database, tables) == []
    await go("0003")
    found = await run(database, "SELECT id, username, password_hash, deleted_at FROM users")
    assert found == [(user, "ada", None, None)]


async def test_migrating_twice_and_from_two_processes_at_once_is_harmless(
    database: SqliteDatabase, tmp_path: Path
) -> None:
    other = SqliteDatabase(tmp_path / "deep" / "chat.db")
    await other.open()
    await asyncio.gather(migrate(database), migrate(other))
    await migrate(database)
    assert await is_current(other)
    await other.close()


async def test_a_commit_is_on_the_disk(database: SqliteDatabase) -> None:
    assert await run(database, "PRAGMA journal_mode") == [("wal",)]
    assert await run(database, "PRAGMA synchronous") == [(2,)]  # FULL
    assert await run(database, "PRAGMA foreign_keys") == [(1,)]


async def test_two_processes_on_one_file_lose_no_update(
    database: SqliteDatabase, tmp_path: Path
) -> None:
    await migrate(database)
    other = SqliteDatabase(tmp_path / "deep" / "chat.db")
    await other.open()
    works = [OpenSqlUnitOfWork(database, KEYS), OpenSqlUnitOfWork(other, KEYS)]
    user = await add_user(works[0])
    session_id = await add_session(works[0], user)

    async def count_up(number: int) -> None:
        async with works[number % 2]() as work:
            session = await work.sessions.lock(session_id, user)
            assert session is not None
            await work.sessions.save(session.ask("again")[0])
            await work.commit()

    await asyncio.gather(*(count_up(number) for number in range(40)))
    async with works[0](read_only=True) as work:
        session = await work.sessions.find(session_id, user)
    assert session is not None
    assert session.message_count == 40
    await other.close()


@pytest.mark.parametrize("stored", ["", "{", "null", '{"messages": [{"role": "nobody"}]}'])
async def test_a_call_that_can_not_be_read_is_claimed_all_the_same(
    database: SqliteDatabase, stored: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Else it would be tried for ever."""
    await migrate(database)
    works = OpenSqlUnitOfWork(database, KEYS)
    generation_id = await add_call(works, await add_user(works))

    def spoil(connection: Connection) -> None:
        connection.execute(text("UPDATE calls SET prompt = :stored"), {"stored": stored})

    async with database.connect(read_only=False) as connection:
        await connection.run_sync(spoil)
        await connection.commit()
    async with works() as work:
        turn = await work.generations.claim(generation_id, 60)
        await work.commit()
    assert turn is not None
    assert turn.given == Failure("internal_error", "What was asked can't be read any more.")
    assert "can't be read" in caplog.text


async def test_a_file_that_is_no_database_is_a_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    path.write_bytes(b"this is no database, but long enough to be looked at" * 100)
    database = SqliteDatabase(path)
    with pytest.raises(DatabaseUnavailable):
        await database.open()
    await database.close()


async def plans_of(database: SqliteDatabase, do: Callable[[], Awaitable[object]]) -> list[str]:
    """How the database goes about each statement of what is done."""
    statements: list[tuple[str, Any]] = []

    def note(_conn: object, _cursor: object, sql: str, values: Any, *_: object) -> None:
        statements.append((sql, values))

    def listen(connection: Connection) -> None:
        event.listen(connection, "before_cursor_execute", note)

    for read_only in (False, True):
        async with database.connect(read_only=read_only) as connection:
            await connection.run_sync(listen)
    await do()

    def explain(connection: Connection) -> list[str]:
        plans = []
        for sql, values in statements:
            if sql.startswith(("SELECT", "UPDATE", "INSERT", "DELETE")):
                cursor = connection.connection.cursor()
                cursor.execute(f"EXPLAIN QUERY PLAN {sql}", values)
                plans += [f"{row[-1]}   in {sql}" for row in cursor.fetchall()]
        return plans

    async with database.connect(read_only=True) as connection:
        return await connection.run_sync(explain)


async def test_the_cost_of_a_message_does_not_grow_with_the_history_of_its_session(
    database: SqliteDatabase,
) -> None:
    """No statement on the way of a message walks through a table, or through a session's past."""
    await migrate(database)
    works = OpenSqlUnitOfWork(database, KEYS)
    user = await add_user(works)
    session_id = await add_session(works, user)
    plans = await plans_of(database, lambda: answer_a_message(works, user, session_id))
    assert len(plans) > 20
    walks = (
        "SCAN chat",
        "SCAN user_apis",
        "TEMP B-TREE",
        "SCAN users",
        "SCAN sign_ins",
        "SCAN api_tokens",
        "SCAN tickets",
        "SCAN generations",
        "(session_id=?)   in",
    )
    allowed = ("ix_generations_active", "ix_generations_session_active", "uq_generations_running")
    bad = [
        plan
        for plan in plans
        if any(walk in plan for walk in walks) and not any(index in plan for index in allowed)
    ]
    assert not bad, "\n\n".join(bad)


async def test_calls_are_neither_in_the_way_of_lists_nor_looked_for_among_sessions(
    database: SqliteDatabase,
) -> None:
    await migrate(database)
    works = OpenSqlUnitOfWork(database, KEYS)
    user = await add_user(works)

    async def list_and_forget() -> None:
        async with works() as work:
            await work.sessions.page(user, 10, None)
            await work.sessions.page(user, 10, SessionPage(NOON, SessionId("session_1")))
            await work.retention.forget_expired(10)

    plans = await plans_of(database, list_and_forget)
    listed = [plan for plan in plans if "ix_chat_sessions_listed" in plan]
    expired = [plan for plan in plans if "ix_chat_sessions_expiry" in plan]
    assert (len(listed), len(expired)) == (2, 1)
    assert not [plan for plan in plans if "TEMP B-TREE" in plan]
