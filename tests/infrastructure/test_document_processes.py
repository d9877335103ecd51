"""What becomes of the process that reads a document, whatever it does."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvloop

from application.ports import UnreadableDocument
from domain.errors import Overloaded
from domain.file_type import FileKind
from infrastructure.documents.subprocess_document_reader import Places, SubprocessDocumentReader
from tests.documents import a_pdf, children, pieces

BROKEN = "Its text could not be read."
TOO_LONG = "It takes too long to read."
PATIENCE = 20
"""Seconds, for what takes none."""
MUCH = bytes(4 * 2**20)
"""More than a pipe holds."""

SLEEPS = "import time; time.sleep(600)"
READS_AND_SLEEPS = "import sys, time; sys.stdin.buffer.read(); time.sleep(600)"
FLOODS = "import sys\nwhile True: sys.stdout.write('x' * 65536)"
ECHOES = "import sys; sys.stdout.write(sys.stdin.read())"

Scripted = Callable[..., SubprocessDocumentReader]


@pytest.fixture(autouse=True)
def nothing_is_left_behind() -> Iterator[None]:
    before = children()
    yield
    assert children() == before


@pytest.fixture
def scripted(tmp_path: Path) -> Scripted:
    """A reader whose documents are read by this program."""

    def make(
        program: str, seconds: float = 60, places: Places | None = None
    ) -> SubprocessDocumentReader:
        path = tmp_path / "program.py"
        path.write_text(program)
        return SubprocessDocumentReader(seconds, places or Places(), path)

    return make


async def read(reader: SubprocessDocumentReader, content: bytes = b"") -> str:
    return await reader.text(FileKind.TEXT, pieces(content))


async def refusal(reader: SubprocessDocumentReader, content: bytes = b"") -> str:
    with pytest.raises(UnreadableDocument) as refused:
        await read(reader, content)
    return str(refused.value)


def is_over(process: str) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().split()[2] == "Z"
    except OSError:
        return True


async def its_end(process: str) -> None:
    """Who is killed still has to be given a turn to die."""
    async with asyncio.timeout(PATIENCE):
        while True:
            if is_over(process):
                return
            await asyncio.sleep(0.01)


def text_in(file: Path) -> str:
    return file.read_text() if file.exists() else ""


async def said_in(file: Path) -> str:
    """Once somebody has written it; nobody is told of that."""
    while True:
        if (text := text_in(file)).endswith("."):
            return text.rstrip(".")
        await asyncio.sleep(0.01)


def escaping(started: Path) -> str:
    """A program whose child leaves its group, reads a byte, no more, and writes its id there."""
    return f"""
import os, time
if os.fork() == 0:
    os.setsid()
    os.read(0, 1)
    open({str(started)!r}, "w").write(f"{{os.getpid()}}.")
    time.sleep(600)
"""


async def left_by(reader: SubprocessDocumentReader, started: Path, piece: bytes = b"x") -> str:
    """Leave it as soon as it has started another process, whose id it writes there."""
    reading = asyncio.create_task(reader.text(FileKind.TEXT, Held(piece)))
    process = await said_in(started)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    return process


@dataclass
class Held:
    """A content that gives its first piece, and the rest when it is let."""

    piece: bytes = b"x"
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    let: asyncio.Event = field(default_factory=asyncio.Event)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self.piece
        self.begun.set()
        await self.let.wait()
        yield self.piece


@pytest.mark.parametrize(
    "program", [SLEEPS, READS_AND_SLEEPS, f"import os\nos.close(1)\n{READS_AND_SLEEPS}"]
)
async def test_one_that_does_not_end_is_ended(scripted: Scripted, program: str) -> None:
    assert await refusal(scripted(program, seconds=0.5), MUCH) == TOO_LONG


async def test_one_that_writes_without_end_is_ended(scripted: Scripted) -> None:
    assert await refusal(scripted(FLOODS), MUCH) == BROKEN


async def test_one_that_reads_nothing_and_ends_is_no_obstacle(scripted: Scripted) -> None:
    assert await read(scripted("print('done', end='')"), MUCH) == "done"


async def test_one_that_reads_no_more_and_goes_on_is_no_obstacle(scripted: Scripted) -> None:
    assert await read(scripted("import os; os.close(0); print('done', end='')"), MUCH) == "done"


@pytest.mark.parametrize(
    "program",
    [
        "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
        "import os; os.abort()",
        "raise SystemExit(1)",
        "raise SystemExit(65)",
        "print('a traceback of a document'); raise SystemExit(65)",
        "import os; os.write(1, bytes([0xff]))",
        "nothing of the kind",
    ],
)
async def test_one_that_dies_is_told_of_in_a_sentence(scripted: Scripted, program: str) -> None:
    assert await refusal(scripted(program), MUCH) == BROKEN


async def test_one_that_uses_up_its_time_of_the_cpu_took_too_long(scripted: Scripted) -> None:
    program = "import os, signal; os.kill(os.getpid(), signal.SIGXCPU)"
    assert await refusal(scripted(program)) == TOO_LONG


async def test_one_that_is_killed_from_outside_is_told_of(scripted: Scripted) -> None:
    reader, held, before = scripted(READS_AND_SLEEPS), Held(), children()
    reading = asyncio.create_task(reader.text(FileKind.TEXT, held))
    await held.begun.wait()
    (child,) = children() - before
    os.kill(child, signal.SIGKILL)
    held.let.set()
    with pytest.raises(UnreadableDocument, match=BROKEN):
        await reading


async def test_what_it_has_started_ends_with_it(scripted: Scripted, tmp_path: Path) -> None:
    started = tmp_path / "started"
    program = f"""
