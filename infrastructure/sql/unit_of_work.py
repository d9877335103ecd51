from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from infrastructure.key_ring import KeyRing
from infrastructure.sql.api_configs import SqlApiConfigs
from infrastructure.sql.api_tokens import SqlApiTokens
from infrastructure.sql.callers import SqlCallers
from infrastructure.sql.calls import SqlCalls
from infrastructure.sql.connection import Database, SqlConnection, translated
from infrastructure.sql.generations import SqlGenerations
from infrastructure.sql.idempotency_keys import SqlIdempotencyKeys
from infrastructure.sql.messages import SqlMessages
from infrastructure.sql.retention import SqlRetention
from infrastructure.sql.sessions import SqlChatSessions
from infrastructure.sql.sign_ins import SqlSignIns
from infrastructure.sql.tickets import SqlTickets
from infrastructure.sql.uploaded_files import SqlUploadedFiles
from infrastructure.sql.users import SqlUsers


class SqlUnitOfWork:
    """One transaction, over one connection."""

    __slots__ = (
        "_connection", "api_configs", "api_tokens", "callers", "calls", "files", "generations",
        "idempotency_keys", "messages", "retention", "sessions", "sign_ins", "tickets", "users",
    )  # fmt: skip

    def __init__(self, connection: SqlConnection, key_ring: KeyRing) -> None:
        self._connection = connection
        self.users = SqlUsers(connection)
        self.sessions = SqlChatSessions(connection)
        self.messages = SqlMessages(connection)
        self.calls = SqlCalls(connection)
        self.files = SqlUploadedFiles(connection)
        self.generations = SqlGenerations(connection)
        self.idempotency_keys = SqlIdempotencyKeys(connection)
        self.api_configs = SqlApiConfigs(connection, key_ring)
        self.sign_ins = SqlSignIns(connection)
        self.callers = SqlCallers(connection)
        self.api_tokens = SqlApiTokens(connection)
        self.retention = SqlRetention(connection)
        self.tickets = SqlTickets(connection)

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
