from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Row, bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError

from domain.errors import UsernameTaken
from domain.identifiers import UserId
from domain.repositories import KeptPassword
from domain.user import User
from infrastructure.sql.clock import now_ms, to_datetime
from infrastructure.sql.connection import Repository, statement
from infrastructure.sql.tables import users

_NAMED = select(users).where(users.c.username == bindparam("named"))
_ADD = insert(users).values(created_at=now_ms()).returning(users)
_FIND = select(users).where(users.c.id == bindparam("user"), users.c.deleted_at.is_(None))
_PASSWORD_OF = _NAMED.where(users.c.password_hash.is_not(None), users.c.deleted_at.is_(None))

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
            row = connection.execute(_ADD, {"username": username}).one()
        return _user(row)

    @statement
    def add(self, connection: Connection, username: str, hashed: str) -> User:
        with _free(connection, username):
            values = {"username": username, "password_hash": hashed}
            return _user(connection.execute(_ADD, values).one())

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


@contextmanager
def _free(connection: Connection, username: str) -> Iterator[None]:
    """Raises UsernameTaken if the name turns out to be; the transaction can go on even so."""
    try:
        with connection.begin_nested():
            yield
    except IntegrityError:
        if connection.execute(_NAMED, {"named": username}).one_or_none() is None:
            raise
        raise UsernameTaken from None


def _user(row: Row[Any]) -> User:
    return User(UserId(row.id), row.username, to_datetime(row.created_at))
