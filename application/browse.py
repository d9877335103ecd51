"""Reading what the database keeps."""

from collections.abc import Sequence
from dataclasses import dataclass

from application.catch_up import seen_text, with_progress
from application.ports import EventStream, OpenUnitOfWork
from domain.chat_session import ChatSession
from domain.errors import GenerationNotFound, SessionNotFound
from domain.generation import Generation
from domain.identifiers import GenerationId, SessionId, UserId
from domain.message import Message
from domain.position import Position
from domain.repositories import SessionPage
from domain.uploaded_file import UploadedFile


@dataclass(frozen=True, slots=True)
class ListSessions:
    open_unit_of_work: OpenUnitOfWork

    async def __call__(
        self, user: UserId, limit: int, after: SessionPage | None
    ) -> Sequence[ChatSession]:
        async with self.open_unit_of_work(read_only=True) as work:
            return await work.sessions.page(user, limit, after)


@dataclass(frozen=True, slots=True)
class ReadSession:
    open_unit_of_work: OpenUnitOfWork

    async def __call__(self, user: UserId, session_id: SessionId) -> ChatSession:
        """Raises SessionNotFound."""
        async with self.open_unit_of_work(read_only=True) as work:
            session = await work.sessions.find(session_id, user)
        if session is None:
            raise SessionNotFound
        return session


@dataclass(frozen=True, slots=True)
class WithFiles:
    """A message, and those of the files that it names which are still there."""

    message: Message
    files: Sequence[UploadedFile]


@dataclass(frozen=True, slots=True)
class ReadMessages:
    open_unit_of_work: OpenUnitOfWork

    async def __call__(
        self,
        user: UserId,
        session_id: SessionId,
        limit: int,
        after_number: int | None,
        newest_first: bool,
    ) -> Sequence[WithFiles]:
        """Raises SessionNotFound."""
        async with self.open_unit_of_work(read_only=True) as work:
            if await work.sessions.find(session_id, user) is None:
                raise SessionNotFound
            messages = await work.messages.page(session_id, limit, after_number, newest_first)
            named = {file_id for message in messages for file_id in message.file_ids}
            files = await work.files.named(session_id, named) if named else {}
        return [
            WithFiles(message, [files[each] for each in message.file_ids if each in files])
            for message in messages
        ]


@dataclass(frozen=True, slots=True)
class Shown:
    """A generation and what can be seen of it: its text so far, and the position up to which."""

    generation: Generation
    text: str
    position: Position | None


@dataclass(frozen=True, slots=True)
class ReadGeneration:
    open_unit_of_work: OpenUnitOfWork
    stream: EventStream

    async def __call__(self, user: UserId, generation_id: GenerationId) -> Shown:
        """Raises GenerationNotFound."""
        async with self.open_unit_of_work(read_only=True) as work:
            generation = await work.generations.find(generation_id, user)
        if generation is None:
            raise GenerationNotFound
        if generation.ended or generation.attempt == 0:
            return Shown(generation, generation.text, generation.end)
        held = await self.stream.held(generation.session_id)
        seen = seen_text(generation, with_progress(held, [generation]))
        if seen is None:
            return Shown(generation, "", None)
        return Shown(generation, seen.text, seen.position)
