"""The states of a generation. Each arrow is one conditional update; no row means it was lost.

Whoever changes a generation and its session changes the session first, so that two of them wait
for one another instead of locking each other out.

Statements are built once, here as in the other repositories: building one at each use costs more
than running it (the select of a session: 127 µs built anew, 20 µs as it is).
"""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import (
    Connection,
    Row,
    and_,
    bindparam,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    tuple_,
    update,
)

from domain.conversation import Mark
from domain.generation import Ending, Failure, Generation, GenerationStatus, Progress
from domain.identifiers import GenerationId, SessionId, UserId
from domain.limits import Room, Unanswered
from domain.message import Message, Role
from domain.meter import Spent
from domain.prompt import Prompt
from domain.repositories import Backlog, Finished, NewGeneration, Renewal, Turn
from infrastructure.sql.calls import given_prompt
from infrastructure.sql.clock import now_ms, to_datetime
from infrastructure.sql.connection import Repository, statement
from infrastructure.sql.endings import (
    END_LOST,
    FINISH,
    end,
    end_waiting,
    lock_session,
    note_end,
    raise_fence,
    stopped_behind,
    take_turn,
)
from infrastructure.sql.generation_rows import (
    NO_PROGRESS,
    attempts_left,
    held,
    is_visible,
    lease_over,
    milliseconds,
    questions,
    this,
    to_generation,
    with_answer,
    with_its_answer,
)
from infrastructure.sql.messages import to_file_ids
from infrastructure.sql.spending import spend, spent_today
from infrastructure.sql.tables import chat_sessions as sessions
from infrastructure.sql.tables import generations, is_active, is_queued, is_running, user_apis

_other = generations.alias("other")

_its_turn = ~exists().where(
    _other.c.session_id == generations.c.session_id,
    _other.c.id != generations.c.id,
    is_active(_other),
    or_(is_running(_other), _other.c.number < generations.c.number),
)
_claimable = and_(
    or_(is_queued(generations), lease_over),
    ~generations.c.cancel_requested,
    attempts_left,
    _its_turn,
)

