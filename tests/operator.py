"""What an operator does to a database by hand."""

from dataclasses import replace
from datetime import timedelta

from sqlalchemy import Connection, text

from application.ports import OpenUnitOfWork
from domain.identifiers import SessionId, UserId
from infrastructure.sql.unit_of_work import OpenSqlUnitOfWork
from tests.fakes import FakeDatabase


async def age_session(database: OpenUnitOfWork, session_id: SessionId, days: int) -> None:
    """Nothing has happened in it for so many days more."""
    if isinstance(database, FakeDatabase):
        session = database.state.sessions[session_id]
        older = session.updated_at - timedelta(days=days)
        database.state.sessions[session_id] = replace(session, updated_at=older)
        return
    sql = "UPDATE chat_sessions SET updated_at = updated_at - :less WHERE id = :id"
    await _do(database, sql, {"id": session_id, "less": days * 86_400_000})


async def delete_user(database: OpenUnitOfWork, user: UserId) -> None:
    if isinstance(database, FakeDatabase):
        database.state.deleted_users.add(user)
        return
    await _do(database, "UPDATE users SET deleted_at = 1 WHERE id = :id", {"id": user})


async def _do(database: OpenUnitOfWork, sql: str, values: dict[str, int | str]) -> None:
    def run(connection: Connection) -> None:
        connection.execute(text(sql), values)

    assert isinstance(database, OpenSqlUnitOfWork)
    async with database.database.connect(read_only=False) as connection:
        await connection.run_sync(run)
        await connection.commit()
