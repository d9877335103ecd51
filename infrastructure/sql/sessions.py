from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Label,
    Row,
    Select,
    and_,
    func,
    insert,
    or_,
    select,
    update,
)

from domain.chat_session import ActiveGeneration, ChatSession
from domain.generation import GenerationStatus
from domain.identifiers import GenerationId, SessionId, UserId
from domain.position import Position
from domain.repositories import NewSession, SessionPage
from infrastructure.sql.clock import now_ms, to_datetime, to_milliseconds
from infrastructure.sql.connection import Repository, statement
from infrastructure.sql.tables import chat_sessions as sessions
from infrastructure.sql.tables import generations, is_active, is_queued, is_running

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


class SqlChatSessions(Repository):
    @statement
    def add(self, connection: Connection, new: NewSession) -> bool:
        taken = select(sessions.c.id).where(sessions.c.id == new.id)
        if connection.execute(taken).one_or_none() is not None:
            return False
        connection.execute(
            insert(sessions).values(
                id=new.id,
                user_id=new.owner,
                title=new.title,
                model_name=new.model_name,
                persona=new.persona,
                system_prompt=new.system_prompt,
                message_count=0,
                last_number=0,
                fence=0,
                end_fence=0,
                end_seq=0,
                created_at=now_ms(),
                updated_at=now_ms(),
            )
        )
        return True

    @statement
    def find(
        self, connection: Connection, session_id: SessionId, owner: UserId
    ) -> ChatSession | None:
        return _one(connection, _selected(owner).where(sessions.c.id == session_id))

    @statement
    def lock(
        self, connection: Connection, session_id: SessionId, owner: UserId
    ) -> ChatSession | None:
        found = _selected(owner).where(sessions.c.id == session_id)
        return _one(connection, found.with_for_update(of=sessions))

    @statement
    def save(self, connection: Connection, session: ChatSession) -> None:
        connection.execute(
            update(sessions)
            .where(sessions.c.id == session.id)
            .values(
                title=session.title,
                model_name=session.model_name,
                persona=session.persona,
                system_prompt=session.system_prompt,
                message_count=session.message_count,
                last_number=session.last_number,
                updated_at=now_ms(),
            )
        )

    @statement
    def page(
        self, connection: Connection, owner: UserId, limit: int, after: SessionPage | None
    ) -> Sequence[ChatSession]:
        query = _selected(owner).order_by(sessions.c.updated_at.desc(), sessions.c.id.desc())
        if after is not None:
            time = to_milliseconds(after.updated_at)
            query = query.where(
                or_(
                    sessions.c.updated_at < time,
                    and_(sessions.c.updated_at == time, sessions.c.id < after.session_id),
                )
            )
        return [_session(row) for row in connection.execute(query.limit(limit))]

    @statement
    def ends(
        self, connection: Connection, session_ids: Sequence[SessionId]
    ) -> Mapping[SessionId, Position]:
        rows = connection.execute(
            select(sessions.c.id, sessions.c.end_fence, sessions.c.end_seq).where(
                sessions.c.id.in_(session_ids), sessions.c.deleted_at.is_(None)
            )
        )
        return {SessionId(row.id): Position(row.end_fence, row.end_seq) for row in rows}


def _selected(owner: UserId) -> Select[Any]:
    return select(sessions, _running, _queued, _unanswered).where(
        sessions.c.user_id == owner, sessions.c.deleted_at.is_(None)
    )


def _one(connection: Connection, query: Select[Any]) -> ChatSession | None:
    row = connection.execute(query).one_or_none()
    return None if row is None else _session(row)


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
    )


def _active(row: Row[Any]) -> ActiveGeneration | None:
    if row.running is not None:
        return ActiveGeneration(GenerationId(row.running), GenerationStatus.RUNNING)
    if row.queued is not None:
        return ActiveGeneration(GenerationId(row.queued), GenerationStatus.QUEUED)
    return None
