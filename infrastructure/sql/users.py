from typing import Any

from sqlalchemy import Connection, Row, bindparam, select, update

from domain.errors import UsernameTaken
from domain.identifiers import UserId
from domain.repositories import KeptPassword
from domain.user import User
from infrastructure.sql.clock import now_ms, to_datetime
from infrastructure.sql.connection import Repository, statement
from infrastructure.sql.inserts import insert_if_free
from infrastructure.sql.tables import users

_NAMED = select(users).where(users.c.username == bindparam("named"))
_ADD = insert_if_free(users, created_at=now_ms()).returning(users)
_FIND = select(users).where(users.c.id == bindparam("user"), users.c.deleted_at.is_(None))
_THERE = _NAMED.where(users.c.deleted_at.is_(None))
_PASSWORD_OF = _THERE.where(users.c.password_hash.is_not(None))

_this = users.c.id == bindparam("user")
_DEFAULT_PERSONA = select(users.c.default_persona).where(_this)
_CHOOSE_DEFAULT_PERSONA = (
    update(users).where(_this).values(default_persona=bindparam("new_default_persona"))
)


class SqlUsers(Repository):
    @statement
    def get_or_add(self, connection: Connection, username: str) -> User:
        row = connection.execute(_NAMED, {"named": username}).one_or_none()
        if row is None:
            row = connection.execute(_ADD, {"username": username}).one_or_none()
        if row is None:  # somebody else was faster
            row = connection.execute(_NAMED, {"named": username}).one()
        return _user(row)

    @statement
    def named(self, connection: Connection, username: str) -> User | None:
        row = connection.execute(_THERE, {"named": username}).one_or_none()
        return None if row is None else _user(row)

    @statement
    def add(self, connection: Connection, username: str, hashed: str) -> User:
        values = {"username": username, "password_hash": hashed}
        row = connection.execute(_ADD, values).one_or_none()
        if row is None:
            raise UsernameTaken
        return _user(row)

    @statement
    def find(self, connection: Connection, user: UserId) -> User | None:
        row = connection.execute(_FIND, {"user": user}).one_or_none()
        return None if row is None else _user(row)

    @statement
    def password_of(self, connection: Connection, username: str) -> KeptPassword | None:
        row = connection.execute(_PASSWORD_OF, {"named": username}).one_or_none()
        return None if row is None else KeptPassword(_user(row), row.password_hash)

    @statement
    def default_persona(self, connection: Connection, user: UserId) -> str | None:
        return connection.execute(_DEFAULT_PERSONA, {"user": user}).scalar_one_or_none()

    @statement
    def choose_default_persona(self, connection: Connection, user: UserId, name: str) -> None:
        connection.execute(_CHOOSE_DEFAULT_PERSONA, {"user": user, "new_default_persona": name})


def _user(row: Row[Any]) -> User:
    return User(UserId(row.id), row.username, to_datetime(row.created_at))
