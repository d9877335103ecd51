"""What is special about Postgres, and the migrations."""

import asyncio
import threading
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from itertools import count
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, event, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from application.log_context import lines_are_about, only_about
from domain.errors import DatabaseUnavailable
from domain.identifiers import GenerationId, MessageId, SessionId, UserId
from domain.repositories import KeptRequest, NewSession
from infrastructure.key_ring import KeyRing
from infrastructure.sql import postgres as adapter
from infrastructure.sql.connection import SqlConnection, translated
from infrastructure.sql.migrate import CannotMigrate, is_current, migrate
from infrastructure.sql.postgres import PostgresDatabase
from infrastructure.sql.tables import metadata
from infrastructure.sql.unit_of_work import OpenSqlUnitOfWork
from tests.builders import add_session, add_user
from tests.infrastructure.statements import answer_a_message
from tests.servers import Postgres, as_user, database_named

KEYS = KeyRing([bytes(32)])
SOON = 0.2
"""Seconds, in place of the real limits."""


@pytest.fixture
def works(postgres: PostgresDatabase) -> OpenSqlUnitOfWork:
    return OpenSqlUnitOfWork(postgres, KEYS)


@pytest.fixture
async def observer(postgres_url: str) -> AsyncIterator[PostgresDatabase]:
    """Another process on the same database."""
    database = PostgresDatabase(postgres_url)
    yield database
    await database.close()


async def run(connection: SqlConnection, sql: str) -> list[Any]:
    def execute(connection: Connection) -> list[Any]:
        result = connection.execute(text(sql))
        return list(result.scalars()) if result.returns_rows else []

    return await translated(connection.run_sync(execute))


async def ask(database: PostgresDatabase, sql: str) -> list[Any]:
    async with database.connect(read_only=True) as connection:
        return await run(connection, sql)


async def until(database: PostgresDatabase, condition: str) -> None:
    """Asks again and again."""
    while await ask(database, f"SELECT {condition}") != [True]:
        pass


async def test_a_reader_changes_nothing(postgres: PostgresDatabase) -> None:
    async with postgres.connect(read_only=True) as connection:
        with pytest.raises(DBAPIError, match="read-only transaction"):
            await run(connection, "INSERT INTO users (username, created_at) VALUES ('ada', 1)")


