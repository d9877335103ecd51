from dataclasses import dataclass

from application.accepting import Accepted, Idempotency, StoreGeneration, Wished, once
from application.hint import hint
from application.ports import Announce, Ids, OpenUnitOfWork, RequestQueue, Spans, UnitOfWork
from application.spans import UNTRACED
from domain.chat_session import ChatSession
from domain.errors import FileNotFound, FileUnreadable, SessionNotFound
from domain.events import MessageAccepted
from domain.identifiers import FileId, MessageId, SessionId, UserId
from domain.message import clean_message
from domain.repositories import NewQuestion, NewSession


@dataclass(frozen=True, slots=True)
class Submission:
    """A message as its sender wishes it answered. `idempotency_key` makes a repeat harmless."""

    text: str
    model_name: str | None = None
    persona: str | None = None
    file_ids: tuple[FileId, ...] = ()
    idempotency_key: str | None = None
    request_id: str | None = None

    @property
    def wished(self) -> Wished:
        return Wished(self.model_name, self.persona, self.request_id)

    def idempotency(self, session_id: SessionId | None) -> Idempotency:
        """With the session as it was given: none is a request for a new one, each time the same."""
        said = (session_id, self.text, self.model_name, self.persona, self.file_ids)
        return Idempotency.of(self.idempotency_key, *said)


@dataclass(frozen=True, slots=True)
class SubmitMessage:
    """Accept a user's message and queue its answer."""

    open_unit_of_work: OpenUnitOfWork
    queue: RequestQueue
    store_generation: StoreGeneration
    ids: Ids
    announce: Announce
    spans: Spans = UNTRACED

    async def __call__(
        self, user: UserId, session_id: SessionId | None, submission: Submission
    ) -> Accepted:
        """Returns once the message is committed; without a session, in a new one. Raises
        InvalidInput, SessionNotFound, SessionBusy, ModelNotFound, PersonaNotFound, FileNotFound,
        FileUnreadable, IdempotencyConflict."""
        text = clean_message(submission.text)
        return await once(self.spans, lambda: self._accept(user, session_id, submission, text))

    async def _accept(
        self, user: UserId, session_id: SessionId | None, submission: Submission, text: str
    ) -> Accepted:
        idempotency = submission.idempotency(session_id)
        async with self.open_unit_of_work() as work:
            session = await self._given(work, user, session_id)
            repeated = await idempotency.repeated(work, user)
            if repeated is not None:
                return repeated
            if session is None:
                session = await self._made(work, user)
            accepted = await self._ask(work, session, submission, text)
            await idempotency.keep(work, user, accepted)
            await work.commit()
        traceparent = self.spans.traceparent()
        await hint(self.queue, accepted.generation_id, submission.request_id, traceparent)
        self.announce(
            MessageAccepted(
                user,
                accepted.session_id,
                accepted.message_id,
                accepted.generation_id,
                submission.request_id,
            )
        )
        return accepted

    async def _given(
        self, work: UnitOfWork, user: UserId, session_id: SessionId | None
    ) -> ChatSession | None:
        if session_id is None:
            return None
        session = await work.sessions.lock(session_id, user)
        if session is None:
            raise SessionNotFound
        return session

    async def _made(self, work: UnitOfWork, user: UserId) -> ChatSession:
        session_id = self.ids.session()
        await work.sessions.add(NewSession(session_id, user))
        session = await work.sessions.lock(session_id, user)
        if session is None:
            raise SessionNotFound
        return session

    async def _ask(
        self, work: UnitOfWork, session: ChatSession, submission: Submission, text: str
    ) -> Accepted:
        file_ids = await _readable(work, session, submission.file_ids)
        asked, number = session.ask(text)
        generation_id = self.ids.generation()
        question = NewQuestion(session.id, generation_id, number, text, file_ids)
        message_id: MessageId = await work.messages.add_question(question)
        accepted = Accepted(session.id, message_id, generation_id)
        await self.store_generation(work, session, submission.wished, accepted, number)
        await work.sessions.save(asked)
        return accepted


async def _readable(
    work: UnitOfWork, session: ChatSession, file_ids: tuple[FileId, ...]
) -> tuple[FileId, ...]:
    """Each once. Raises FileNotFound, FileUnreadable."""
    if not file_ids:
        return ()
    files = await work.files.named(session.id, file_ids)
    for file_id in file_ids:
        if file_id not in files:
            raise FileNotFound
        file = files[file_id]
        if file.flaw is not None:
            raise FileUnreadable(f"The text of {file.name} can't be read. {file.flaw}")
    return tuple(dict.fromkeys(file_ids))
