import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final, Protocol

from application.clear_strays import ClearStrays
from application.ports import (
    DocumentReader,
    FileStore,
    Ids,
    OpenUnitOfWork,
    UnitOfWork,
    UnreadableDocument,
)
from application.uploads_under_way import UploadsUnderWay
from domain.errors import DatabaseUnavailable, SessionNotFound, StorageUnavailable
from domain.file_type import HEAD_BYTES, FileType, recognise
from domain.identifiers import FileKey, SessionId, UserId
from domain.uploaded_file import FileLimits, NewFile, UploadedFile, clean_file_name

log = logging.getLogger(__name__)

_EXPECTED_SECONDS: Final = 3_600.0
"""Longer than any upload may take."""


class Upload(Protocol):
    """A file on its way in, from the beginning on."""

    @property
    def name(self) -> str:
        """As its sender calls it."""

    @property
    def known_session_id(self) -> SessionId | None:
        """Where to, if that came before the content."""

    def content(self) -> AsyncIterator[bytes]:
        """Its bytes as they come, once. Raises ChatError for what is wrong with the sending."""

    async def session_id(self) -> SessionId:
        """Where to; it may come after the content, and is to be asked for after that. Likewise."""


@dataclass(slots=True)
class _Received:
    """What is learned of a content while it goes by."""

    name: str
    limits: FileLimits
    size: int = 0
    head: bytes = b""
    type: FileType | None = None
    sha256: "hashlib._Hash" = field(default_factory=hashlib.sha256)

    async def passing(self, content: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Raises FileTooLarge and UnsupportedFileType as soon as it is known."""
        async for piece in content:
            self.size += len(piece)
            self.limits.expect_size(self.size)
            self.sha256.update(piece)
            if self.type is None:
                self.head = (self.head + piece)[:HEAD_BYTES]
                if len(self.head) == HEAD_BYTES:
                    self.type = recognise(self.name, self.head)
            yield piece
        if self.type is None:
            self.type = recognise(self.name, self.head)


@dataclass(frozen=True, slots=True)
class UploadFile:
    """Store a file of a session, and read its text once and for all."""

    open_unit_of_work: OpenUnitOfWork
    store: FileStore
    reader: DocumentReader
    limits: FileLimits
    ids: Ids
    clear_strays: ClearStrays
    under_way: UploadsUnderWay = field(default_factory=UploadsUnderWay)

    async def __call__(self, user: UserId, upload: Upload) -> UploadedFile:
        """Returns once it is committed; what could not be read is kept all the same, and says why.
        Whatever is raised, nothing of it is left. Raises InvalidInput, SessionNotFound,
        FileTooLarge, UnsupportedFileType, TooManyFiles, StorageQuotaExceeded, StorageFull,
        StorageUnavailable, Overloaded, and what the upload raises."""
        received = _Received(clean_file_name(upload.name), self.limits)
        key = self.ids.file()
        async with self.under_way.one_of(user) as may_read:
            async with self.open_unit_of_work() as work:
                if upload.known_session_id is not None:
                    await self._expect_room(work, user, upload.known_session_id, 0)
                await work.files.expect(key, _EXPECTED_SECONDS)
                await work.commit()
            try:
                await self.store.save(key, received.passing(upload.content()))
                session_id = await upload.session_id()
                return await self._keep(user, session_id, key, received, may_read)
            except BaseException:
                await asyncio.shield(self._undo(key))
                raise

    async def _expect_room(
        self, work: UnitOfWork, user: UserId, session_id: SessionId, size: int
    ) -> None:
        """Asked before each step that would be in vain, and when it counts."""
        if await work.sessions.lock(session_id, user) is None:
            raise SessionNotFound
        self.limits.expect_room(await work.files.held(user, session_id), size)

    async def _keep(
        self,
        user: UserId,
        session_id: SessionId,
        key: FileKey,
        received: _Received,
        may_read: asyncio.Lock,
    ) -> UploadedFile:
        assert received.type is not None
        async with self.open_unit_of_work() as work:
            await self._expect_room(work, user, session_id, received.size)
        async with may_read:
            text, flaw = await self._read(key, received.type)
        new = NewFile(
            user,
            session_id,
            key,
            received.name,
            received.type.media_type,
            received.size,
            received.sha256.hexdigest(),
            text,
            flaw,
        )
        async with self.open_unit_of_work() as work:
            file = await self._add(work, new)
            await work.commit()
        return file

    async def _add(self, work: UnitOfWork, new: NewFile) -> UploadedFile:
        await self._expect_room(work, new.owner, new.session_id, new.size)
        file = await work.files.add(new)
        if file is None:  # it took so long that its content was cleared
            raise StorageUnavailable
        return file

    async def _read(self, key: FileKey, type_: FileType) -> tuple[str | None, str | None]:
        try:
            async with aclosing(self.store.read(key)) as content:
                return await self.reader.text(type_.kind, content), None
        except UnreadableDocument as error:
            return None, str(error)

    async def _undo(self, key: FileKey) -> None:
        """If the commit is what failed, it may have been kept all the same."""
        try:
            async with self.open_unit_of_work() as work:
                stray = await work.files.stray_now(key)
                await work.commit()
        except DatabaseUnavailable as error:
            log.warning("the rest of an upload is deleted later: %s", error.__cause__ or error)
            return
        if stray:
            await self.clear_strays.these([key])