_question = select(questions).where(questions.c.id == generations.c.message_id)
_with_it = (
    _question.with_only_columns(questions.c.content).scalar_subquery().label("question"),
    _question.with_only_columns(questions.c.created_at).scalar_subquery().label("asked_at"),
    _question.with_only_columns(questions.c.file_ids).scalar_subquery().label("file_ids"),
    select(user_apis.c.updated_at)
    .where(user_apis.c.id == generations.c.api_id, user_apis.c.user_id == generations.c.user_id)
    .scalar_subquery()
    .label("api_changed_at"),
)
_ADD = insert(generations).values(
    status=GenerationStatus.QUEUED.value,
    attempt=0,
    releases=0,
    fence=0,
    cancel_requested=False,
    created_at=now_ms(),
)
_waiting = (
    select(func.count())
    .select_from(
        select(literal(1))
        .where(is_queued(generations))
        # Else SQLite would walk through an index of all that ever was.
        .order_by(generations.c.created_at)
        .limit(bindparam("most_waiting"))
        .subquery()
    )
    .scalar_subquery()
    .label("waiting")
)
_UNANSWERED = select(
    select(func.count())
    .select_from(
        select(literal(1))
        .where(generations.c.user_id == bindparam("owner"), is_active(generations))
        .limit(bindparam("most_of_user"))
        .subquery()
    )
    .scalar_subquery()
    .label("of_user"),
    _waiting,
)
_BACKLOG = select(
    _waiting,
    select(now_ms() - generations.c.created_at)
    .where(is_queued(generations), _its_turn)
    .order_by(generations.c.created_at)
    .limit(1)
    .scalar_subquery()
    .label("oldest"),
)
_FIND = with_answer.where(this, generations.c.user_id == bindparam("owner"), is_visible)
_CLAIM = (
    update(generations)
    .where(this, _claimable)
    .values(
        status=GenerationStatus.RUNNING.value,
        attempt=generations.c.attempt + 1,
        fence=bindparam("new_fence"),
        lease_until=now_ms() + bindparam("lease"),
        started_at=func.coalesce(generations.c.started_at, now_ms()),
        **NO_PROGRESS,
    )
    .returning(generations, *_with_it, (now_ms() - generations.c.created_at).label("waited"))
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
_SAVE_PROGRESS = (
    update(generations)
    .where(held)
    .values(
        progress_seq=bindparam("new_seq"),
        progress_text=bindparam("new_text"),
        progress_reasoning=bindparam("new_reasoning"),
    )
    .returning(generations.c.id)
)
_RELEASE = (
    update(generations)
    .where(held)
    .values(lease_until=now_ms(), releases=generations.c.releases + 1)
    .returning(generations.c.id)
)
_ASK_TO_STOP = (
    update(generations)
    .where(this, is_active(generations))
    .values(cancel_requested=True)
    .returning(generations.c.status)
)
_MOVE = (
    update(generations)
    .where(held)
    .values(fence=bindparam("new_fence"), **NO_PROGRESS)
    .returning(generations)
)
_OWNER_OF_DELETED = (
    select(generations.c.user_id)
    .join(sessions, sessions.c.id == generations.c.session_id)
    .where(this, sessions.c.deleted_at.is_not(None))
)
_FIND_HELD = select(generations).where(held)
_waited = generations.c.created_at <= now_ms() - bindparam("waiting")
_DUE = (
    select(generations.c.id)
    .where(is_active(generations), _claimable, or_(is_running(generations), _waited))
    .order_by(generations.c.created_at)
    .limit(bindparam("most"))
)
_LOST = (
    select(generations)
    .where(is_active(generations), lease_over, or_(~attempts_left, generations.c.cancel_requested))
    .limit(bindparam("most"))
)
_of_session = with_answer.where(generations.c.session_id == bindparam("session"))
_was_stopped_behind_another = exists().where(
    _other.c.session_id == generations.c.session_id,
    is_active(_other),
    is_running(_other),
    _other.c.fence < generations.c.fence,
)
_SINCE = (
    _of_session.where(
        generations.c.fence >= bindparam("from_fence"),
        ~_was_stopped_behind_another,
        exists().where(
            questions.c.id == generations.c.message_id, questions.c.deleted_at.is_(None)
        ),
    )
    .order_by(generations.c.fence)
    .limit(bindparam("most"))
)
_RUNNING = _of_session.where(is_running(generations), is_active(generations))


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
    def unanswered(self, connection: Connection, owner: UserId, room: Room) -> Unanswered:
        values = {
            "owner": owner,
            "most_of_user": room.answers_per_user,
            "most_waiting": room.waiting,
        }
        row = connection.execute(_UNANSWERED, values).one()
        return Unanswered(row.of_user, row.waiting)

    @statement
    def spent_today(self, connection: Connection, owner: UserId) -> Spent:
        return spent_today(connection, owner)

    @statement
    def backlog(self, connection: Connection, most: int) -> Backlog:
        row = connection.execute(_BACKLOG, {"most_waiting": most}).one()
        return Backlog(row.waiting, max(0, row.oldest or 0) / 1000)

    @statement
    def find(
        self, connection: Connection, generation_id: GenerationId, owner: UserId
    ) -> Generation | None:
        values = {"generation": generation_id, "owner": owner}
        row = connection.execute(_FIND, values).one_or_none()
        return None if row is None else with_its_answer(row)

    @statement
    def claim(
        self, connection: Connection, generation_id: GenerationId, lease_seconds: float
    ) -> Turn | None:
        session = take_turn(connection, generation_id)
        if session is None:
            return None
        values = {
            "generation": generation_id,
            "new_fence": session.fence,
            "lease": milliseconds(lease_seconds),
        }
        row = connection.execute(_CLAIM, values).one_or_none()
        if row is None:
            return None
        given = None if session.kept_for is None else given_prompt(connection, row.session_id)
        return _turn(row, session, given)

    @statement
    def renew(
        self,
        connection: Connection,
        claims: Sequence[tuple[GenerationId, int]],
        lease_seconds: float,
    ) -> Sequence[Renewal]:
        values = {"claims": list(claims), "lease": milliseconds(lease_seconds)}
        rows = connection.execute(_RENEW, values)
        return [Renewal(GenerationId(row.id), row.cancel_requested) for row in rows]

    @statement
    def save_progress(
        self, connection: Connection, saved: Sequence[tuple[GenerationId, int, Progress]]
    ) -> Collection[GenerationId]:
        kept = []
        for generation_id, fence, progress in saved:
            values = {
                "generation": generation_id,
                "held_fence": fence,
                "new_seq": progress.seq,
                "new_text": progress.text,
                "new_reasoning": progress.reasoning,
            }
            if connection.execute(_SAVE_PROGRESS, values).one_or_none() is not None:
                kept.append(generation_id)
        return kept

    @statement
    def take_of_deleted(
        self, connection: Connection, generation_id: GenerationId, tokens: int
    ) -> None:
        owner = connection.execute(_OWNER_OF_DELETED, {"generation": generation_id})
        found = owner.scalar_one_or_none()
        if found is not None:
            spend(connection, UserId(found), tokens)

    @statement
    def release(self, connection: Connection, generation_id: GenerationId, fence: int) -> bool:
        values = {"generation": generation_id, "held_fence": fence}
        return connection.execute(_RELEASE, values).one_or_none() is not None

    @statement
    def finish(
        self, connection: Connection, generation_id: GenerationId, fence: int, ending: Ending
    ) -> Finished | None:
        lock_session(connection, generation_id)
        values = {"generation": generation_id, "held_fence": fence}
        return end(connection, FINISH, values, fence, ending)

    @statement
    def stop(self, connection: Connection, generation_id: GenerationId) -> Finished | None:
        lock_session(connection, generation_id)
        asked = connection.execute(_ASK_TO_STOP, {"generation": generation_id})
        status = asked.scalar_one_or_none()
        if status != GenerationStatus.QUEUED:
            return None
        fence = raise_fence(connection, generation_id)
        return None if fence is None else end_waiting(connection, generation_id, fence)

    @statement
    def step_aside(
        self, connection: Connection, generation_id: GenerationId, fence: int
    ) -> tuple[Sequence[Generation], Generation] | None:
        lock_session(connection, generation_id)
        values = {"generation": generation_id, "held_fence": fence}
        found = connection.execute(_FIND_HELD, values).one_or_none()
        behind = stopped_behind(connection, to_generation(found)) if found is not None else ()
        if not behind:
            return None
        moved = {**values, "new_fence": raise_fence(connection, generation_id)}
        row = connection.execute(_MOVE, moved).one()
        note_end(connection, behind[-1], answers=0)
        return behind, to_generation(row)

    @statement
    def due(
        self, connection: Connection, limit: int, waiting_seconds: float
    ) -> Sequence[GenerationId]:
        values = {"most": limit, "waiting": milliseconds(waiting_seconds)}
        return [GenerationId(row.id) for row in connection.execute(_DUE, values)]

    @statement
    def lost(self, connection: Connection, limit: int) -> Sequence[Generation]:
        return [to_generation(row) for row in connection.execute(_LOST, {"most": limit})]

    @statement
    def end_lost(
        self, connection: Connection, generation_id: GenerationId, ending: Ending
    ) -> Finished | None:
        fence = raise_fence(connection, generation_id)
        if fence is None:
            return None
        return end(connection, END_LOST, {"generation": generation_id}, fence, ending)

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
        return [with_its_answer(row) for row in rows]


def _turn(row: Row[Any], session: Row[Any], given: Prompt | Failure | None) -> Turn:
    generation = to_generation(row)
    question = Message(
        generation.message_id,
        generation.session_id,
        generation.number,
        Role.USER,
        row.question,
        to_datetime(row.asked_at),
        generation.id,
        file_ids=to_file_ids(row.file_ids),
    )
    return Turn(
        generation,
        question,
        session.title,
        session.system_prompt,
        session.default_persona,
        Mark.of(session.end_fence, session.message_count, session.last_number),
        None if row.api_changed_at is None else to_datetime(row.api_changed_at),
        given,
        max(0, row.waited) / 1000,
    )
