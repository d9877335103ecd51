from dataclasses import dataclass

from application.accepting import Accepted, Idempotency, StoreGeneration, Wished, once
from application.hint import hint
from application.ports import Announce, Ids, OpenUnitOfWork, RequestQueue, Spans
from application.spans import UNTRACED
from domain.errors import NothingToRegenerate, SessionNotFound
from domain.events import RegenerationAccepted
from domain.identifiers import SessionId, UserId


@dataclass(frozen=True, slots=True)
class RegenerateAnswer:
    """Have the session's last question answered once more. The former answer leaves the
    conversation at once, whatever becomes of the new one."""

    open_unit_of_work: OpenUnitOfWork
    queue: RequestQueue
    store_generation: StoreGeneration
    ids: Ids
    announce: Announce
    spans: Spans = UNTRACED

    async def __call__(
        self, user: UserId, session_id: SessionId, wished: Wished, key: str | None = None
    ) -> Accepted:
        """Returns once it is committed. Raises SessionNotFound, SessionBusy while anything is being
        answered, NothingToRegenerate, ModelNotFound, PersonaNotFound, IdempotencyConflict."""
        said = ("regenerate", session_id, wished.model_name, wished.persona)
        idempotency = Idempotency.of(key, *said)
        return await once(self.spans, lambda: self._accept(user, session_id, wished, idempotency))

    async def _accept(
        self, user: UserId, session_id: SessionId, wished: Wished, idempotency: Idempotency
    ) -> Accepted:
        async with self.open_unit_of_work() as work:
            session = await work.sessions.lock(session_id, user)
            if session is None:
                raise SessionNotFound
            repeated = await idempotency.repeated(work, user)
            if repeated is not None:
                return repeated
            question = await work.messages.last_question(session_id)
            if question is None:
                raise NothingToRegenerate
            generation_id = self.ids.generation()
            answers = await work.messages.withdraw_answers(question, generation_id)
            accepted = Accepted(session_id, question.id, generation_id)
            await self.store_generation(work, session, wished, accepted, question.number)
            await work.sessions.save(session.ask_again(answers))
            await idempotency.keep(work, user, accepted)
            await work.commit()
        traceparent = self.spans.traceparent()
        await hint(self.queue, generation_id, wished.request_id, traceparent)
        self.announce(
            RegenerationAccepted(user, session_id, question.id, generation_id, wished.request_id)
        )
        return accepted
