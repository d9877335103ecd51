"""Changing a session: its choices, its history, its end."""

from dataclasses import dataclass

from application.choose_model import ChooseModel
from application.clear_strays import ClearStrays
from application.ports import (
    Announce,
    Cache,
    EventStream,
    OpenUnitOfWork,
    Personas,
    UnitOfWork,
    WakeUps,
)
from domain.chat_session import UNCHANGED, ChatSession, SessionChanges
from domain.errors import SessionNotFound
from domain.events import GenerationStopped, SessionDeleted
from domain.identifiers import SessionId, UserId


@dataclass(frozen=True, slots=True)
class ChangeSession:
    """Rename it, choose its model or persona, or give it a system prompt, which starts the
    conversation anew."""

    open_unit_of_work: OpenUnitOfWork
    choose_model: ChooseModel
    personas: Personas
    cache: Cache

    async def __call__(
        self, user: UserId, session_id: SessionId, changes: SessionChanges
    ) -> ChatSession:
        """Raises SessionNotFound, SessionBusy, ModelNotFound, PersonaNotFound."""
        async with self.open_unit_of_work() as work:
            session = await _locked(work, user, session_id)
            changed = session.change(changes)
            if changed.persona != session.persona:
                self.personas.choose(changed.persona)
            if changed.model_name != session.model_name and changed.model_name is not None:
                await self.choose_model(work, user, changed.model_name)
            if changes.system_prompt is not UNCHANGED:
                await work.messages.clear(session_id)
            await work.sessions.save(changed)
            session = await _locked(work, user, session_id)
            await work.commit()
        if changes.system_prompt is not UNCHANGED:
            await self.cache.forget_conversation(session_id)
        return session


@dataclass(frozen=True, slots=True)
class ClearHistory:
    open_unit_of_work: OpenUnitOfWork
    cache: Cache

    async def __call__(self, user: UserId, session_id: SessionId) -> None:
        """Raises SessionNotFound, and SessionBusy while anything is being answered."""
        async with self.open_unit_of_work() as work:
            session = await _locked(work, user, session_id)
            await work.sessions.save(session.clear())
            await work.messages.clear(session_id)
            await work.commit()
        await self.cache.forget_conversation(session_id)


@dataclass(frozen=True, slots=True)
class DeleteSession:
    """All of it, at once, whatever goes on in it. Who follows it is told that it is gone."""

    open_unit_of_work: OpenUnitOfWork
    stream: EventStream
    wake_ups: WakeUps
    announce: Announce
    cache: Cache
    clear_strays: ClearStrays

    async def __call__(self, user: UserId, session_id: SessionId) -> None:
        """Raises SessionNotFound."""
        async with self.open_unit_of_work() as work:
            await _locked(work, user, session_id)
            stopped = await work.sessions.delete(session_id)
            contents = await work.files.delete_all(session_id)
            await work.commit()
        await self.stream.remove(session_id)
        await self.wake_ups.wake(session_id)
        await self.cache.forget_conversation(session_id)
        for generation_id in stopped:
            self.announce(GenerationStopped(user, session_id, generation_id))
        self.announce(SessionDeleted(user, session_id))
        await self.clear_strays.these(contents)


async def _locked(work: UnitOfWork, user: UserId, session_id: SessionId) -> ChatSession:
    session = await work.sessions.lock(session_id, user)
    if session is None:
        raise SessionNotFound
    return session
