import asyncio
import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from domain.errors import PersonaNotFound
from domain.persona import Persona
from infrastructure.personas_file import (
    MAX_BYTES,
    MAX_NAME_CHARACTERS,
    BadPersonasFile,
    FilePersonas,
)

CAT = "- {name: cat, content: Meow.}\n"
DOG = "- {name: dog, content: Woof.}\n"


class Editor:
    """Changes the file, and when it was changed."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __str__(self) -> str:
        return str(self.path)

    def write(self, content: str | bytes, *, same_time: bool = False) -> None:
        found = self.path.stat() if self.path.exists() else None
        self.path.write_bytes(content if isinstance(content, bytes) else content.encode())
        if found is not None:  # else two edits within a tick of the clock are of one time
            later = found.st_mtime_ns if same_time else found.st_mtime_ns + 1_000_000_000
            os.utime(self.path, ns=(found.st_atime_ns, later))

    def replace(self, content: str) -> None:
        """As editors save: by another file, here of the same time."""
        found = self.path.stat()
        new = self.path.with_name("new.yaml")
        new.write_text(content)
        os.utime(new, ns=(found.st_atime_ns, found.st_mtime_ns))
        new.rename(self.path)

    def remove(self) -> None:
        self.path.unlink()


@pytest.fixture
def file(tmp_path: Path) -> Editor:
    editor = Editor(tmp_path / "style.yaml")
    editor.write(CAT + DOG)
    return editor


@pytest.fixture
def personas(file: Editor) -> FilePersonas:
    return FilePersonas(file.path)


@pytest.fixture
def no_personas(tmp_path: Path) -> FilePersonas:
    """Of a file that is not there yet."""
    return FilePersonas(tmp_path / "later.yaml")


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """What was logged since, and how loudly."""
    told = [(record.levelname, record.getMessage()) for record in caplog.records]
    caplog.clear()
    return told


@pytest.fixture(autouse=True)
def all_lines(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


def test_a_file_lists_personas_and_the_first_is_the_default(file: Editor) -> None:
    personas = FilePersonas(file.path)
    assert personas.names == ["cat", "dog"]
    assert personas.choose("dog") == Persona("dog", "Woof.")
    assert personas.choose(None) == Persona("cat", "Meow.")
    with pytest.raises(PersonaNotFound):
        personas.choose("cow")


@pytest.mark.parametrize("content", [None, "", "# nothing yet", "[]"])
def test_no_file_and_an_empty_one_hold_no_personas(file: Editor, content: str | None) -> None:
    file.remove()
    if content is not None:
        file.write(content)
    personas = FilePersonas(file.path)
    assert personas.names == []
    assert personas.choose(None) is None


async def test_a_changed_file_is_read_again(
    file: Editor, personas: FilePersonas, caplog: pytest.LogCaptureFixture
) -> None:
    file.write(DOG + "- {name: owl, content: Hoo.}\n")
    await personas.refresh()
    assert personas.names == ["dog", "owl"]
    assert personas.choose(None) == Persona("dog", "Woof.")
    with pytest.raises(PersonaNotFound):
        personas.choose("cat")
    assert lines(caplog) == [("INFO", f"{file} was read again: dog, owl")]


async def test_an_unchanged_file_is_not_read_again(
    file: Editor, personas: FilePersonas, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        await personas.refresh()
    file.write(DOG)
    for _ in range(3):
        await personas.refresh()
    assert personas.names == ["dog"]
    assert len(lines(caplog)) == 1


async def test_a_file_of_the_same_size_is_read_again(file: Editor, personas: FilePersonas) -> None:
    file.write(CAT.replace("Meow", "Purr") + DOG)
    await personas.refresh()
    assert personas.choose("cat") == Persona("cat", "Purr.")


async def test_a_file_that_took_the_place_of_another_is_read_again(
    file: Editor, personas: FilePersonas
) -> None:
    """Of the same size, and of the same time."""
    file.replace(CAT.replace("Meow", "Purr") + DOG)
    await personas.refresh()
    assert personas.choose("cat") == Persona("cat", "Purr.")


async def test_a_longer_file_of_the_same_time_is_read_again(
    file: Editor, personas: FilePersonas
) -> None:
    file.write(CAT, same_time=True)
    await personas.refresh()
    assert personas.names == ["cat"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"- {name: cat", "can't be read"),
        (b"name: cat", "must hold a list"),
        (b"- {name: cat}", "entry 1 must have a name and a content"),
        (CAT.encode() * 2, "two personas of one name"),
        (b"\xff\xfe", "can't be read"),
        (b"- " * 9999, "can't be read"),
        (b"#" * (MAX_BYTES + 1), "is larger than"),
        (b"- {name: %b, content: x}" % (b"a" * (MAX_NAME_CHARACTERS + 1)), "is longer than"),
        (b"- {name: cat, content: x, more: y}", "entry 1 must have"),
        (b"- {name: ' ', content: x}", "entry 1 must have"),
        (b"- {name: 1, content: x}", "entry 1 must have"),
        (b"- {name: 2026-13-45, content: !!timestamp 2026-13-45}", "can't be read"),
        (b"- !!python/object/apply:os.getcwd []", "can't be read"),
    ],
)
async def test_a_file_that_can_not_be_used_is_named_once_and_the_former_personas_hold(
    file: Editor,
    personas: FilePersonas,
    content: bytes,
    reason: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    file.write(content)
    for _ in range(3):
        await personas.refresh()
    assert personas.names == ["cat", "dog"]
    assert personas.choose(None) == Persona("cat", "Meow.")
    ((level, line),) = lines(caplog)
    assert level == "ERROR"
    assert str(file) in line
    assert reason in line
    assert line.endswith("; the personas of before go on to hold")
    assert "\n" not in line
    with pytest.raises(BadPersonasFile):
        await asyncio.to_thread(FilePersonas, file.path)
    file.write(DOG)
    await personas.refresh()
    assert personas.names == ["dog"]


def make_fifo(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def link_to_device(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("make", [make_fifo, link_to_device])
async def test_what_is_no_regular_file_is_told_and_not_waited_for(
    file: Editor,
    personas: FilePersonas,
    make: Callable[[Path], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A pipe to which nobody writes would hold up the start, and each look for an edit."""
    make(file.path)
    with pytest.raises(BadPersonasFile, match="can't be read: it is no regular file"):
        await asyncio.to_thread(FilePersonas, file.path)
    for _ in range(3):
        await personas.refresh()
    assert personas.names == ["cat", "dog"]
    assert lines(caplog) == [
        (
            "ERROR",
            f"{file} can't be read: it is no regular file; the personas of before go on to hold",
        )
    ]


