"""Personas from a YAML file: a list of `{name, content}`, the first of which is the default."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from domain.errors import PersonaNotFound
from domain.persona import Persona


class BadPersonasFile(Exception):
    """The file can't be used; the sentence says why."""


@dataclass(frozen=True, slots=True)
class FilePersonas:
    personas: Sequence[Persona]

    def choose(self, name: str | None) -> Persona | None:
        if name is None:
            return self.personas[0] if self.personas else None
        for persona in self.personas:
            if persona.name == name:
                return persona
        raise PersonaNotFound("There is no persona of that name.")


def read_personas(path: Path) -> FilePersonas:
    """Raises BadPersonasFile. A file that does not exist holds no personas."""
    try:
        listed = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return FilePersonas(())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = str(error).replace("\n", " ")
        raise BadPersonasFile(f"{path} can't be read: {reason}") from error
    if listed is None:
        return FilePersonas(())
    if not isinstance(listed, list):
        raise BadPersonasFile(f"{path} must hold a list of name and content")
    personas = [_persona(path, number, item) for number, item in enumerate(listed, 1)]
    if len({persona.name for persona in personas}) < len(personas):
        raise BadPersonasFile(f"{path} has two personas of one name")
    return FilePersonas(personas)


def _persona(path: Path, number: int, item: object) -> Persona:
    match item:
        case {"name": str(name), "content": str(content), **more} if name.strip() and not more:
            return Persona(name.strip(), content.strip())
    raise BadPersonasFile(f"{path}: entry {number} must have a name and a content, both text")
