"""How the repositories reach a database, whichever driver is below."""

from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any, Concatenate, Final, ParamSpec, Protocol, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from domain.errors import DatabaseUnavailable

_POSTGRES_AWAY: Final = {
    "08",  # the connection is lost
    "28",  # we are not let in: since we were, the operator has changed something
    "3D",  # no such database: likewise
    "40",  # two transactions stood in each other's way, and this one was undone
    "53",  # full: connections, memory, disk
    "55P03",  # a lock was not given in time
    "57",  # shutting down, starting up, or a statement that took too long
    "58",  # the server's own disk
}
"""Classes of SQLSTATE, or whole ones: whoever tries again later may well succeed. Nothing was kept,
unless it was the commit that got no answer."""
_SQLITE_AWAY: Final = {
    "BUSY",
    "LOCKED",
    "FULL",
    "IOERR",
    "CANTOPEN",
    "READONLY",
    "NOMEM",
    "NOTADB",
    "CORRUPT",
}

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class SqlConnection(Protocol):
    """One transaction on one connection. SQLAlchemy's AsyncConnection is one as it stands."""

    async def run_sync(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:
        """Run a function of a plain Connection where it may block; several statements, one hop."""

    async def commit(self) -> None: ...

    async def rollback(self) -> None: ...


class Database(Protocol):
    def connect(self, *, read_only: bool) -> AbstractAsyncContextManager[SqlConnection]:
        """A connection for one transaction; rolled back on leaving, unless committed."""

    async def alone(self, work: Callable[[Connection], T], /) -> T:
        """Run a function of a plain Connection in a transaction of its own, however long it takes
        and where it may block. No two processes do this at once. Kept, unless it raises."""


class Repository:
    """What is remembered of one kind of thing, in one transaction."""

    __slots__ = ("connection",)

    def __init__(self, connection: SqlConnection) -> None:
        self.connection = connection


S = TypeVar("S", bound=Repository)


def statement(
    method: Callable[Concatenate[S, Connection, P], T],
) -> Callable[Concatenate[S, P], Coroutine[Any, Any, T]]:
    """Make a repository's method of a function of a plain Connection."""

    async def run(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        def work(connection: Connection) -> T:
            return method(self, connection, *args, **kwargs)

        return await translated(self.connection.run_sync(work))

    run.__doc__ = method.__doc__
    return run


async def translated(work: Awaitable[R]) -> R:
    """Raises DatabaseUnavailable for what a driver says when the database is away or full.

    What the driver says stays inside: it may name hosts and hold values.
    """
    try:
        return await work
    except DBAPIError as error:
        if _is_away(error):
            raise DatabaseUnavailable("The database does not answer.") from error
        raise
    except (PoolTimeout, OSError) as error:
        raise DatabaseUnavailable("The database does not answer.") from error


def _is_away(error: DBAPIError) -> bool:
    sqlite_code: str | None = getattr(error.orig, "sqlite_errorname", None)
    if sqlite_code is not None:
        return sqlite_code.split("_")[1] in _SQLITE_AWAY
    if error.connection_invalidated:
        return True
    sqlstate: str | None = getattr(error.orig, "sqlstate", None)
    if sqlstate is not None:
        return not _POSTGRES_AWAY.isdisjoint((sqlstate[:2], sqlstate))
    return isinstance(error, OperationalError | InterfaceError)