async def test_a_file_that_is_broken_anew_is_named_anew(
    file: Editor, personas: FilePersonas, caplog: pytest.LogCaptureFixture
) -> None:
    for content in ("- {name: cat", "- {name: cat, content"):
        file.write(content)
        await personas.refresh()
        assert len(lines(caplog)) == 1


async def test_a_removed_file_is_named_once_and_its_personas_hold_until_there_is_one_again(
    file: Editor, personas: FilePersonas, caplog: pytest.LogCaptureFixture
) -> None:
    file.remove()
    for _ in range(3):
        await personas.refresh()
    assert personas.names == ["cat", "dog"]
    assert lines(caplog) == [("ERROR", f"{file} is gone; the personas of before go on to hold")]
    file.write(DOG)
    await personas.refresh()
    assert personas.names == ["dog"]


async def test_a_file_that_comes_later_is_read(
    tmp_path: Path, no_personas: FilePersonas, caplog: pytest.LogCaptureFixture
) -> None:
    await no_personas.refresh()
    assert lines(caplog) == []
    later = Editor(tmp_path / "later.yaml")
    later.write(CAT)
    await no_personas.refresh()
    assert no_personas.names == ["cat"]
    later.write("")
    await no_personas.refresh()
    assert no_personas.names == []
    assert lines(caplog)[-1] == ("INFO", f"{later} was read again: no personas")


@pytest.mark.parametrize(
    "entry",
    [
        '- {name: "\\ud800", content: A}',
        '- {name: "a\\0b", content: A}',
        '- {name: "a\\u202eb", content: A}',
        '- {name: "two\\nlines", content: A}',
        '- {name: cat, content: "\\ud801 x"}',
        '- {name: cat, content: "a\\0b"}',
    ],
)
async def test_a_persona_that_could_not_be_told_to_anybody_is_refused(
    file: Editor, personas: FilePersonas, entry: str
) -> None:
    file.write(entry + "\n")
    await personas.refresh()
    assert personas.names == ["cat", "dog"]
    with pytest.raises(BadPersonasFile, match="entry 1"):
        await asyncio.to_thread(FilePersonas, file.path)


def test_a_name_may_be_as_long_as_the_wire_takes_it(file: Editor) -> None:
    name = "é" * MAX_NAME_CHARACTERS
    file.write(f"- {{name: ' {name} ', content: ' Hi. '}}")
    assert FilePersonas(file.path).choose(name) == Persona(name, "Hi.")
