"""What accepting a message and accepting a regeneration have in common."""

import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from application.choose_model import ChooseModel
from application.ports import Personas, Spans, UnitOfWork
from application.spans import ACCEPT, tell_which
from domain.chat_session import ChatSession
from domain.errors import IdempotencyConflict
from domain.identifiers import GenerationId, MessageId, SessionId, UserId
from domain.limits import Room
from domain.repositories import KeptRequest, NewGeneration


@dataclass(frozen=True, slots=True)
class Accepted:
    session_id: SessionId
    message_id: MessageId
    generation_id: GenerationId


@dataclass(frozen=True, slots=True)
class Wished:
    """How an answer is wished; None leaves the choice to the session, then to the user."""

    model_name: str | None = None
    persona: str | None = None
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class StoreGeneration:
    """Store that a question waits to be answered, in the transaction of whoever accepts it."""

    choose_model: ChooseModel
    personas: Personas
    room: Room

    async def __call__(
        self,
        work: UnitOfWork,
        session: ChatSession,
        wished: Wished,
        accepted: Accepted,
        number: int,
    ) -> None:
        """`number` is the question's in the conversation. Raises ModelNotFound, PersonaNotFound,
        TooManyAnswers, QueueFull, TokenBudgetSpent."""
        if not self.room.is_endless:
            self.room.refuse_beyond(await work.generations.unanswered(session.owner, self.room))
        model_name = wished.model_name or session.model_name
        if model_name is None:
            choice = self.choose_model.default(session.default_model)
        else:
            choice = await self.choose_model(work, session.owner, model_name)
        if self.room.tokens_per_day and choice.api_id is None:
            self.room.refuse_spent(await work.generations.spent_today(session.owner))
        if wished.persona is not None:
            self.personas.choose(wished.persona)
        await work.generations.add(
            NewGeneration(
                accepted.generation_id,
                session.id,
                session.owner,
                accepted.message_id,
                number,
                choice.model_name,
                choice.api_id,
                wished.persona or session.own_persona,
                wished.request_id,
            )
        )


class _KeptMeanwhile(Exception):
    """The key was free when it was looked for, and is not any more."""


@dataclass(frozen=True, slots=True)
class Idempotency:
    """A request's key, and what a repeat under the same key must match. Without a key nothing is
    ever a repeat."""

    key: str | None
    digest: str

    @classmethod
    def of(cls, key: str | None, *said: object) -> "Idempotency":
        """`said` is equal for equal requests."""
        return cls(key, hashlib.sha256(json.dumps(said).encode()).hexdigest())

    async def repeated(self, work: UnitOfWork, user: UserId) -> Accepted | None:
        """What the request was answered when it came first. Raises IdempotencyConflict."""
        if self.key is None:
            return None
        kept = await work.idempotency_keys.find(user, self.key)
        if kept is None:
            return None
        if kept.digest != self.digest:
            raise IdempotencyConflict
        return Accepted(kept.session_id, kept.message_id, kept.generation_id)

    async def keep(self, work: UnitOfWork, user: UserId, accepted: Accepted) -> None:
        """To be called last before the commit, within `once`."""
        if self.key is None:
            return
        kept = KeptRequest(
            self.digest, accepted.session_id, accepted.message_id, accepted.generation_id
        )
        if not await work.idempotency_keys.add(user, self.key, kept):
            raise _KeptMeanwhile


async def once(spans: Spans, accept: Callable[[], Awaitable[Accepted]]) -> Accepted:
    """Two equal requests at once look for their key before either has kept it. The one that comes
    second is rolled back, and finds what the first has made."""
    with spans.span(ACCEPT) as span:
        try:
            accepted = await accept()
        except _KeptMeanwhile:
            accepted = await accept()
        tell_which(span, accepted.session_id, accepted.generation_id)
        return accepted
