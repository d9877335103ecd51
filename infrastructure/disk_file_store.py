import asyncio
import errno
import os
from collections.abc import AsyncGenerator, AsyncIterable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from domain.errors import StorageFull, StorageUnavailable
from domain.identifiers import FileKey

_PIECE_BYTES: Final = 256 * 1024
_FULL: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class DiskFileStore:
    """Files in a folder, which all processes with doors share. It is made when it is needed."""

    folder: Path

    async def save(self, key: FileKey, content: AsyncIterable[bytes]) -> None:
        file = await _done(partial(self._create, key), undo=os.close)
        try:
            held = bytearray()
            async for piece in content:
                held += piece
                if len(held) >= _PIECE_BYTES:  # each write is a hop into a thread
                    await _done(partial(_write, file, bytes(held)))
                    held.clear()
            await _done(partial(_write, file, bytes(held)))
            await _done(partial(os.fsync, file))
        finally:
            await _done(partial(os.close, file))
        await _done(self._keep_name)

    async def size(self, key: FileKey) -> int | None:
        try:
            return (await _done(self._path(key).stat)).st_size
        except _Missing:
            return None

    async def read(self, key: FileKey) -> AsyncGenerator[bytes, None]:
        file = await _done(partial(os.open, self._path(key), os.O_RDONLY), undo=os.close)
        try:
            while piece := await _done(partial(os.read, file, _PIECE_BYTES)):
                yield piece
        finally:
            await _done(partial(os.close, file))

    async def delete(self, key: FileKey) -> None:
        await _done(partial(self._path(key).unlink, missing_ok=True))

    def _path(self, key: FileKey) -> Path:
        """Keys are the server's own; nothing that a user says is part of a path."""
        return self.folder / key

    def _create(self, key: FileKey) -> int:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.open(self._path(key), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)

    def _keep_name(self) -> None:
        """A file whose folder was not written may have no name after a loss of power."""
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


class _Missing(StorageUnavailable):
    pass


def _write(file: int, content: bytes) -> None:
    left = memoryview(content)
    while left:
        left = left[os.write(file, left) :]


async def _done(work: Callable[[], T], undo: Callable[[T], None] | None = None) -> T:
    """In a thread, to its end; what it has opened is closed again if nobody waits for it any more.

    Raises StorageFull, StorageUnavailable.
    """
    running = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait((running,))
        if undo is not None and running.exception() is None:
            await asyncio.to_thread(undo, running.result())
        raise
    except FileNotFoundError as error:
        raise _Missing from error
    except OSError as error:
        raise (StorageFull if error.errno in _FULL else StorageUnavailable)() from error
