from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Label,
    Row,
    Select,
    and_,
    bindparam,
    func,
    or_,
    select,
    update,
)

from domain.chat_session import ActiveGeneration, ChatSession, OwnModel
from domain.generation import GenerationStatus
from domain.identifiers import ApiId, GenerationId, SessionId, UserId
from domain.position import Position
from domain.repositories import NewSession, SessionPage
from infrastructure.sql.clock import now_ms, to_datetime, to_milliseconds
from infrastructure.sql.connection import Repository, statement
from infrastructure.sql.generation_rows import NO_PROGRESS, milliseconds
from infrastructure.sql.inserts import insert_if_free
from infrastructure.sql.messages import clear_messages
from infrastructure.sql.tables import chat_sessions as sessions
from infrastructure.sql.tables import (
    generations,
    is_active,
    is_queued,
    is_running,
    user_apis,
    users,
)

_own = generations.c.session_id == sessions.c.id


def _first(condition: ColumnElement[bool], name: str) -> Label[str | None]:
    first = select(generations.c.id).where(_own, condition).order_by(generations.c.number).limit(1)
    return first.correlate(sessions).scalar_subquery().label(name)


_running = _first(is_running(generations), "running")
_queued = _first(is_queued(generations), "queued")
_unanswered = (
    select(func.count())
    .select_from(generations)
    .where(_own, is_active(generations))
    .correlate(sessions)
    .scalar_subquery()
    .label("unanswered")
)


_default_persona = (
    select(users.c.default_persona)
    .where(users.c.id == sessions.c.user_id)
    .correlate(sessions)
    .scalar_subquery()
    .label("default_persona")
)
_first_api = (
    select(user_apis.c.id)
    .where(user_apis.c.user_id == sessions.c.user_id)
    .order_by(user_apis.c.id)
    .limit(1)
    .correlate(sessions)
)
# A statement of its own would cost each message ten times as much.
_default_api = _first_api.scalar_subquery().label("default_api")
_default_model = (
    _first_api.with_only_columns(user_apis.c.model_name).scalar_subquery().label("default_model")
)
_visible = select(
    sessions, _running, _queued, _unanswered, _default_persona, _default_api, _default_model
).where(sessions.c.user_id == bindparam("owner"), sessions.c.deleted_at.is_(None))
_FIND = _visible.where(sessions.c.id == bindparam("session"))
_LOCK = select(sessions.c.id).where(sessions.c.id == bindparam("session")).with_for_update()
_ADD = insert_if_free(
    sessions,
    message_count=0,
    last_number=0,
    fence=0,
    end_fence=0,
    end_seq=0,
    created_at=now_ms(),
    updated_at=now_ms(),
).returning(sessions.c.id)
_SAVE = (
    update(sessions)
    .where(sessions.c.id == bindparam("session"))
    .values(
        title=bindparam("new_title"),
        model_name=bindparam("new_model_name"),
        persona=bindparam("new_persona"),
        system_prompt=bindparam("new_system_prompt"),
        message_count=bindparam("new_message_count"),
        last_number=bindparam("new_last_number"),
        updated_at=now_ms(),
    )
)
# The fence is raised so that no claim of before holds any more. What was made for a call is kept no
# longer; the others have no time, and nothing times nought is nothing.
_DELETE = (
    update(sessions)
    .where(sessions.c.id == bindparam("session"))
    .values(deleted_at=now_ms(), fence=sessions.c.fence + 1, kept_for=sessions.c.kept_for * 0)
)
_STOP_ALL = (
    update(generations)
    .where(generations.c.session_id == bindparam("session"), is_active(generations))
    .values(
        status=GenerationStatus.STOPPED.value,
        cancel_requested=True,
        lease_until=None,
        ended_at=now_ms(),
        **NO_PROGRESS,
    )
    .returning(generations.c.id)
)
_PAGE = (
    _visible.where(sessions.c.kept_for.is_(None))
    .order_by(sessions.c.updated_at.desc(), sessions.c.id.desc())
    .limit(bindparam("most"))
)
_PAGE_AFTER = _PAGE.where(
    or_(
        sessions.c.updated_at < bindparam("time"),
        and_(sessions.c.updated_at == bindparam("time"), sessions.c.id < bindparam("session")),
    )
)
_REACHED: Select[Any] = (
    select(
        sessions.c.id,
        sessions.c.end_fence,
        sessions.c.end_seq,
        generations.c.fence,
        generations.c.progress_seq,
    )
    .select_from(sessions.outerjoin(generations, _own & is_running(generations)))
    .where(
        sessions.c.id.in_(bindparam("sessions", expanding=True)), sessions.c.deleted_at.is_(None)
    )
)


