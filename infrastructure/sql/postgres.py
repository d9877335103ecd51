"""Postgres, over asyncpg."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, TypeVar

import asyncpg
from sqlalchemy import Connection, event, text
from sqlalchemy.exc import DBAPIError, DisconnectionError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry, NullPool

from application.log_context import begin_apart
from domain.errors import DatabaseUnavailable
from infrastructure.sql.connection import translated

T = TypeVar("T")

_WRITERS: Final = 10
_READERS: Final = 6
"""Connections of one process. No transaction of ours waits for anything but the database, so a few
do the work of many; and six processes fit into the 100 that Postgres gives by default."""

_CONNECT_SECONDS: Final = 5.0
"""For a connection of the pool, in all: to wait for a free one, to try it, to make a new one."""
_STATEMENT_SECONDS: Final = 4.0
"""Ours take milliseconds. The server is to say so first: it ends the statement, and the connection
can be used again."""
_ANSWER_SECONDS: Final = 5.5
"""For a server that says nothing any more. SQLAlchemy takes another two to end the connection, and
who waits for both is to be told within eight."""
_LOCK_SECONDS: Final = 3.0
"""For a row that another transaction changes. It takes milliseconds, unless its process hangs."""
_IDLE_SECONDS: Final = 5.0
"""After which the server ends a transaction whose process says nothing (it is frozen, or its host
is gone), so that its locks are held no longer."""
_TRUST_SECONDS: Final = 10.0
"""A connection that was idle for longer is tried before it is used. To try it each time, as
SQLAlchemy's pre-ping does, takes three exchanges: 270 µs of the 840 of a small transaction."""

_ALONE: Final = 0x6C6C6D63686174  # "llmchat"
"""The advisory lock of who is to be alone in this database."""

_LIMITS: Final = {
    "statement_timeout": f"{_STATEMENT_SECONDS}s",
    "lock_timeout": f"{_LOCK_SECONDS}s",
    "idle_in_transaction_session_timeout": f"{_IDLE_SECONDS}s",
}


class PostgresDatabase:
    """A pool to write and one to read, so that readers wait for no writer, not even for its
    connection."""

    def __init__(self, url: str) -> None:
        """As libpq has it: `postgresql://user:password@host:port/database?sslmode=…`"""
        self._url: Final = url
        self._writing: Final = _engine(url, _WRITERS, "READ COMMITTED")
        self._reading: Final = _engine(url, _READERS, "REPEATABLE READ").execution_options(
            postgresql_readonly=True
        )
        self._tasks: Final[set[asyncio.Task[Any]]] = set()

    async def open(self) -> None:
        """Raises DatabaseUnavailable if the database can't be used."""
        try:
            async with self.connect(read_only=True) as connection:
                await translated(connection.execute(text("SELECT 1")))
        except DBAPIError as error:
            raise DatabaseUnavailable("The database can't be used.") from error
        except ValueError:  # it may quote any part of the URL
            raise DatabaseUnavailable("The database's URL can't be read.") from None

    async def close(self) -> None:
        while self._tasks:
            await asyncio.wait(self._tasks)
        # All connections at once: a server that says nothing takes its time for each.
        pools = [self._writing] * _WRITERS + [self._reading] * _READERS
        await asyncio.gather(*(engine.dispose() for engine in pools))

    @asynccontextmanager
    async def connect(self, *, read_only: bool) -> AsyncIterator[AsyncConnection]:
        engine = self._reading if read_only else self._writing
        connection = await translated(self._connected(engine))
        try:
            yield connection
        finally:
            await asyncio.shield(self._task(_leave(connection)))

    async def alone(self, work: Callable[[Connection], T]) -> T:
        # In a thread with a loop of its own, where the work may block.
        return await asyncio.to_thread(asyncio.run, _alone(self._url, work))

    async def _connected(self, engine: AsyncEngine) -> AsyncConnection:
        connecting = self._task(engine.connect().start())
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                return await asyncio.shield(connecting)
        except (asyncio.CancelledError, TimeoutError):
            self._task(_leave_unused(connecting))
            raise

    def _task(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """One that goes on when its caller is cancelled: in the midst of making a connection, or of
        giving it back, SQLAlchemy would lose it or throw it away. The connection outlives it too,
        so it is nobody's."""
        task = begin_apart(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _engine(url: str, connections: int, isolation: str) -> AsyncEngine:
    async def connect() -> "asyncpg.Connection[asyncpg.Record]":
        return await asyncpg.connect(
            url,
            timeout=_CONNECT_SECONDS,
            command_timeout=_ANSWER_SECONDS,
            server_settings=_LIMITS,
        )

    # asyncpg reads the URL, not SQLAlchemy: so it may have libpq's parameters, and the engine
    # does not know the password.
    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=connect,
        isolation_level=isolation,
        pool_size=connections,
        max_overflow=0,
        pool_timeout=_CONNECT_SECONDS,
        hide_parameters=True,  # the traceback of a fault is not to tell what users write
    )
    event.listen(engine.sync_engine, "checkin", _note_idle)
    event.listen(engine.sync_engine, "checkout", _try_if_idle)
    return engine


def _note_idle(_connection: object, record: ConnectionPoolEntry) -> None:
    record.info["idle_since"] = time.monotonic()


def _try_if_idle(connection: Any, record: ConnectionPoolEntry, _proxy: object) -> None:
    """Raises DisconnectionError, for which the pool makes a new connection."""
    if connection.driver_connection.is_closed():  # a server that ends tells us so
        raise DisconnectionError
    idle_since = record.info.get("idle_since")
    if idle_since is not None and time.monotonic() - idle_since > _TRUST_SECONDS:
        try:
            connection.ping()
        except Exception as error:
            raise DisconnectionError from error


async def _leave_unused(connecting: asyncio.Task[AsyncConnection]) -> None:
    with suppress(SQLAlchemyError, OSError):
        await _leave(await connecting)


async def _leave(connection: AsyncConnection) -> None:
    """Roll back what was not committed, and give the connection back to its pool."""
    with suppress(SQLAlchemyError, OSError):  # then it is thrown away, and the server rolls back
        await connection.close()


async def _alone(url: str, work: Callable[[Connection], T]) -> T:
    async def connect() -> "asyncpg.Connection[asyncpg.Record]":
        return await asyncpg.connect(url, timeout=_CONNECT_SECONDS)

    engine = create_async_engine("postgresql+asyncpg://", async_creator=connect, poolclass=NullPool)
    async with engine.begin() as connection:
        await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ALONE})
        return await connection.run_sync(work)
