"""The states of a generation. Each arrow is one conditional update; no row means it was lost.

Whoever changes a generation and its session changes the session first, so that two of them wait
for one another instead of locking each other out.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    exists,
    func,
    insert,
    or_,
    select,
    tuple_,
    update,
)

from domain.generation import MAX_ATTEMPTS, Ending, Failure, Generation, GenerationStatus
from domain.identifiers import GenerationId, MessageId, SessionId, UserId
from domain.message import Role, Usage
from domain.repositories import Finished, NewGeneration, Renewal
from infrastructure.sql.clock import now_ms, to_datetime
from infrastructure.sql.connection import Repository, statement
from infrastructure.sql.messages import usage_from, usage_to
from infrastructure.sql.tables import ASSISTANT, generations, is_active, is_queued, is_running
from infrastructure.sql.tables import chat_messages as messages
from infrastructure.sql.tables import chat_sessions as sessions

_other = generations.alias("other")

_lease_over = and_(is_running(generations), generations.c.lease_until <= now_ms())
_attempts_left = generations.c.attempt < MAX_ATTEMPTS + generations.c.releases
_its_turn = ~exists().where(
    _other.c.session_id == generations.c.session_id,
    _other.c.id != generations.c.id,
    is_active(_other),
    or_(is_running(_other), _other.c.number < generations.c.number),
)
_claimable = and_(
    or_(is_queued(generations), _lease_over),
    ~generations.c.cancel_requested,
    _attempts_left,
    _its_turn,
)


class SqlGenerations(Repository):
    @statement
    def add(self, connection: Connection, new: NewGeneration) -> None:
        connection.execute(
            insert(generations).values(
                id=new.id,
                session_id=new.session_id,
                user_id=new.owner,
                message_id=new.message_id,
                number=new.number,
                status=GenerationStatus.QUEUED.value,
                model_name=new.model_name,
                persona=new.persona,
                attempt=0,
                releases=0,
                fence=0,
                cancel_requested=False,
                request_id=new.request_id,
                created_at=now_ms(),
            )
        )

    @statement
    def find(
        self, connection: Connection, generation_id: GenerationId, owner: UserId
    ) -> Generation | None:
        row = connection.execute(
            _with_answer()
            .where(generations.c.id == generation_id, generations.c.user_id == owner)
            .where(
                exists().where(
                    sessions.c.id == generations.c.session_id, sessions.c.deleted_at.is_(None)
                )
            )
        ).one_or_none()
        return None if row is None else _generation(row, row.text, row.answer_id)

    @statement
    def claim(
        self, connection: Connection, generation_id: GenerationId, lease_seconds: float
    ) -> Generation | None:
        fence = _raise_fence(connection, generation_id, sessions.c.deleted_at.is_(None))
        if fence is None:
            return None
        row = connection.execute(
            update(generations)
            .where(generations.c.id == generation_id, _claimable)
            .values(
                status=GenerationStatus.RUNNING.value,
                attempt=generations.c.attempt + 1,
                fence=fence,
                lease_until=now_ms() + _milliseconds(lease_seconds),
                started_at=func.coalesce(generations.c.started_at, now_ms()),
            )
            .returning(generations)
        ).one_or_none()
        return None if row is None else _generation(row)

    @statement
    def renew(
        self,
        connection: Connection,
        claims: Sequence[tuple[GenerationId, int]],
        lease_seconds: float,
    ) -> Sequence[Renewal]:
        rows = connection.execute(
            update(generations)
            .where(
                tuple_(generations.c.id, generations.c.fence).in_(claims),
                is_running(generations),
            )
            .values(lease_until=now_ms() + _milliseconds(lease_seconds))
            .returning(generations.c.id, generations.c.cancel_requested)
        )
        return [Renewal(GenerationId(row.id), row.cancel_requested) for row in rows]

    @statement
    def release(self, connection: Connection, generation_id: GenerationId, fence: int) -> bool:
        released = connection.execute(
            update(generations)
            .where(_held(generation_id, fence))
            .values(lease_until=now_ms(), releases=generations.c.releases + 1)
        )
        return released.rowcount > 0

    @statement
    def finish(
        self, connection: Connection, generation_id: GenerationId, fence: int, ending: Ending
    ) -> Finished | None:
        _lock_session(connection, generation_id)
        return _end(connection, _held(generation_id, fence), fence, ending)

    @statement
    def due(
        self, connection: Connection, limit: int, waiting_seconds: float
    ) -> Sequence[GenerationId]:
        waited = generations.c.created_at <= now_ms() - _milliseconds(waiting_seconds)
        rows = connection.execute(
            select(generations.c.id)
            .where(is_active(generations), _claimable)
            .where(or_(is_running(generations), waited))
            .order_by(generations.c.created_at)
            .limit(limit)
        )
        return [GenerationId(row.id) for row in rows]

    @statement
    def lost(self, connection: Connection, limit: int) -> Sequence[Generation]:
        rows = connection.execute(
            select(generations)
            .where(is_active(generations), _lease_over, ~_attempts_left)
            .limit(limit)
        )
        return [_generation(row) for row in rows]

    @statement
    def fail_lost(
        self, connection: Connection, generation_id: GenerationId, text: str, failure: Failure
    ) -> Finished | None:
        fence = _raise_fence(connection, generation_id)
        if fence is None:
            return None
        still_lost = and_(generations.c.id == generation_id, _lease_over, ~_attempts_left)
        ending = Ending(GenerationStatus.FAILED, text, last_seq=1, failure=failure)
        return _end(connection, still_lost, fence, ending)

    @statement
    def since(
        self, connection: Connection, session_id: SessionId, fence: int | None, limit: int
    ) -> Sequence[Generation]:
        if fence is not None:
            found = _claimed(connection, session_id, generations.c.fence >= max(fence, 1), limit)
            if found:
                return found
        return _claimed(connection, session_id, is_running(generations), limit)


def _claimed(
    connection: Connection, session_id: SessionId, condition: ColumnElement[bool], limit: int
) -> Sequence[Generation]:
    rows = connection.execute(
        _with_answer()
        .where(generations.c.session_id == session_id, condition)
        .order_by(generations.c.fence.desc())
        .limit(limit)
    )
    return [_generation(row, row.text, row.answer_id) for row in reversed(rows.all())]


def _held(generation_id: GenerationId, fence: int) -> ColumnElement[bool]:
    return and_(
        generations.c.id == generation_id,
        generations.c.fence == fence,
        is_running(generations),
    )


def _session_of(generation_id: GenerationId) -> Any:
    return (
        select(generations.c.session_id).where(generations.c.id == generation_id).scalar_subquery()
    )


def _raise_fence(
    connection: Connection, generation_id: GenerationId, *conditions: ColumnElement[bool]
) -> int | None:
    """The session's new fence; the session stays locked. None if there is no such session."""
    return connection.execute(
        update(sessions)
        .where(sessions.c.id == _session_of(generation_id), *conditions)
        .values(fence=sessions.c.fence + 1)
        .returning(sessions.c.fence)
    ).scalar_one_or_none()