async def test_a_connection_of_the_pool_is_not_about_the_request_that_needed_it(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, connect = [], asyncpg.connect

    async def noting(*values: Any, **named: Any) -> Any:
        seen.append(lines_are_about())
        return await connect(*values, **named)

    monkeypatch.setattr(asyncpg, "connect", noting)
    database = PostgresDatabase(postgres_url)
    only_about(request_id="request-01")
    assert await ask(database, "SELECT 1") == [1]
    only_about()
    await database.close()
    assert seen == [{}]


async def test_a_reader_sees_one_moment(works: OpenSqlUnitOfWork) -> None:
    user = await add_user(works)
    async with works(read_only=True) as reading:
        assert await reading.sessions.find(SessionId("session_1"), user) is None
        await add_session(works, user, "session_1")
        assert await reading.sessions.find(SessionId("session_1"), user) is None
    async with works(read_only=True) as reading:
        assert await reading.sessions.find(SessionId("session_1"), user) is not None


async def test_who_locks_a_session_sees_what_was_committed_while_it_waited(
    works: OpenSqlUnitOfWork, observer: PostgresDatabase
) -> None:
    user = await add_user(works)
    session_id = await add_session(works, user)

    async def ask_again() -> int:
        async with works() as work:
            session = await work.sessions.lock(session_id, user)
            assert session is not None
            return session.ask("again")[1]

    async with works() as work:
        session = await work.sessions.lock(session_id, user)
        assert session is not None
        waiting = asyncio.create_task(ask_again())
        await until(observer, "count(*) = 1 FROM pg_locks WHERE NOT granted")
        await work.sessions.save(session.ask("first")[0])
        await work.commit()
    assert await waiting == 3


async def test_who_adds_a_key_waits_for_whoever_is_adding_it(
    works: OpenSqlUnitOfWork, observer: PostgresDatabase
) -> None:
    user = await add_user(works)
    kept = KeptRequest("digest", SessionId("s"), MessageId(1), GenerationId("g"))

    async def add() -> bool:
        async with works() as work:
            return await work.idempotency_keys.add(user, "key", kept)

    async with works() as work:
        assert await work.idempotency_keys.add(user, "key", kept)
        waiting = asyncio.create_task(add())
        await until(observer, "count(*) = 1 FROM pg_locks WHERE NOT granted")
        await work.commit()
    assert await waiting is False


async def test_what_the_database_refuses_is_no_failure_of_it(works: OpenSqlUnitOfWork) -> None:
    with pytest.raises(IntegrityError):
        async with works() as work:
            await work.sessions.add(NewSession(SessionId("s"), UserId(99)))
    with pytest.raises(DBAPIError, match="out of int64 range"):
        async with works() as work:
            await work.sessions.find(SessionId("s"), UserId(2**63))


async def test_a_server_that_is_away_is_a_clear_error(unused_tcp_port: int) -> None:
    database = PostgresDatabase(f"postgresql://ada:secret@127.0.0.1:{unused_tcp_port}/chat")
    with pytest.raises(DatabaseUnavailable):
        await database.open()
    with pytest.raises(DatabaseUnavailable):
        await migrate(database)
    await database.close()


@pytest.mark.parametrize(
    ("change", "parameters"),
    [
        (lambda url: as_user(url, urlsplit(url).username or "", "secret"), ""),
        (lambda url: as_user(url, "nobody", "secret"), ""),
        (lambda url: database_named(url, "nothing"), ""),
        (str, "?sslmode=secret"),
        (str, "?sslmode=require"),
        (str, "?sslmode=verify-full&sslrootcert=/nowhere"),
        (str, "?some_setting=secret"),
        (str, "?secret"),
    ],
)
async def test_who_is_not_let_in_is_told_so_without_the_password(
    postgres_url: str, change: Callable[[str], str], parameters: str
) -> None:
    database = PostgresDatabase(change(postgres_url) + parameters)
    with pytest.raises(DatabaseUnavailable) as raised:
        await database.open()
    if not parameters:  # it may have been right when the process started
        with pytest.raises(DatabaseUnavailable):
            await ask(database, "SELECT 1")
    await database.close()
    assert "secret" not in str(raised.value)
    password = urlsplit(postgres_url).password or "secret"
    for shown in (
        "".join(traceback.format_exception(raised.value)),
        repr(database),
        repr(vars(database)["_writing"]),
    ):
        assert password not in shown


@asynccontextmanager
async def proxy(url: str) -> AsyncIterator["Proxy"]:
    made = Proxy(url)
    server = await asyncio.start_server(made.pass_on, "127.0.0.1", 0)
    parts = urlsplit(url)
    user, port = parts.netloc.rpartition("@")[0], server.sockets[0].getsockname()[1]
    made.url = parts._replace(netloc=f"{user}@127.0.0.1:{port}").geturl()
    async with server:
        yield made
        for task in made.passing:
            task.cancel()
        await asyncio.gather(*made.passing, return_exceptions=True)


class Proxy:
    """Stands before a server, and can swallow all that is said."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.host, self.port = parts.hostname, parts.port or 5432
        self.url = ""
        self.silent = False
        self.passing: list[asyncio.Task[None]] = []
        self._lost = 0

    def lose_all(self) -> None:
        """The connections so far are of no use, but nobody is told."""
        self._lost = len(self.passing)

    async def pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection(self.host, self.port)
        number = len(self.passing)
        for source, target in ((reader, there_writer), (there_reader, writer)):
            self.passing.append(asyncio.create_task(self._copy(source, target, number)))

    async def _copy(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, number: int
    ) -> None:
        try:
            with suppress(ConnectionError):
                while data := await source.read(65_536):
                    if not self.silent and number >= self._lost:
                        target.write(data)
            if self.silent or number < self._lost:
                await asyncio.Event().wait()  # nor is the other side told of the end
        finally:
            target.close()


async def test_a_server_that_falls_silent_is_given_up(
    postgres_url: str, observer: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "_ANSWER_SECONDS", SOON)
    monkeypatch.setattr(adapter, "_CONNECT_SECONDS", SOON)
    monkeypatch.setattr(adapter, "_TRUST_SECONDS", 0)
    async with proxy(postgres_url) as between:
        database = PostgresDatabase(between.url)
        monkeypatch.setattr(adapter, "_CONNECT_SECONDS", 60)
        assert await ask(database, "SELECT 1") == [1]
        monkeypatch.setattr(adapter, "_CONNECT_SECONDS", SOON)

        async def fall_silent_within() -> None:
            async with database.connect(read_only=True) as connection:
                assert await run(connection, "SELECT 2") == [2]
                between.silent = True
                await run(connection, "SELECT 3")

        with pytest.raises(DatabaseUnavailable):
            await fall_silent_within()
        for _ in range(2 * adapter._READERS):
            with pytest.raises(DatabaseUnavailable):
                await ask(database, "SELECT 4")
        between.silent = False
        between.lose_all()
        monkeypatch.setattr(adapter, "_CONNECT_SECONDS", 60)
        assert await ask(database, "SELECT 5") == [5]
        await expect_whole(database, observer)
        between.silent = True
        await database.close()


async def test_a_rollback_without_an_answer_throws_the_connection_away(
    postgres_url: str, observer: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "_ANSWER_SECONDS", SOON)
    async with proxy(postgres_url) as between:
        database = PostgresDatabase(between.url)
        async with database.connect(read_only=False) as connection:
            await run(connection, "SELECT 1")
            between.silent = True
        between.silent = False
        between.lose_all()
        monkeypatch.setattr(adapter, "_ANSWER_SECONDS", 60)
        await expect_whole(database, observer)
        await database.close()


async def test_a_connection_that_died_while_it_was_idle_is_made_anew(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "_TRUST_SECONDS", 0)
    monkeypatch.setattr(adapter, "_ANSWER_SECONDS", SOON)
    async with proxy(postgres_url) as between:
        database = PostgresDatabase(between.url)
        [before] = await ask(database, "SELECT pg_backend_pid()")
        between.lose_all()
        monkeypatch.setattr(adapter, "_ANSWER_SECONDS", 60)
        [after] = await ask(database, "SELECT pg_backend_pid()")
        assert before != after
        await database.close()


END_THE_OTHERS = (
    "count(pg_terminate_backend(pid)) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid != pg_backend_pid()"
)
OTHERS_ARE_GONE = (
    "count(*) = 0 FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid != pg_backend_pid()"
)


async def test_after_a_restart_of_the_server_the_next_one_works(
    postgres: PostgresDatabase, works: OpenSqlUnitOfWork, observer: PostgresDatabase
) -> None:
    async def lose_the_connection() -> None:
        async with postgres.connect(read_only=False) as connection:
            await run(connection, "SELECT 1")
            await ask(observer, f"SELECT {END_THE_OTHERS}")
            await until(observer, OTHERS_ARE_GONE)
            await run(connection, "SELECT 1")

    user = await add_user(works)
    with pytest.raises(DatabaseUnavailable):
        await lose_the_connection()
    assert await add_user(works) == user
    assert await ask(postgres, "SELECT 1") == [1]
    await expect_whole(postgres, observer)


async def expect_whole(database: PostgresDatabase, observer: PostgresDatabase) -> None:
    """Every connection of the pools is free, and none is in a transaction."""
    while database._tasks:
        await asyncio.wait(database._tasks)
    async with AsyncExitStack() as stack:
        async with asyncio.timeout(60):
            for number in range(adapter._WRITERS + adapter._READERS):
                read_only = number >= adapter._WRITERS
                await stack.enter_async_context(database.connect(read_only=read_only))
        await until(observer, "count(*) = 0 FROM pg_stat_activity WHERE state LIKE '%transaction%'")


@pytest.mark.parametrize(
    ("limit", "sql"),
    [
        ("statement_timeout", "SELECT pg_sleep(60)"),
        ("lock_timeout", "SELECT id FROM users FOR UPDATE"),
    ],
)
async def test_what_takes_too_long_is_ended_by_the_server_and_the_connection_is_used_again(
    postgres_url: str,
    observer: PostgresDatabase,
    monkeypatch: pytest.MonkeyPatch,
    limit: str,
    sql: str,
) -> None:
    monkeypatch.setitem(adapter._LIMITS, limit, f"{SOON}s")
    database = PostgresDatabase(postgres_url)
    await add_user(OpenSqlUnitOfWork(database, KEYS))
    async with database.connect(read_only=False) as connection:
        [pid] = await run(connection, "SELECT pg_backend_pid()")
    async with observer.connect(read_only=False) as holder:
        await run(holder, "SELECT id FROM users FOR UPDATE")
        with pytest.raises(DatabaseUnavailable):
            async with database.connect(read_only=False) as connection:
                await run(connection, sql)
    async with database.connect(read_only=False) as connection:
        assert await run(connection, "SELECT pg_backend_pid()") == [pid]
    await database.close()


async def test_of_two_who_stand_in_each_others_way_one_may_try_again(
    works: OpenSqlUnitOfWork, postgres: PostgresDatabase
) -> None:
    for name in ("ada", "bob"):
        await add_user(works, name)
    together = asyncio.Barrier(2)

    async def lock(first: str, second: str) -> None:
        async with postgres.connect(read_only=False) as connection:
            await run(connection, f"SELECT id FROM users WHERE username = '{first}' FOR UPDATE")
            await together.wait()
            await run(connection, f"SELECT id FROM users WHERE username = '{second}' FOR UPDATE")

    ended = await asyncio.gather(lock("ada", "bob"), lock("bob", "ada"), return_exceptions=True)
    assert sorted(map(type, ended), key=str) == [type(None), DatabaseUnavailable]


async def test_whatever_can_hang_has_a_limit(postgres: PostgresDatabase) -> None:
    for read_only in (False, True):
        async with postgres.connect(read_only=read_only) as connection:
            shown = [(await run(connection, f"SHOW {limit}"))[0] for limit in adapter._LIMITS]
        assert shown == ["4s", "3s", "5s"]


async def test_a_frozen_process_holds_a_lock_for_no_longer_than_the_server_lets_it(
    postgres_url: str, observer: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(adapter._LIMITS, "idle_in_transaction_session_timeout", f"{SOON}s")
    database = PostgresDatabase(postgres_url)
    works = OpenSqlUnitOfWork(database, KEYS)

    async def freeze() -> None:
        async with works() as work:
            await work.users.get_or_add("ada")
            await until(observer, OTHERS_ARE_GONE)
            await work.commit()

    with pytest.raises(DatabaseUnavailable):
        await freeze()
    await add_user(works)
    await database.close()


async def test_readers_do_not_wait_when_writers_have_all_their_connections(
    postgres: PostgresDatabase, observer: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with AsyncExitStack() as stack:
        for _ in range(adapter._WRITERS):
            await stack.enter_async_context(postgres.connect(read_only=False))
        monkeypatch.setattr(adapter, "_CONNECT_SECONDS", SOON)
        with pytest.raises(DatabaseUnavailable):
            async with postgres.connect(read_only=False):
                raise AssertionError("there is no connection left")
        monkeypatch.setattr(adapter, "_CONNECT_SECONDS", 60)
        assert await ask(postgres, "SELECT 1") == [1]
    await expect_whole(postgres, observer)


async def test_a_server_without_room_for_us_is_away(postgres_server: Postgres) -> None:
    async with postgres_server.database() as url:
        administrator = PostgresDatabase(postgres_server.url)
        async with administrator.connect(read_only=False) as connection:
            name = url.rpartition("/")[2]
            if await run(connection, "SHOW is_superuser") != ["on"]:
                pytest.skip("only a superuser may make the user who finds no room")
            await run(connection, "CREATE ROLE guest LOGIN PASSWORD 'guest'")
            await run(connection, f"ALTER DATABASE {name} CONNECTION LIMIT 0")
            await connection.commit()
        guest = PostgresDatabase(as_user(url, "guest", "guest"))
        with pytest.raises(DatabaseUnavailable):
            async with guest.connect(read_only=True):
                pass
        await guest.close()
        async with administrator.connect(read_only=False) as connection:
            await run(connection, "DROP ROLE guest")
            await connection.commit()
        await administrator.close()


@pytest.mark.parametrize("connects", [True, False])
async def test_a_cancelled_caller_leaves_no_transaction_behind_wherever_it_was(
    postgres_url: str, observer: PostgresDatabase, monkeypatch: pytest.MonkeyPatch, connects: bool
) -> None:
    """While it `connects`, in a statement, in a commit, on leaving."""
    monkeypatch.setattr(adapter, "_WRITERS", 2)
    monkeypatch.setattr(adapter, "_READERS", 1)
    database = PostgresDatabase(postgres_url)
    user = await add_user(OpenSqlUnitOfWork(database, KEYS))
    if connects:
        await database.close()
        database = PostgresDatabase(postgres_url)
    else:
        await expect_whole(database, observer)
    numbers = count()

    async def write(works: OpenSqlUnitOfWork) -> None:
        async with works() as work:
            new = NewSession(SessionId(f"session_{next(numbers)}"), user)
            assert await work.sessions.add(new)
            await work.commit()

    steps = 0
    finished = False
    while not finished:  # a little further each time
        writing = asyncio.create_task(write(OpenSqlUnitOfWork(database, KEYS)))
        for _ in range(steps):
            await asyncio.sleep(0)
        finished = writing.done()
        writing.cancel()
        with suppress(asyncio.CancelledError):
            await writing
        if connects:
            await database.close()  # also what was begun for a caller who is gone
            await until(observer, OTHERS_ARE_GONE)
            database = PostgresDatabase(postgres_url)
        else:
            await expect_whole(database, observer)
        steps += 1 + steps // 8
    assert steps > 10
    await database.close()


async def test_who_is_cancelled_while_a_connection_is_set_up_does_not_lose_it(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pids: list[int] = []
    begun = asyncio.Event()
    real = asyncpg.Connection.set_type_codec

    async def set_type_codec(connection: Any, *args: Any, **kwargs: Any) -> None:
        pids.append(connection.get_server_pid())
        begun.set()
        await real(connection, *args, **kwargs)

    monkeypatch.setattr(asyncpg.Connection, "set_type_codec", set_type_codec)
    database = PostgresDatabase(postgres_url)
    asking = asyncio.create_task(ask(database, "SELECT 1"))
    await begun.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await asyncio.wait(database._tasks)
    assert await ask(database, "SELECT pg_backend_pid()") == pids[:1]
    await database.close()


async def test_who_is_cancelled_on_leaving_gives_the_connection_back_even_so(
    postgres: PostgresDatabase,
) -> None:
    pids = []
    left = asyncio.Event()

    async def leave() -> None:
        async with postgres.connect(read_only=False) as connection:
            pids.extend(await run(connection, "SELECT pg_backend_pid()"))
            left.set()

    leaving = asyncio.create_task(leave())
    await left.wait()
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    await asyncio.wait(postgres._tasks)
    async with postgres.connect(read_only=False) as connection:
        assert await run(connection, "SELECT pg_backend_pid()") == pids


async def test_the_migrations_make_the_tables_of_the_code(postgres_server: Postgres) -> None:
    async with postgres_server.database("template0") as url:
        database = PostgresDatabase(url)
        assert not await is_current(database)
        await migrate(database)
        assert await is_current(database)

        def differences(connection: Connection) -> list[Any]:
            context = MigrationContext.configure(connection, opts={"compare_server_default": True})
            return list(compare_metadata(context, metadata))

        async with database.connect(read_only=True) as connection:
            assert await connection.run_sync(differences) == []
        await database.close()


async def test_what_is_done_alone_may_block(postgres: PostgresDatabase) -> None:
    here = threading.get_ident()
    assert await postgres.alone(lambda connection: threading.get_ident()) != here


async def test_who_migrates_at_once_takes_turns(postgres_server: Postgres) -> None:
    async with postgres_server.database("template0") as url:
        databases = [PostgresDatabase(url) for _ in range(4)]
        await asyncio.gather(*(migrate(database) for database in databases))
        await migrate(databases[0])
        assert await is_current(databases[1])
        for database in databases:
            await database.close()


async def test_a_failed_migration_leaves_nothing_and_is_a_clear_error(
    postgres_server: Postgres,
) -> None:
    async with postgres_server.database("template0") as url:
        database = PostgresDatabase(url)
        async with database.connect(read_only=False) as connection:
            await run(connection, "CREATE TABLE chat_messages (somebody_elses TEXT)")
            await connection.commit()
        with pytest.raises(CannotMigrate):
            await migrate(database)
        tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        assert await ask(database, tables) == ["chat_messages"]
        await database.close()


async def test_the_cost_of_a_message_does_not_grow_with_the_history_of_its_session(
    postgres: PostgresDatabase, works: OpenSqlUnitOfWork
) -> None:
    """Every statement on its way has an index to go by."""
    user = await add_user(works)
    session_id = await add_session(works, user)
    statements: list[tuple[str, Any]] = []

    def note(_conn: object, _cursor: object, sql: str, values: Any, *_: object) -> None:
        statements.append((sql, values))

    for engine in (postgres._writing, postgres._reading):
        event.listen(engine.sync_engine, "before_cursor_execute", note)
    await answer_a_message(works, user, session_id)
    asked = [each for each in statements if each[0].startswith(("SELECT", "UPDATE"))]
    assert len(asked) > 15

    def explain(connection: Connection) -> list[str]:
        """As they are planned once they were used a few times: whatever the values are."""
        connection.exec_driver_sql("SET LOCAL plan_cache_mode = force_generic_plan")
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")  # faster in an empty table
        plans = []
        for number, (sql, values) in enumerate(asked):
            connection.exec_driver_sql(f"PREPARE s{number} AS {sql}")
            given = f"({', '.join('NULL' for _ in values)})" if values else ""
            rows = connection.exec_driver_sql(f"EXPLAIN EXECUTE s{number}{given}")
            plans.append("\n".join([sql, *(row[0] for row in rows)]))
        return plans

    async with postgres.connect(read_only=False) as connection:
        plans = await connection.run_sync(explain)
    walks = [plan for plan in plans if "Seq Scan" in plan]
    assert not walks, "\n\n".join(walks)
    # Neither are those looked through that ended long ago: it is one by its key, or some of the few
    # that are active.
    small = ("_active", "uq_generations_running", "using pk_generations")
    active = [plan for plan in plans if "status IN" in plan]
    past = [plan for plan in active if not any(index in plan for index in small)]
    assert not past, "\n\n".join(past)
