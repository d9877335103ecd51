from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    Connection,
    Row,
    bindparam,
    delete,
    func,
    insert,
    literal,
    select,
    update,
)

from domain.identifiers import FileId, FileKey, SessionId, UserId
from domain.uploaded_file import FileText, HeldFiles, NewFile, UploadedFile
from infrastructure.sql.clock import now_ms, to_datetime
from infrastructure.sql.connection import Repository, statement
from infrastructure.sql.generation_rows import milliseconds
from infrastructure.sql.tables import stray_contents as strays
from infrastructure.sql.tables import uploaded_files as files
from infrastructure.sql.tables import users

_shown = [column for column in files.c if column is not files.c.text]
_is_there = files.c.deleted_at.is_(None)
_of_session = (files.c.session_id == bindparam("session")) & _is_there
_own = (files.c.user_id == bindparam("owner")) & _is_there
_these = files.c.id.in_(bindparam("ids", expanding=True))

# Else two could each count one less than there are. Rows that refer to the user may be added
# meanwhile.
_LOCK = select(users.c.id).where(users.c.id == bindparam("owner")).with_for_update(key_share=True)
_HELD = select(
    func.count().filter(files.c.session_id == bindparam("session")).label("in_session"),
    func.coalesce(func.sum(files.c.size), literal(0)).label("bytes"),
).where(_own)
_EXPECT = insert(strays).values(due_at=now_ms() + bindparam("milliseconds"))
_TAKE = (
    delete(strays)
    .where(strays.c.key == bindparam("content"), strays.c.due_at > now_ms())
    .returning(strays.c.key)
)
_ADD = insert(files).values(created_at=now_ms()).returning(*_shown)
_FIND = select(*_shown).where(_own, files.c.id == bindparam("file"))
_PAGE = (
    select(*_shown)
    .where(_of_session, files.c.id > bindparam("after"))
    .order_by(files.c.id)
    .limit(bindparam("most"))
)
_NAMED = select(*_shown).where(_of_session, _these)
_TEXTS = select(
    files.c.id,
    files.c.name,
    func.substr(files.c.text, 1, bindparam("characters")).label("beginning"),
    func.coalesce(func.length(files.c.text), 0).label("characters"),
).where(_these)
_gone = {"deleted_at": now_ms(), "text": None}
_DELETE = (
    update(files)
    .where(_own, files.c.id == bindparam("file"))
    .values(**_gone)
    .returning(files.c.key)
)
_DELETE_ALL = update(files).where(_of_session).values(**_gone).returning(files.c.key)
ADD_STRAY = insert(strays).values(due_at=now_ms())
_STRAYS = (
    select(strays.c.key)
    .where(strays.c.due_at <= now_ms())
    .order_by(strays.c.due_at)
    .limit(bindparam("most"))
)
_STRAY_NOW = (
    update(strays)
    .where(strays.c.key == bindparam("content"))
    .values(due_at=now_ms())
    .returning(strays.c.key)
)
_CLEAR = delete(strays).where(strays.c.key.in_(bindparam("contents", expanding=True)))


class SqlUploadedFiles(Repository):
    @statement
    def expect(self, connection: Connection, key: FileKey, seconds: float) -> None:
        connection.execute(_EXPECT, {"key": key, "milliseconds": milliseconds(seconds)})

    @statement
    def held(self, connection: Connection, owner: UserId, session_id: SessionId) -> HeldFiles:
        connection.execute(_LOCK, {"owner": owner})
        row = connection.execute(_HELD, {"owner": owner, "session": session_id}).one()
        return HeldFiles(row.in_session, int(row.bytes))

    @statement
    def add(self, connection: Connection, new: NewFile) -> UploadedFile | None:
        if connection.execute(_TAKE, {"content": new.key}).one_or_none() is None:
            return None
        values = {
            "user_id": new.owner,
            "session_id": new.session_id,
            "key": new.key,
            "name": new.name,
            "media_type": new.media_type,
            "size": new.size,
            "sha256": new.sha256,
            "text": new.text,
            "flaw": new.flaw,
        }
        return _file(connection.execute(_ADD, values).one())

    @statement
    def find(self, connection: Connection, owner: UserId, file_id: FileId) -> UploadedFile | None:
        row = connection.execute(_FIND, {"owner": owner, "file": file_id}).one_or_none()
        return None if row is None else _file(row)

    @statement
    def page(
        self, connection: Connection, session_id: SessionId, limit: int, after: FileId | None
    ) -> Sequence[UploadedFile]:
        values = {"session": session_id, "most": limit, "after": after or 0}
        return [_file(row) for row in connection.execute(_PAGE, values)]

    @statement
    def named(
        self, connection: Connection, session_id: SessionId, file_ids: Collection[FileId]
    ) -> Mapping[FileId, UploadedFile]:
        rows = connection.execute(_NAMED, {"session": session_id, "ids": list(file_ids)})
        return {FileId(row.id): _file(row) for row in rows}

    @statement
    def texts(
        self, connection: Connection, file_ids: Collection[FileId], characters: int
    ) -> Mapping[FileId, FileText]:
        rows = connection.execute(_TEXTS, {"ids": list(file_ids), "characters": characters})
        return {FileId(row.id): FileText(row.name, row.beginning, row.characters) for row in rows}

    @statement
    def delete(self, connection: Connection, owner: UserId, file_id: FileId) -> FileKey | None:
        row = connection.execute(_DELETE, {"owner": owner, "file": file_id}).one_or_none()
        if row is None:
            return None
        connection.execute(ADD_STRAY, {"key": row.key})
        return FileKey(row.key)

    @statement
    def delete_all(self, connection: Connection, session_id: SessionId) -> Sequence[FileKey]:
        rows = connection.execute(_DELETE_ALL, {"session": session_id}).all()
        if rows:
            connection.execute(ADD_STRAY, [{"key": row.key} for row in rows])
        return [FileKey(row.key) for row in rows]

    @statement
    def strays(self, connection: Connection, limit: int) -> Sequence[FileKey]:
        return [FileKey(row.key) for row in connection.execute(_STRAYS, {"most": limit})]

    @statement
    def stray_now(self, connection: Connection, key: FileKey) -> bool:
        return connection.execute(_STRAY_NOW, {"content": key}).one_or_none() is not None

    @statement
    def clear(self, connection: Connection, keys: Collection[FileKey]) -> None:
        connection.execute(_CLEAR, {"contents": list(keys)})


def _file(row: Row[Any]) -> UploadedFile:
    return UploadedFile(
        FileId(row.id),
        UserId(row.user_id),
        SessionId(row.session_id),
        FileKey(row.key),
        row.name,
        row.media_type,
        row.size,
        row.sha256,
        row.flaw,
        to_datetime(row.created_at),
    )
