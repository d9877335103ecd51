"""Generations as rows: which of them is meant, in which state, and what is read of one."""

from typing import Any, Final

from sqlalchemy import Row, and_, bindparam, exists, select

from domain.generation import MAX_ATTEMPTS, Failure, Generation, GenerationStatus, Progress
from domain.identifiers import ApiId, GenerationId, MessageId, SessionId, UserId
from infrastructure.sql.clock import now_ms, to_datetime
from infrastructure.sql.messages import usage_from
from infrastructure.sql.tables import ASSISTANT, generations, is_running
from infrastructure.sql.tables import chat_messages as messages
from infrastructure.sql.tables import chat_sessions as sessions

questions = messages.alias("questions")

this = generations.c.id == bindparam("generation")
held = and_(this, generations.c.fence == bindparam("held_fence"), is_running(generations))
lease_over = and_(is_running(generations), generations.c.lease_until <= now_ms())
attempts_left = generations.c.attempt < MAX_ATTEMPTS + generations.c.releases
its_session = select(generations.c.session_id).where(this).correlate(None).scalar_subquery()

NO_PROGRESS: Final[dict[str, None]] = {
    "progress_seq": None,
    "progress_text": None,
    "progress_reasoning": None,
}
"""For each update after which another fence rules, or none."""

is_visible = and_(
    exists().where(sessions.c.id == generations.c.session_id, sessions.c.deleted_at.is_(None)),
    exists().where(questions.c.id == generations.c.message_id, questions.c.deleted_at.is_(None)),
)
"""Its session and its question exist. Its answer may have been replaced by another one."""

with_answer = select(
    generations, messages.c.content.label("text"), messages.c.id.label("answer_id")
).select_from(
    generations.outerjoin(
        messages,
        and_(messages.c.generation_id == generations.c.id, messages.c.role == ASSISTANT),
    )
)


def to_generation(
    row: Row[Any], text: str | None = None, answer_id: int | None = None
) -> Generation:
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
        usage=usage_from(row.usage),
        failure=None if row.failure is None else Failure(**row.failure),
        request_id=row.request_id,
        stop_requested=row.cancel_requested,
        text=text or "",
        answer_id=None if answer_id is None else MessageId(answer_id),
        progress=_progress(row),
    )


def _progress(row: Row[Any]) -> Progress | None:
    if row.progress_seq is None:
        return None
    return Progress(row.progress_seq, row.progress_text, row.progress_reasoning)


def with_its_answer(row: Row[Any]) -> Generation:
    """Of a row of `with_answer`."""
    return to_generation(row, row.text, row.answer_id)


def milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
