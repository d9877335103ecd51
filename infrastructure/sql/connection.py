"""How the repositories reach a database, whichever driver is below."""

from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any, Concatenate, Final, ParamSpec, Protocol, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from domain.errors import DatabaseUnavailable

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
    return error.connection_invalidated or isinstance(error, OperationalError | InterfaceError)
