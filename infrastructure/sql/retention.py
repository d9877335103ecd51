from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Delete,
    Row,
    Select,
    Table,
    bindparam,
    delete,
    exists,
    or_,
    select,
)

from domain.identifiers import FileKey, SessionId, UserId
from domain.repositories import Forgotten
from infrastructure.sql.clock import now_ms
from infrastructure.sql.connection import Repository, statement
from infrastructure.sql.generation_rows import milliseconds
from infrastructure.sql.tables import (
    calls,
    chat_messages,
    chat_sessions,
    generations,
    idempotency_keys,
    is_active,
    uploaded_files,
)
from infrastructure.sql.uploaded_files import ADD_STRAY

_DAY_SECONDS: Final = 24 * 60 * 60


def _is_old(table: Table, column: str) -> ColumnElement[bool]:
    is_old: ColumnElement[bool] = table.c[column] < now_ms() - bindparam("milliseconds")
    return is_old


# Whoever asks a question locks its session first, so none comes to these any more.
_IDLE: Select[Any] = (
    select(chat_sessions.c.id, chat_sessions.c.user_id, chat_sessions.c.deleted_at)
    .where(~exists().where(generations.c.session_id == chat_sessions.c.id, is_active(generations)))
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
)
_UNTOUCHED = _IDLE.where(
    _is_old(chat_sessions, "updated_at"),
    # Its id may be another's only once nobody remembers that it was deleted.
    or_(chat_sessions.c.deleted_at.is_(None), _is_old(chat_sessions, "deleted_at")),
).order_by(chat_sessions.c.updated_at)
# In the words of the index. Whoever chose these ids was we.
_over = chat_sessions.c.updated_at + chat_sessions.c.kept_for
_EXPIRED = _IDLE.where(chat_sessions.c.kept_for.is_not(None), _over <= now_ms()).order_by(_over)
_FILES = select(uploaded_files.c.session_id, uploaded_files.c.key).where(
    uploaded_files.c.session_id.in_(bindparam("sessions", expanding=True)),
    uploaded_files.c.deleted_at.is_(None),
)


def _delete_of(table: Table, column: str) -> Delete:
    return delete(table).where(table.c[column].in_(bindparam("sessions", expanding=True)))


# In this order: each refers to those that follow.
_DELETES: Final = (
    _delete_of(calls, "session_id"),
    _delete_of(idempotency_keys, "session_id"),
    _delete_of(generations, "session_id"),
    _delete_of(chat_messages, "session_id"),
    _delete_of(uploaded_files, "session_id"),
    _delete_of(chat_sessions, "id"),
)
_FORGET_KEYS = delete(idempotency_keys).where(_is_old(idempotency_keys, "created_at"))


class SqlRetention(Repository):
    @statement
    def forget_untouched(
        self, connection: Connection, days: float, limit: int
    ) -> Sequence[Forgotten]:
        values: dict[str, Any] = {"milliseconds": milliseconds(days * _DAY_SECONDS), "most": limit}
        return _forget(connection, connection.execute(_UNTOUCHED, values).all())

    @statement
    def forget_expired(self, connection: Connection, limit: int) -> Sequence[Forgotten]:
        return _forget(connection, connection.execute(_EXPIRED, {"most": limit}).all())

    @statement
    def forget_keys(self, connection: Connection, days: float) -> int:
        values = {"milliseconds": milliseconds(days * _DAY_SECONDS)}
        return connection.execute(_FORGET_KEYS, values).rowcount


def _forget(connection: Connection, rows: Sequence[Row[Any]]) -> Sequence[Forgotten]:
    if not rows:
        return []
    those = {"sessions": [row.id for row in rows]}
    contents = defaultdict[str, list[FileKey]](list)
    for file in connection.execute(_FILES, those):
        contents[file.session_id].append(FileKey(file.key))
    stray = [{"key": key} for keys in contents.values() for key in keys]
    if stray:
        connection.execute(ADD_STRAY, stray)
    for each in _DELETES:
        connection.execute(each, those)
    return [
        Forgotten(SessionId(row.id), UserId(row.user_id), row.deleted_at is None, contents[row.id])
        for row in rows
    ]