import os, time
if os.fork() == 0:
    open({str(started)!r}, "w").write(f"{{os.getpid()}}.")
time.sleep(600)
"""
    await its_end(await left_by(scripted(program), started))


async def test_nor_is_what_escapes_it_waited_for(scripted: Scripted, tmp_path: Path) -> None:
    """It holds the pipes of a process that has ended."""
    started = tmp_path / "started"
    os.kill(int(await left_by(scripted(escaping(started)), started)), signal.SIGKILL)


async def test_whoever_leaves_ends_it(scripted: Scripted) -> None:
    held = Held()
    reading = asyncio.create_task(scripted(SLEEPS).text(FileKind.TEXT, held))
    await held.begun.wait()
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading


async def test_whoever_leaves_while_it_starts_ends_it(
    scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, begun, let = asyncio.create_subprocess_exec, asyncio.Event(), asyncio.Event()

    async def slow(*program: str, **how: Any) -> Process:
        process = await start(*program, **how)
        begun.set()
        await let.wait()
        return process

    monkeypatch.setattr(asyncio, "create_subprocess_exec", slow)
    reading = asyncio.create_task(read(scripted(SLEEPS)))
    await begun.wait()
    reading.cancel()
    let.set()
    with pytest.raises(asyncio.CancelledError):
        await reading


async def test_what_it_has_not_taken_is_not_waited_for(scripted: Scripted, tmp_path: Path) -> None:
    """Nor does the process that escapes read what waits in its pipe."""
    started = tmp_path / "started"
    program = escaping(started) + "time.sleep(600)"
    os.kill(int(await left_by(scripted(program), started, MUCH)), signal.SIGKILL)


@pytest.mark.parametrize("error", [TimeoutError("the disk"), ValueError("too large")])
async def test_what_the_content_raises_ends_it_and_is_passed_on(
    scripted: Scripted, error: Exception
) -> None:
    async def failing() -> AsyncIterator[bytes]:
        yield b"x"
        raise error

    with pytest.raises(type(error)) as raised:
        await scripted(READS_AND_SLEEPS).text(FileKind.TEXT, failing())
    assert raised.value is error


async def test_it_learns_nothing_of_the_environment(
    scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENCRYPTION_KEYS", "secret")
    assert await read(scripted("import os; print(dict(os.environ), end='')")) == str(
        {"LANG": "C.UTF-8"}
    )


async def test_it_is_told_how_much_of_the_cpu_it_may_use(scripted: Scripted) -> None:
    program = "import sys; print(sys.argv[1:], end='')"
    assert await read(scripted(program, seconds=7.5)) == "['text', '8']"


async def test_few_are_read_at_once_few_wait_and_the_rest_is_refused(scripted: Scripted) -> None:
    reader = scripted(ECHOES, places=Places(at_once=2, waiting=1))
    before, held = children(), [Held() for _ in range(3)]
    reading = [asyncio.create_task(reader.text(FileKind.TEXT, each)) for each in held]
    for each in held[:2]:
        await each.begun.wait()
    with pytest.raises(Overloaded):
        await read(reader)
    assert len(children() - before) == 2
    assert not held[2].begun.is_set()
    for each in held:
        each.let.set()
    assert await asyncio.gather(*reading) == ["xx"] * 3
    assert await read(reader, b"again") == "again"


async def test_whoever_leaves_while_waiting_makes_place(scripted: Scripted) -> None:
    reader, held = scripted(ECHOES, places=Places(at_once=1, waiting=1)), Held()
    first = asyncio.create_task(reader.text(FileKind.TEXT, held))
    await held.begun.wait()
    second = asyncio.create_task(read(reader))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.wait((second,))
    third = asyncio.create_task(read(reader, b"third"))
    await asyncio.sleep(0)
    held.let.set()
    assert await first == "xx"
    assert await third == "third"


async def test_one_that_can_not_be_started_is_too_much(
    scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(Overloaded):
        await read(scripted(ECHOES))


def test_all_of_it_holds_under_uvloop(
    scripted: Scripted, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ENCRYPTION_KEYS", "secret")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        text = runner.run(SubprocessDocumentReader().text(FileKind.PDF, pieces(a_pdf("你好"))))
        assert text == "你好"
        assert runner.run(refusal(scripted(FLOODS), MUCH)) == BROKEN
        assert runner.run(refusal(scripted(SLEEPS, seconds=0.5), MUCH)) == TOO_LONG
        assert runner.run(read(scripted("print('done', end='')"), MUCH)) == "done"
        runner.run(test_whoever_leaves_ends_it(scripted))
        runner.run(test_nor_is_what_escapes_it_waited_for(scripted, tmp_path))
        runner.run(test_one_that_is_killed_from_outside_is_told_of(scripted))
        runner.run(test_few_are_read_at_once_few_wait_and_the_rest_is_refused(scripted))
        runner.run(test_it_learns_nothing_of_the_environment(scripted, monkeypatch))
