from dataclasses import asdict, dataclass

from application.accepting import Accepted, Idempotency, StoreGeneration, Wished, once
from application.continue_call import ContinueCall
from application.hint import hint
from application.ports import Announce, Ids, OpenUnitOfWork, RequestQueue, Spans
from application.spans import UNTRACED
from domain.call import Call
from domain.errors import SessionNotFound
from domain.events import MessageAccepted
from domain.identifiers import GenerationId, UserId
from domain.repositories import NewQuestion, NewSession


@dataclass(frozen=True, slots=True)
class SubmitCall:
    """Accept a call and queue its answer."""

    open_unit_of_work: OpenUnitOfWork
    queue: RequestQueue
    store_generation: StoreGeneration
    ids: Ids
    announce: Announce
    continue_call: ContinueCall
    spans: Spans = UNTRACED

    async def __call__(
        self,
        user: UserId,
        call: Call,
        model_name: str | None,
        key: str | None,
        request_id: str,
        previous: GenerationId | None = None,
    ) -> Accepted:
        """Returns once the call is committed; after the `previous` one, if it goes on from it. With
        an idempotency key a repeat is answered as the first one was, also if what that went on from
        is not there any more. Raises ModelNotFound, IdempotencyConflict, and see ContinueCall."""
        before = () if previous is None else (previous,)
        idempotency = Idempotency.of(key, model_name, asdict(call), *before)
        if previous is not None:
            async with self.open_unit_of_work(read_only=True) as work:
                repeated = await idempotency.repeated(work, user)
            if repeated is not None:
                return repeated
            call = await self.continue_call(user, previous, call)
        wished = Wished(model_name, None, request_id)
        return await once(self.spans, lambda: self._accept(user, call, wished, idempotency))

    async def _accept(
        self, user: UserId, call: Call, wished: Wished, idempotency: Idempotency
    ) -> Accepted:
        session_id, generation_id = self.ids.session(), self.ids.generation()
        text = call.prompt.question
        async with self.open_unit_of_work() as work:
            repeated = await idempotency.repeated(work, user)
            if repeated is not None:
                return repeated
            await work.sessions.add(NewSession(session_id, user, kept_seconds=call.kept_seconds))
            session = await work.sessions.lock(session_id, user)
            if session is None:  # somebody else has this very id
                raise SessionNotFound
            await work.calls.add(session_id, call)
            asked, number = session.ask(text)
            question = NewQuestion(session_id, generation_id, number, text)
            message_id = await work.messages.add_question(question)
            accepted = Accepted(session_id, message_id, generation_id)
            await self.store_generation(work, session, wished, accepted, number)
            await work.sessions.save(asked)
            await idempotency.keep(work, user, accepted)
            await work.commit()
        traceparent = self.spans.traceparent()
        await hint(self.queue, generation_id, wished.request_id, traceparent)
        self.announce(
            MessageAccepted(user, session_id, message_id, generation_id, wished.request_id)
        )
        return accepted
