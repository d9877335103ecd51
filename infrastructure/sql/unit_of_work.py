from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from infrastructure.key_ring import KeyRing
from infrastructure.sql.api_configs import SqlApiConfigs
from infrastructure.sql.connection import Database, SqlConnection, translated
from infrastructure.sql.generations import SqlGenerations
from infrastructure.sql.idempotency_keys import SqlIdempotencyKeys
from infrastructure.sql.messages import SqlMessages
from infrastructure.sql.sessions import SqlChatSessions
from infrastructure.sql.users import SqlUsers


class SqlUnitOfWork:
    """One transaction, over one connection."""

    __slots__ = (
        "_connection", "api_configs", "generations", "idempotency_keys", "messages", "sessions",
        "users",
    )  # fmt: skip

    def __init__(self, connection: SqlConnection, key_ring: KeyRing) -> None:
        self._connection = connection
        self.users = SqlUsers(connection)
        self.sessions = SqlChatSessions(connection)
        self.messages = SqlMessages(connection)
        self.generations = SqlGenerations(connection)
        self.idempotency_keys = SqlIdempotencyKeys(connection)
        self.api_configs = SqlApiConfigs(connection, key_ring)

    async def commit(self) -> None:
        await translated(self._connection.commit())


@dataclass(frozen=True, slots=True)
class OpenSqlUnitOfWork:
    database: Database
    key_ring: KeyRing

    @asynccontextmanager
    async def __call__(self, *, read_only: bool = False) -> AsyncIterator[SqlUnitOfWork]:
        async with self.database.connect(read_only=read_only) as connection:
            yield SqlUnitOfWork(connection, self.key_ring)