class SqlChatSessions(Repository):
    @statement
    def add(self, connection: Connection, new: NewSession) -> bool:
        values = {
            "id": new.id,
            "user_id": new.owner,
            "title": new.title,
            "model_name": new.model_name,
            "persona": new.persona,
            "system_prompt": new.system_prompt,
            "kept_for": None if new.kept_seconds is None else milliseconds(new.kept_seconds),
        }
        return connection.execute(_ADD, values).one_or_none() is not None

    @statement
    def find(
        self, connection: Connection, session_id: SessionId, owner: UserId
    ) -> ChatSession | None:
        row = connection.execute(_FIND, {"session": session_id, "owner": owner}).one_or_none()
        return None if row is None else _session(row)

    @statement
    def lock(
        self, connection: Connection, session_id: SessionId, owner: UserId
    ) -> ChatSession | None:
        # Two statements: what is counted must be counted after the lock was waited for.
        connection.execute(_LOCK, {"session": session_id})
        row = connection.execute(_FIND, {"session": session_id, "owner": owner}).one_or_none()
        return None if row is None else _session(row)

    @statement
    def save(self, connection: Connection, session: ChatSession) -> None:
        values = {
            "session": session.id,
            "new_title": session.title,
            "new_model_name": session.model_name,
            "new_persona": session.persona,
            "new_system_prompt": session.system_prompt,
            "new_message_count": session.message_count,
            "new_last_number": session.last_number,
        }
        connection.execute(_SAVE, values)

    @statement
    def delete(self, connection: Connection, session_id: SessionId) -> Sequence[GenerationId]:
        values = {"session": session_id}
        connection.execute(_DELETE, values)
        clear_messages(connection, session_id)
        return [GenerationId(row.id) for row in connection.execute(_STOP_ALL, values)]

    @statement
    def page(
        self, connection: Connection, owner: UserId, limit: int, after: SessionPage | None
    ) -> Sequence[ChatSession]:
        values: dict[str, Any] = {"owner": owner, "most": limit}
        query = _PAGE
        if after is not None:
            values |= {"time": to_milliseconds(after.updated_at), "session": after.session_id}
            query = _PAGE_AFTER
        return [_session(row) for row in connection.execute(query, values)]

    @statement
    def reached(
        self, connection: Connection, session_ids: Sequence[SessionId]
    ) -> Mapping[SessionId, Position]:
        rows = connection.execute(_REACHED, {"sessions": list(session_ids)})
        return {SessionId(row.id): _position(row) for row in rows}


def _position(row: Row[Any]) -> Position:
    end = Position(row.end_fence, row.end_seq)
    return end if row.progress_seq is None else max(end, Position(row.fence, row.progress_seq))


def _session(row: Row[Any]) -> ChatSession:
    return ChatSession(
        SessionId(row.id),
        UserId(row.user_id),
        row.title,
        row.model_name,
        row.persona,
        row.system_prompt,
        row.message_count,
        row.last_number,
        to_datetime(row.created_at),
        to_datetime(row.updated_at),
        Position(row.end_fence, row.end_seq),
        row.unanswered,
        _active(row),
        row.default_persona,
        _own_model(row),
        None if row.kept_for is None else row.kept_for // milliseconds(1),
    )


def _own_model(row: Row[Any]) -> OwnModel | None:
    if row.default_api is None:
        return None
    return OwnModel(ApiId(row.default_api), row.default_model)


def _active(row: Row[Any]) -> ActiveGeneration | None:
    if row.running is not None:
        return ActiveGeneration(GenerationId(row.running), GenerationStatus.RUNNING)
    if row.queued is not None:
        return ActiveGeneration(GenerationId(row.queued), GenerationStatus.QUEUED)
    return None
