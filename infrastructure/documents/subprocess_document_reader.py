"""Documents are read in processes of their own: what a hostile one does, it does there."""

import asyncio
import logging
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from signal import SIGKILL, SIGXCPU
from typing import Final

from application.ports import UnreadableDocument
from domain.errors import Overloaded
from domain.file_type import FileKind
from domain.message import storable
from infrastructure.documents import read_document
from infrastructure.documents.read_document import MAX_TEXT_CHARACTERS, REFUSED

_log: Final = logging.getLogger(__name__)
_SENTENCES: Final = {
    b"damaged": "It is damaged, or not what its name says.",
    b"encoding": "It is no text, or in no known encoding.",
    b"encrypted": "It is encrypted.",
    b"no_text": "It holds no text; perhaps its pages are pictures.",
    b"too_large": "It unpacks to more than can be read.",
}
_TOO_LONG: Final = "It takes too long to read."
_BROKEN: Final = "Its text could not be read."
_MOST_BYTES: Final = 4 * MAX_TEXT_CHARACTERS
_PIECE_BYTES: Final = 64 * 1024
_ENDING_SECONDS: Final = 2
_ENVIRONMENT: Final = {"LANG": "C.UTF-8"}
"""All of it: this process' own holds secrets."""


@dataclass(slots=True)
class Places:
    """For how many there is room at once, and for how many to wait."""

    at_once: int = 2
    waiting: int = 100
    _asked: int = 0
    _free: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        self._free = asyncio.Semaphore(self.at_once)

    @asynccontextmanager
    async def take(self) -> AsyncIterator[None]:
        """Raises Overloaded at once."""
        if self._asked >= self.at_once + self.waiting:
            raise Overloaded
        self._asked += 1
        try:
            async with self._free:
                yield
        finally:
            self._asked -= 1


@dataclass(frozen=True, slots=True)
class SubprocessDocumentReader:
    """`seconds` are for one document, from when there is a place for it."""

    seconds: float = 40
    places: Places = field(default_factory=Places)
    program: Path = Path(read_document.__file__)

    async def text(self, kind: FileKind, content: AsyncIterable[bytes]) -> str:
        async with self.places.take(), self._started(kind) as process:
            limit = asyncio.timeout(self.seconds)
            try:
                async with limit:
                    output = await _exchange(process, content)
                    status = await process.wait()
            except TimeoutError:
                if not limit.expired():
                    raise  # it is the content's
                raise UnreadableDocument(_TOO_LONG) from None
        return _understood(status, output)

    @asynccontextmanager
    async def _started(self, kind: FileKind) -> AsyncIterator[Process]:
        """Until it is left; whoever leaves while it starts ends it, too. asyncio's own way out of a
        start kills the process alone, and waits for ever for what that has started."""
        starting = asyncio.create_task(self._start(kind))
        try:
            yield await asyncio.shield(starting)
        finally:
            await asyncio.shield(asyncio.create_task(_end(starting)))

    async def _start(self, kind: FileKind) -> Process:
        try:
            return await asyncio.create_subprocess_exec(
                sys.executable,
                "-I",
                str(self.program),
                kind.value,
                str(ceil(self.seconds)),
                stdin=PIPE,
                stdout=PIPE,
                stderr=DEVNULL,
                env=_ENVIRONMENT,
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:  # no memory, or too many processes or descriptors
            _log.warning("no process for a document: %s", error.strerror)
            raise Overloaded from None


async def _exchange(process: Process, content: AsyncIterable[bytes]) -> bytes | None:
    """What it writes, while it is fed; None if that is more than any text is."""
    reading = asyncio.create_task(_read(process))
    try:
        await _feed(process, content)
        return await reading
    finally:
        reading.cancel()
        await asyncio.wait((reading,))


async def _feed(process: Process, content: AsyncIterable[bytes]) -> None:
    """It need not take all: it may have refused, or died."""
    stdin = process.stdin
    assert stdin is not None
    async for piece in content:
        if stdin.is_closing():
            return
        with suppress(BrokenPipeError, ConnectionResetError):
            stdin.write(piece)
            await stdin.drain()
    stdin.close()


async def _read(process: Process) -> bytes | None:
    assert process.stdout is not None
    output = bytearray()
    while piece := await process.stdout.read(_PIECE_BYTES):
        output += piece
        if len(output) > _MOST_BYTES:
            _kill(process)  # also so that feeding it ends
            return None
    return bytes(output)


async def _end(starting: asyncio.Task[Process]) -> None:
    try:
        process = await starting
    except Overloaded:
        return
    assert process.stdin is not None
    assert process.stdout is not None
    _kill(process)
    if process.stdin.transport.get_write_buffer_size():
        process.stdin.transport.abort()  # what it has not taken, nobody may ever take
    process.stdin.close()
    try:
        async with asyncio.timeout(_ENDING_SECONDS):
            while await process.stdout.read(_PIECE_BYTES):  # else its end is not seen
                pass
            await process.wait()
    except TimeoutError:  # something that it has started holds its pipes
        process._transport.close()  # type: ignore[attr-defined]  # there is no public way
    with suppress(BrokenPipeError, ConnectionResetError):  # Python 3.11.2 logs it else
        await process.stdin.wait_closed()


def _kill(process: Process) -> None:
    """With all that it may have started."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, SIGKILL)


def _understood(status: int, output: bytes | None) -> str:
    if output is None or status not in (0, REFUSED):
        raise UnreadableDocument(_TOO_LONG if status == -SIGXCPU else _BROKEN)
    if status == REFUSED:
        raise UnreadableDocument(_SENTENCES.get(output, _BROKEN))
    try:
        return storable(output.decode("utf-8", "surrogatepass"))
    except UnicodeDecodeError:
        raise UnreadableDocument(_BROKEN) from None
