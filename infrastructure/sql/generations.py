"""The states of a generation. Each arrow is one conditional update; no row means it was lost.

Whoever changes a generation and its session changes the session first, so that two of them wait
for one another instead of locking each other out.

Statements are built once, here as in the other repositories: building one at each use costs more
than running it (the select of a session: 127 µs built anew, 20 µs as it is).
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    Connection,
    Row,
    and_,
    bindparam,
    exists,
    func,
    insert,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.sql.dml import ReturningUpdate

from domain.generation import MAX_ATTEMPTS, Ending, Failure, Generation, GenerationStatus
from domain.identifiers import ApiId, GenerationId, MessageId, SessionId, UserId
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


_this = generations.c.id == bindparam("generation")
_held = and_(_this, generations.c.fence == bindparam("held_fence"), is_running(generations))
_its_session = select(generations.c.session_id).where(_this).correlate(None).scalar_subquery()
_with_answer = select(
    generations, messages.c.content.label("text"), messages.c.id.label("answer_id")
).select_from(
    generations.outerjoin(
        messages,
        and_(messages.c.generation_id == generations.c.id, messages.c.role == ASSISTANT),
    )
)

_ADD = insert(generations).values(
    status=GenerationStatus.QUEUED.value,
    attempt=0,
    releases=0,
    fence=0,
    cancel_requested=False,
    created_at=now_ms(),
)
_FIND = _with_answer.where(
    _this,
    generations.c.user_id == bindparam("owner"),
    exists().where(sessions.c.id == generations.c.session_id, sessions.c.deleted_at.is_(None)),
)
_LOCK_SESSION = select(sessions.c.id).where(sessions.c.id == _its_session).with_for_update()
_RAISE_FENCE = (
    update(sessions)
    .where(sessions.c.id == _its_session, sessions.c.deleted_at.is_(None))
    .values(fence=sessions.c.fence + 1)
    .returning(sessions.c.fence)
)
_CLAIM = (
    update(generations)
    .where(_this, _claimable)
    .values(
        status=GenerationStatus.RUNNING.value,
        attempt=generations.c.attempt + 1,
        fence=bindparam("new_fence"),
        lease_until=now_ms() + bindparam("lease"),
        started_at=func.coalesce(generations.c.started_at, now_ms()),
    )
    .returning(generations)
)
_RENEW = (
    update(generations)
    .where(
        tuple_(generations.c.id, generations.c.fence).in_(bindparam("claims", expanding=True)),
        is_running(generations),
    )
    .values(lease_until=now_ms() + bindparam("lease"))
    .returning(generations.c.id, generations.c.cancel_requested)
)
_RELEASE = (
    update(generations)
    .where(_held)
    .values(lease_until=now_ms(), releases=generations.c.releases + 1)
    .returning(generations.c.id)
)
_END = (
    update(generations)
    .values(
        status=bindparam("new_status"),
        fence=bindparam("new_fence"),
        last_seq=bindparam("new_last_seq"),
        finish_reason=bindparam("new_finish_reason"),
        usage=bindparam("new_usage", type_=generations.c.usage.type),
        failure=bindparam("new_failure", type_=generations.c.failure.type),
        lease_until=None,
        ended_at=now_ms(),
    )
    .returning(generations)
)
_FINISH = _END.where(_held)
_FAIL_LOST = _END.where(_this, _lease_over, ~_attempts_left)
_ADD_ANSWER = (
    insert(messages).values(role=Role.ASSISTANT.value, created_at=now_ms()).returning(messages.c.id)
)
_NOTE_END = (
    update(sessions)
    .where(sessions.c.id == bindparam("session"))
    .values(
        end_fence=bindparam("new_fence"),
        end_seq=bindparam("new_last_seq"),
        message_count=sessions.c.message_count + bindparam("answers"),
        updated_at=now_ms(),
    )
)
_NEXT = (
    select(generations.c.id)
    .where(generations.c.session_id == bindparam("session"), is_queued(generations))
    .order_by(generations.c.number)
    .limit(1)
)
_waited = generations.c.created_at <= now_ms() - bindparam("waiting")
_DUE = (
    select(generations.c.id)
    .where(is_active(generations), _claimable, or_(is_running(generations), _waited))
    .order_by(generations.c.created_at)
    .limit(bindparam("most"))
)
_LOST = (
    select(generations)
    .where(is_active(generations), _lease_over, ~_attempts_left)
    .limit(bindparam("most"))
)
_claimed = (
    _with_answer.where(generations.c.session_id == bindparam("session"))
    .order_by(generations.c.fence)
    .limit(bindparam("most"))
)
_SINCE = _claimed.where(generations.c.fence >= bindparam("from_fence"))
_RUNNING = _claimed.where(is_running(generations))


class SqlGenerations(Repository):
    @statement
    def add(self, connection: Connection, new: NewGeneration) -> None:
        values = {
            "id": new.id,
            "session_id": new.session_id,
            "user_id": new.owner,
            "message_id": new.message_id,
            "number": new.number,
            "model_name": new.model_name,
            "api_id": new.api_id,
            "persona": new.persona,
            "request_id": new.request_id,
        }
        connection.execute(_ADD, values)

    @statement
    def find(
        self, connection: Connection, generation_id: GenerationId, owner: UserId
    ) -> Generation | None:
        values = {"generation": generation_id, "owner": owner}
        row = connection.execute(_FIND, values).one_or_none()
        return None if row is None else _generation(row, row.text, row.answer_id)

    @statement
    def claim(
        self, connection: Connection, generation_id: GenerationId, lease_seconds: float
    ) -> Generation | None:
        fence = _raise_fence(connection, generation_id)
        if fence is None:
            return None
        values = {
            "generation": generation_id,
            "new_fence": fence,
            "lease": _milliseconds(lease_seconds),
        }
        row = connection.execute(_CLAIM, values).one_or_none()
        return None if row is None else _generation(row)

    @statement
    def renew(
        self,
        connection: Connection,
        claims: Sequence[tuple[GenerationId, int]],
        lease_seconds: float,
    ) -> Sequence[Renewal]:
        values = {"claims": list(claims), "lease": _milliseconds(lease_seconds)}
        rows = connection.execute(_RENEW, values)
        return [Renewal(GenerationId(row.id), row.cancel_requested) for row in rows]

    @statement
    def release(self, connection: Connection, generation_id: GenerationId, fence: int) -> bool:
        values = {"generation": generation_id, "held_fence": fence}
        return connection.execute(_RELEASE, values).one_or_none() is not None

    @statement
    def finish(
        self, connection: Connection, generation_id: GenerationId, fence: int, ending: Ending
    ) -> Finished | None:
        connection.execute(_LOCK_SESSION, {"generation": generation_id})
        values = {"generation": generation_id, "held_fence": fence}
        return _end(connection, _FINISH, values, fence, ending)

    @statement
    def due(
        self, connection: Connection, limit: int, waiting_seconds: float
    ) -> Sequence[GenerationId]:
        values = {"most": limit, "waiting": _milliseconds(waiting_seconds)}
        return [GenerationId(row.id) for row in connection.execute(_DUE, values)]

    @statement
    def lost(self, connection: Connection, limit: int) -> Sequence[Generation]:
        return [_generation(row) for row in connection.execute(_LOST, {"most": limit})]

    @statement
    def fail_lost(
        self, connection: Connection, generation_id: GenerationId, text: str, failure: Failure
    ) -> Finished | None:
        fence = _raise_fence(connection, generation_id)
        if fence is None:
            return None
        ending = Ending(GenerationStatus.FAILED, text, last_seq=1, failure=failure)
        return _end(connection, _FAIL_LOST, {"generation": generation_id}, fence, ending)

    @statement
    def since(
        self, connection: Connection, session_id: SessionId, fence: int | None, limit: int
    ) -> Sequence[Generation]:
        values = {"session": session_id, "most": limit}
        rows: Sequence[Row[Any]] = ()
        if fence is not None:
            rows = connection.execute(_SINCE, {**values, "from_fence": max(fence, 1)}).all()
        if not rows:
            rows = connection.execute(_RUNNING, values).all()
        return [_generation(row, row.text, row.answer_id) for row in rows]


def _raise_fence(connection: Connection, generation_id: GenerationId) -> int | None:
    """The session's new fence; the session stays locked. None if the session is gone."""
    return connection.execute(_RAISE_FENCE, {"generation": generation_id}).scalar_one_or_none()


