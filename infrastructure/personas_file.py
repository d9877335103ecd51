"""Personas from a YAML file: a list of `{name, content}`, the first of which is the default."""

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import yaml

from domain.errors import PersonaNotFound
from domain.message import storable
from domain.persona import Persona
from infrastructure.regular_file import open_regular_file

log = logging.getLogger(__name__)

MAX_NAME_CHARACTERS: Final = 100
MAX_BYTES: Final = 1024 * 1024

_State = tuple[int, int, int] | None


class BadPersonasFile(Exception):
    """The file can't be used; the sentence says why."""


class FilePersonas:
    """What the file said when it was read last, and could be used."""

    def __init__(self, path: Path) -> None:
        """Raises BadPersonasFile. A file that does not exist holds no personas."""
        self._path: Final = path
        self._state = _state(path)
        self._personas = read_personas(path)

    @property
    def names(self) -> Sequence[str]:
        return [persona.name for persona in self._personas]

    def choose(self, name: str | None) -> Persona | None:
        if name is None:
            return self._personas[0] if self._personas else None
        for persona in self._personas:
            if persona.name == name:
                return persona
        raise PersonaNotFound("There is no persona of that name.")

    async def refresh(self) -> None:
        """Read the file again if it has changed. If it can't be used any more, what it said before
        goes on to hold, and the log says so, once for each change."""
        state = await asyncio.to_thread(_state, self._path)
        if state == self._state:
            return
        self._state = state
        try:
            if state is None:
                raise BadPersonasFile(f"{self._path} is gone")
            self._personas = await asyncio.to_thread(read_personas, self._path)
        except BadPersonasFile as error:
            log.error("%s; the personas of before go on to hold", error)
        else:
            log.info("%s was read again: %s", self._path, ", ".join(self.names) or "no personas")


def _state(path: Path) -> _State:
    """Something that is another when the file is; None if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def read_personas(path: Path) -> Sequence[Persona]:
    """Raises BadPersonasFile. A file that does not exist holds no personas."""
    try:
        with open_regular_file(path) as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise BadPersonasFile(f"{path} is larger than {MAX_BYTES:,} bytes")
        listed = yaml.safe_load(content.decode("utf-8"))
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        said = error.strerror if isinstance(error, OSError) else None
        reason = (said or str(error)).replace("\n", " ")
        raise BadPersonasFile(f"{path} can't be read: {reason}") from error
    if listed is None:
        return ()
    if not isinstance(listed, list):
        raise BadPersonasFile(f"{path} must hold a list of name and content")
    personas = [_persona(path, number, item) for number, item in enumerate(listed, 1)]
    if len({persona.name for persona in personas}) < len(personas):
        raise BadPersonasFile(f"{path} has two personas of one name")
    return personas


def _persona(path: Path, number: int, item: object) -> Persona:
    match item:
        case {"name": str(name), "content": str(content), **more} if name.strip() and not more:
            if len(name.strip()) > MAX_NAME_CHARACTERS:
                raise BadPersonasFile(
                    f"{path}: the name of entry {number} is longer than "
                    f"{MAX_NAME_CHARACTERS} characters"
                )
            if not name.strip().isprintable() or storable(content) != content:
                raise BadPersonasFile(
                    f"{path}: entry {number} has characters that can't be shown or stored"
                )
            return Persona(name.strip(), content.strip())
    raise BadPersonasFile(f"{path}: entry {number} must have a name and a content, both text")
