"""The files that a session has: listed, read, deleted."""

import logging
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

from application.clear_strays import ClearStrays
from application.ports import FileStore, OpenUnitOfWork
from domain.errors import FileNotFound, SessionNotFound, StorageUnavailable
from domain.identifiers import FileId, SessionId, UserId
from domain.uploaded_file import UploadedFile

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ListFiles:
    open_unit_of_work: OpenUnitOfWork

    async def __call__(
        self, user: UserId, session_id: SessionId, limit: int, after: FileId | None
    ) -> Sequence[UploadedFile]:
        """Oldest first. Raises SessionNotFound."""
        async with self.open_unit_of_work(read_only=True) as work:
            if await work.sessions.find(session_id, user) is None:
                raise SessionNotFound
            return await work.files.page(session_id, limit, after)


@dataclass(frozen=True, slots=True)
class ReadFile:
    open_unit_of_work: OpenUnitOfWork

    async def __call__(self, user: UserId, file_id: FileId) -> UploadedFile:
        """Raises FileNotFound."""
        async with self.open_unit_of_work(read_only=True) as work:
            file = await work.files.find(user, file_id)
        if file is None:
            raise FileNotFound
        return file


@dataclass(frozen=True, slots=True)
class ReadContent:
    read_file: ReadFile
    store: FileStore

    async def __call__(
        self, user: UserId, file_id: FileId
    ) -> tuple[UploadedFile, AsyncGenerator[bytes, None]]:
        """What the file holds, in pieces. Raises FileNotFound, StorageUnavailable."""
        file = await self.read_file(user, file_id)
        size = await self.store.size(file.key)
        if size != file.size:
            log.error("file %d had %d bytes, and %s has %s", file.id, file.size, file.key, size)
            raise StorageUnavailable
        return file, self.store.read(file.key)


@dataclass(frozen=True, slots=True)
class DeleteFile:
    """Row and content. Messages that name it stay, and do not show it any more."""

    open_unit_of_work: OpenUnitOfWork
    clear_strays: ClearStrays

    async def __call__(self, user: UserId, file_id: FileId) -> None:
        """Raises FileNotFound."""
        async with self.open_unit_of_work() as work:
            key = await work.files.delete(user, file_id)
            if key is None:
                raise FileNotFound
            await work.commit()
        await self.clear_strays.these([key])
