from sqlalchemy import Connection, bindparam, insert, select, update

from domain.identifiers import UserId
from domain.user import User
from infrastructure.sql.clock import now_ms, to_datetime
from infrastructure.sql.connection import Repository, statement
from infrastructure.sql.tables import users

_FIND = select(users).where(users.c.username == bindparam("named"))
_ADD = insert(users).values(created_at=now_ms()).returning(users)

_this = users.c.id == bindparam("user")
_DEFAULT_PERSONA = select(users.c.default_persona).where(_this)
_CHOOSE_DEFAULT_PERSONA = (
    update(users).where(_this).values(default_persona=bindparam("new_default_persona"))
)


class SqlUsers(Repository):
    @statement
    def get_or_add(self, connection: Connection, username: str) -> User:
        row = connection.execute(_FIND, {"named": username}).one_or_none()
        if row is None:
            row = connection.execute(_ADD, {"username": username}).one()
        return User(UserId(row.id), row.username, to_datetime(row.created_at))

    @statement
    def default_persona(self, connection: Connection, user: UserId) -> str | None:
        return connection.execute(_DEFAULT_PERSONA, {"user": user}).scalar_one_or_none()

    @statement
    def choose_default_persona(self, connection: Connection, user: UserId, name: str) -> None:
        connection.execute(_CHOOSE_DEFAULT_PERSONA, {"user": user, "new_default_persona": name})
