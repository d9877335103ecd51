import hashlib
import json
from dataclasses import dataclass

from application.choose_model import ChooseModel
from application.hint import hint
from application.ports import (
    Ids,
    OpenUnitOfWork,
    Personas,
    RequestQueue,
    UnitOfWork,
)
from domain.chat_session import ChatSession
from domain.errors import FileNotFound, IdempotencyConflict, SessionNotFound
from domain.identifiers import GenerationId, MessageId, SessionId, UserId
from domain.message import clean_message
from domain.repositories import KeptRequest, NewGeneration, NewQuestion


@dataclass(frozen=True, slots=True)
class Submission:
    """A message as its sender wishes it answered. `idempotency_key` makes a repeat harmless."""

    text: str
    model_name: str | None = None
    persona: str | None = None
    file_ids: tuple[int, ...] = ()
    idempotency_key: str | None = None
    request_id: str | None = None

    def digest(self, session_id: SessionId) -> str:
        """Equal for equal requests: what a repeat under the same key must match."""
        said = [session_id, self.text, self.model_name, self.persona, self.file_ids]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Accepted:
    session_id: SessionId
    message_id: MessageId
    generation_id: GenerationId


@dataclass(frozen=True, slots=True)
class SubmitMessage:
    """Accept a user's message and queue its answer."""

    open_unit_of_work: OpenUnitOfWork
    queue: RequestQueue
    choose_model: ChooseModel
    personas: Personas
    ids: Ids

    async def __call__(
        self, user: UserId, session_id: SessionId, submission: Submission
    ) -> Accepted:
        """Returns once the message is committed. Raises InvalidInput, SessionNotFound,
        SessionBusy, ModelNotFound, PersonaNotFound, FileNotFound, IdempotencyConflict."""
        text = clean_message(submission.text)
        async with self.open_unit_of_work() as work:
            session = await work.sessions.lock(session_id, user)
            if session is None:
                raise SessionNotFound
            repeated = await self._repeated(work, user, session_id, submission)
            if repeated is not None:
                return repeated
            accepted = await self._accept(work, session, submission, text)
            await work.commit()
        await hint(self.queue, accepted.generation_id, submission.request_id)
        return accepted

    async def _repeated(
        self, work: UnitOfWork, user: UserId, session_id: SessionId, submission: Submission
    ) -> Accepted | None:
        if submission.idempotency_key is None:
            return None
        kept = await work.idempotency_keys.find(user, submission.idempotency_key)
        if kept is None:
            return None
        if kept.digest != submission.digest(session_id):
            raise IdempotencyConflict
        return Accepted(kept.session_id, kept.message_id, kept.generation_id)

    async def _accept(
        self, work: UnitOfWork, session: ChatSession, submission: Submission, text: str
    ) -> Accepted:
        wished = submission.model_name or session.model_name
        choice = await self.choose_model(work, session.owner, wished)
        persona = submission.persona or session.persona
        self.personas.choose(persona)
        if submission.file_ids:
            raise FileNotFound("There is no such file.")
        asked, number = session.ask(text)
        generation_id = self.ids.generation()
        message_id = await work.messages.add_question(
            NewQuestion(session.id, generation_id, number, text)
        )
        await work.generations.add(
            NewGeneration(
                generation_id,
                session.id,
                session.owner,
                message_id,
                number,
                choice.model_name,
                choice.api_id,
                persona,
                submission.request_id,
            )
        )
        await work.sessions.save(asked)
        if submission.idempotency_key is not None:
            kept = KeptRequest(submission.digest(session.id), session.id, message_id, generation_id)
            await work.idempotency_keys.add(session.owner, submission.idempotency_key, kept)
        return Accepted(session.id, message_id, generation_id)