def _end(
    connection: Connection,
    update_: ReturningUpdate[Any],
    which: dict[str, Any],
    fence: int,
    ending: Ending,
) -> Finished | None:
    """End a generation, store its answer, and find who is next in its session."""
    end = {"new_fence": fence, "new_last_seq": ending.last_seq}
    ended = {
        "new_status": ending.status.value,
        "new_finish_reason": ending.finish_reason,
        "new_usage": usage_to(ending.usage),
        "new_failure": _failure_to(ending.failure),
    }
    row = connection.execute(update_, {**which, **end, **ended}).one_or_none()
    if row is None:
        return None
    answer_id = _add_answer(connection, row, ending) if ending.keeps_answer else None
    answers = 0 if answer_id is None else 1
    connection.execute(_NOTE_END, {"session": row.session_id, **end, "answers": answers})
    next_id = connection.execute(_NEXT, {"session": row.session_id}).scalar_one_or_none()
    generation = _generation(row, ending.text, answer_id)
    return Finished(generation, None if next_id is None else GenerationId(next_id))


def _add_answer(connection: Connection, row: Row[Any], ending: Ending) -> MessageId:
    values = {
        "session_id": row.session_id,
        "generation_id": row.id,
        "number": row.number + 1,
        "content": ending.text,
        "status": ending.status.value,
        "finish_reason": ending.finish_reason,
        "usage": usage_to(ending.usage),
    }
    return MessageId(connection.execute(_ADD_ANSWER, values).scalar_one())


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
        api_id=None if row.api_id is None else ApiId(row.api_id),
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