def _lock_session(connection: Connection, generation_id: GenerationId) -> None:
    connection.execute(
        select(sessions.c.id).where(sessions.c.id == _session_of(generation_id)).with_for_update()
    )


def _end(
    connection: Connection, condition: ColumnElement[bool], fence: int, ending: Ending
) -> Finished | None:
    """End the generation that fits the condition, store its answer, and find who is next."""
    row = connection.execute(
        update(generations)
        .where(condition)
        .values(
            status=ending.status.value,
            fence=fence,
            last_seq=ending.last_seq,
            finish_reason=ending.finish_reason,
            usage=usage_to(ending.usage),
            failure=_failure_to(ending.failure),
            lease_until=None,
            ended_at=now_ms(),
        )
        .returning(generations)
    ).one_or_none()
    if row is None:
        return None
    answer_id = _store_answer(connection, row, ending) if ending.keeps_answer else None
    connection.execute(
        update(sessions)
        .where(sessions.c.id == row.session_id)
        .values(
            end_fence=fence,
            end_seq=ending.last_seq,
            message_count=sessions.c.message_count + (answer_id is not None),
            updated_at=now_ms(),
        )
    )
    next_id = connection.execute(
        select(generations.c.id)
        .where(generations.c.session_id == row.session_id, is_queued(generations))
        .order_by(generations.c.number)
        .limit(1)
    ).scalar_one_or_none()
    ended = _generation(row, ending.text, answer_id)
    return Finished(ended, None if next_id is None else GenerationId(next_id))


def _store_answer(connection: Connection, row: Row[Any], ending: Ending) -> MessageId:
    return MessageId(
        connection.execute(
            insert(messages)
            .values(
                session_id=row.session_id,
                generation_id=row.id,
                number=row.number + 1,
                role=Role.ASSISTANT.value,
                content=ending.text,
                status=ending.status.value,
                finish_reason=ending.finish_reason,
                usage=usage_to(ending.usage),
                created_at=now_ms(),
            )
            .returning(messages.c.id)
        ).scalar_one()
    )


def _with_answer() -> Select[Any]:
    answer = and_(messages.c.generation_id == generations.c.id, messages.c.role == ASSISTANT)
    return select(
        generations, messages.c.content.label("text"), messages.c.id.label("answer_id")
    ).select_from(generations.outerjoin(messages, answer))


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


def _failure_to(failure: Failure | None) -> dict[str, str] | None:
    return None if failure is None else {"code": failure.code, "detail": failure.detail}


def _generation(row: Row[Any], text: str | None = None, answer_id: int | None = None) -> Generation:
    usage: Usage | None = usage_from(row.usage)
    return Generation(
        id=GenerationId(row.id),
        session_id=SessionId(row.session_id),
        owner=UserId(row.user_id),
        message_id=MessageId(row.message_id),
        number=row.number,
        status=GenerationStatus(row.status),
        model_name=row.model_name,
        persona=row.persona,
        attempt=row.attempt,
        fence=row.fence,
        created_at=to_datetime(row.created_at),
        started_at=None if row.started_at is None else to_datetime(row.started_at),
        ended_at=None if row.ended_at is None else to_datetime(row.ended_at),
        last_seq=row.last_seq,
        finish_reason=row.finish_reason,
        usage=usage,
        failure=None if row.failure is None else Failure(**row.failure),
        request_id=row.request_id,
        text=text or "",
        answer_id=None if answer_id is None else MessageId(answer_id),
    )
