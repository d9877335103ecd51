"""What an operator does to a database by hand."""

from sqlalchemy import Connection, text

from application.ports import OpenUnitOfWork
from domain.identifiers import UserId
from infrastructure.sql.unit_of_work import OpenSqlUnitOfWork
from tests.fakes import FakeDatabase


async def delete_user(database: OpenUnitOfWork, user: UserId) -> None:
    if isinstance(database, FakeDatabase):
        database.state.deleted_users.add(user)
        return

    def delete(connection: Connection) -> None:
        connection.execute(text("UPDATE users SET deleted_at = 1 WHERE id = :id"), {"id": user})

    assert isinstance(database, OpenSqlUnitOfWork)
    async with database.database.connect(read_only=False) as connection:
        await connection.run_sync(delete)
        await connection.commit()
