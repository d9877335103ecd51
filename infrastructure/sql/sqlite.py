"""SQLite, each connection in a thread of its own.

SQLAlchemy's asyncio driver for SQLite crosses to its thread for every cursor, execute, fetch and
commit: a transaction of four inserts took 2.2 ms with it, and 0.6 ms this way
(docs/decisions/0001-sqlite-in-threads.md).
"""

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.pool import NullPool

from infrastructure.sql.connection import translated

T = TypeVar("T")

_READERS: Final = 2
_BUSY_SECONDS: Final = 10
"""How long to wait for the writer of another process before saying that the file is locked."""


class SqliteDatabase:
    """One writing connection, used in turn, and a few reading ones beside it (WAL)."""

    def __init__(self, path: Path) -> None:
        self._path: Final = path
        self._writer: Final = _ThreadConnection(_engine(path, "BEGIN IMMEDIATE"), "sqlite-writer")
        self._writing: Final = asyncio.Lock()
        self._reader_engine: Final = _engine(path, "BEGIN")
        self._readers: Final[list[_ThreadConnection]] = []
        self._idle_readers: Final[asyncio.LifoQueue[_ThreadConnection]] = asyncio.LifoQueue()

    async def open(self) -> None:
        """Raises DatabaseUnavailable if the file can't be used."""
        await translated(self._writer.open(self._path.parent))
        for number in range(_READERS):
            reader = _ThreadConnection(self._reader_engine, f"sqlite-reader-{number}")
            await translated(reader.open())
            self._readers.append(reader)
            self._idle_readers.put_nowait(reader)

    async def close(self) -> None:
        for connection in (*self._readers, self._writer):
            await connection.close()

    @asynccontextmanager
    async def connect(self, *, read_only: bool) -> "AsyncIterator[_ThreadConnection]":
        if not read_only:
            async with self._writing:
                with self._writer.transaction():
                    yield self._writer
            return
        reader = await self._idle_readers.get()
        try:
            with reader.transaction():
                yield reader
        finally:
            self._idle_readers.put_nowait(reader)

    async def alone(self, work: Callable[[Connection], T]) -> T:
        async with self.connect(read_only=False) as connection:
            done = await connection.run_sync(work)
            await connection.commit()
        return done


class _ThreadConnection:
    """A connection and its thread. Calls are done in their order, also when a caller is gone."""

    def __init__(self, engine: Engine, name: str) -> None:
        self._engine: Final = engine
        self._thread: Final = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._connection: Connection | None = None
        self._begun = False

    async def open(self, folder: Path | None = None) -> None:
        """Connect, in a folder that is made if it must be."""

        def connect() -> None:
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True)
            self._connection = self._engine.connect()
            self._connection.exec_driver_sql("SELECT 1")
            self._connection.rollback()

        await self._in_thread(connect)

    async def close(self) -> None:
        if self._connection is not None:
            await self._in_thread(self._connection.close)
        self._thread.shutdown(wait=False)

    async def run_sync(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:
        if self._connection is None:
            raise RuntimeError("the database is not open")
        self._begun = True
        return await self._in_thread(functools.partial(fn, self._connection, *args, **kwargs))

    async def commit(self) -> None:
        await self.run_sync(Connection.commit)
        self._begun = False

    async def rollback(self) -> None:
        await self.run_sync(Connection.rollback)
        self._begun = False

    @contextmanager
    def transaction(self) -> Iterator[None]:
        try:
            yield
        finally:
            if self._begun and self._connection is not None:
                # Nobody waits for it: whatever uses this thread next comes after it. The same
                # holds for a statement whose caller was cancelled: it is rolled back when done.
                self._begun = False
                self._thread.submit(self._connection.rollback)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _engine(path: Path, begin: str) -> Engine:
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        poolclass=NullPool,
        connect_args={"timeout": _BUSY_SECONDS, "check_same_thread": False},
        hide_parameters=True,  # the traceback of a fault is not to tell what users write
    )

    @event.listens_for(engine, "connect")
    def _prepare(dbapi_connection: Any, _record: object) -> None:
        # The driver would begin by itself, too late and not immediately.
        dbapi_connection.isolation_level = None
        # FULL: a message that was accepted is on the disk, for 0.3 ms more.
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
            dbapi_connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine
