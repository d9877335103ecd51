"""The arrows to a terminal state, and what goes with them: the answer, where the session's last
answer ended, and who is next.

Each runs under the lock of its session.
"""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, exists, insert, or_, select, update
from sqlalchemy.sql.dml import ReturningUpdate

from domain.generation import Ending, Failure, Generation, GenerationStatus
from domain.identifiers import GenerationId, MessageId
from domain.message import Role
from domain.position import Position
from domain.repositories import Finished
from infrastructure.sql.clock import now_ms
from infrastructure.sql.generation_rows import (
    NO_PROGRESS,
    attempts_left,
    held,
    its_session,
    lease_over,
    this,
    to_generation,
)
from infrastructure.sql.messages import usage_to
from infrastructure.sql.spending import spend
from infrastructure.sql.tables import chat_messages as messages
from infrastructure.sql.tables import chat_sessions as sessions
from infrastructure.sql.tables import generations, is_active, is_queued, is_running, users

_STOPPED: Final = Ending(GenerationStatus.STOPPED, "", last_seq=0)

_LOCK_SESSION = select(sessions.c.id).where(sessions.c.id == its_session).with_for_update()
_RAISE_FENCE = (
    update(sessions)
    .where(sessions.c.id == its_session, sessions.c.deleted_at.is_(None))
    .values(fence=sessions.c.fence + 1)
    .returning(sessions.c.fence)
)
_default_persona = (
    select(users.c.default_persona)
    .where(users.c.id == sessions.c.user_id)
    .correlate(sessions)
    .scalar_subquery()
)
_TAKE_TURN = _RAISE_FENCE.returning(
    sessions.c.title,
    sessions.c.system_prompt,
    _default_persona.label("default_persona"),
    sessions.c.end_fence,
    sessions.c.message_count,
    sessions.c.last_number,
    sessions.c.kept_for,
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
        **NO_PROGRESS,
    )
    .returning(generations)
)
FINISH = _END.where(held)
END_LOST = _END.where(this, lease_over, or_(~attempts_left, generations.c.cancel_requested))
_STOP_WAITING = _END.where(this, is_queued(generations))
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
_of_session = generations.c.session_id == bindparam("session")
_IS_ANSWERING = select(exists().where(_of_session, is_running(generations), is_active(generations)))
_BEHIND = (
    select(generations)
    .where(_of_session, generations.c.fence > bindparam("after_fence"))
    .order_by(generations.c.fence)
)
_NEXT = (
    select(generations.c.id)
    .where(_of_session, is_queued(generations))
    .order_by(generations.c.number)
    .limit(1)
)


def lock_session(connection: Connection, generation_id: GenerationId) -> None:
    connection.execute(_LOCK_SESSION, {"generation": generation_id})


def raise_fence(connection: Connection, generation_id: GenerationId) -> int | None:
    """The session's new fence; the session stays locked. None if the session is gone."""
    return connection.execute(_RAISE_FENCE, {"generation": generation_id}).scalar_one_or_none()


def take_turn(connection: Connection, generation_id: GenerationId) -> Row[Any] | None:
    """Likewise, with what an answer needs of the session: a statement of its own would cost ten
    times as much as these columns."""
    return connection.execute(_TAKE_TURN, {"generation": generation_id}).one_or_none()


def end(
    connection: Connection,
    update_: ReturningUpdate[Any],
    which: dict[str, Any],
    fence: int,
    ending: Ending,
) -> Finished | None:
    """Of one that was running. None, and nothing is changed, if the condition does not hold."""
    row = _ended_row(connection, update_, which, fence, ending)
    if row is None:
        return None
    answer_id = _add_answer(connection, row, ending) if ending.keeps_answer else None
    generation = to_generation(row, ending.text, answer_id)
    finished = _finished(connection, generation, answers=0 if answer_id is None else 1)
    spend(connection, generation.owner, ending.tokens)
    return finished


def end_waiting(connection: Connection, generation_id: GenerationId, fence: int) -> Finished:
    """Stop one that is known to wait."""
    which = {"generation": generation_id}
    row = _ended_row(connection, _STOP_WAITING, which, fence, _STOPPED)
    assert row is not None
    generation = to_generation(row)
    this_session = {"session": generation.session_id}
    if connection.execute(_IS_ANSWERING, this_session).scalar_one():
        return Finished(generation, None, is_behind=True)
    return _finished(connection, generation, answers=0)


def _ended_row(
    connection: Connection,
    update_: ReturningUpdate[Any],
    which: dict[str, Any],
    fence: int,
    ending: Ending,
) -> Row[Any] | None:
    values = {
        **which,
        "new_fence": fence,
        "new_last_seq": ending.last_seq,
        "new_status": ending.status.value,
        "new_finish_reason": ending.finish_reason,
        "new_usage": usage_to(ending.usage),
        "new_failure": _failure_to(ending.failure),
    }
    return connection.execute(update_, values).one_or_none()


def _finished(connection: Connection, generation: Generation, answers: int) -> Finished:
    behind = stopped_behind(connection, generation)
    note_end(connection, (generation, *behind)[-1], answers)
    this_session = {"session": generation.session_id}
    next_id = connection.execute(_NEXT, this_session).scalar_one_or_none()
    return Finished(generation, None if next_id is None else GenerationId(next_id), behind)


def stopped_behind(connection: Connection, generation: Generation) -> Sequence[Generation]:
    """Those that were stopped while they waited behind this one: only they have higher fences."""
    values = {"session": generation.session_id, "after_fence": generation.fence}
    return [to_generation(row) for row in connection.execute(_BEHIND, values)]


def note_end(connection: Connection, last: Generation, answers: int) -> None:
    """It is the last of its session that has ended."""
    assert last.end is not None
    fence, seq = Position(*last.end)
    values = {
        "session": last.session_id,
        "new_fence": fence,
        "new_last_seq": seq,
        "answers": answers,
    }
    connection.execute(_NOTE_END, values)


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


def _failure_to(failure: Failure | None) -> dict[str, str] | None:
    return None if failure is None else {"code": failure.code, "detail": failure.detail}
