from sqlalchemy import Connection, bindparam, select

from domain.identifiers import UserId
from domain.user import User
from infrastructure.sql.clock import now_ms, to_datetime
from infrastructure.sql.connection import Repository, statement
from infrastructure.sql.inserts import insert_if_free
from infrastructure.sql.tables import users

_FIND = select(users).where(users.c.username == bindparam("named"))
_ADD = insert_if_free(users, created_at=now_ms()).returning(users)


class SqlUsers(Repository):
    @statement
    def get_or_add(self, connection: Connection, username: str) -> User:
        row = connection.execute(_FIND, {"named": username}).one_or_none()
        if row is None:
            row = connection.execute(_ADD, {"username": username}).one_or_none()
        if row is None:  # somebody else was faster
            row = connection.execute(_FIND, {"named": username}).one()
        return User(UserId(row.id), row.username, to_datetime(row.created_at))
