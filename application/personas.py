"""The personas that a user can choose from, and the one that answers if none is chosen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from application.ports import OpenUnitOfWork, Personas
from domain.identifiers import UserId


@dataclass(frozen=True, slots=True)
class PersonaList:
    names: Sequence[str]
    default: str | None


@dataclass(frozen=True, slots=True)
class ListPersonas:
    open_unit_of_work: OpenUnitOfWork
    personas: Personas

    async def __call__(self, user: UserId) -> PersonaList:
        """The default is the user's, as long as there is one of that name; else the first one."""
        names = self.personas.names
        async with self.open_unit_of_work(read_only=True) as work:
            chosen = await work.users.default_persona(user)
        return PersonaList(names, chosen if chosen in names else next(iter(names), None))


USUAL_ROLE: Final = "assistant"
"""Who answers where roles are named and none is, if there is a persona of that name."""


@dataclass(frozen=True, slots=True)
class Roles:
    """Personas by their names, with what the model is told; and who answers if none is named."""

    contents: Mapping[str, str]
    default: str | None


@dataclass(frozen=True, slots=True)
class ListRoles:
    list_personas: ListPersonas
    personas: Personas

    async def __call__(self, user: UserId) -> Roles:
        listed = await self.list_personas(user)
        chosen = map(self.personas.choose, listed.names)
        contents = {persona.name: persona.content for persona in chosen if persona is not None}
        return Roles(contents, USUAL_ROLE if USUAL_ROLE in contents else listed.default)


@dataclass(frozen=True, slots=True)
class ChooseRole:
    personas: Personas

    def __call__(self, name: str | None) -> str | None:
        """The persona that a message is to wish for; None leaves the choice to the session, then to
        the user. Raises PersonaNotFound."""
        if name is None:
            return USUAL_ROLE if USUAL_ROLE in self.personas.names else None
        self.personas.choose(name)
        return name


@dataclass(frozen=True, slots=True)
class ChooseDefaultPersona:
    open_unit_of_work: OpenUnitOfWork
    personas: Personas

    async def __call__(self, user: UserId, name: str) -> None:
        """Raises PersonaNotFound."""
        self.personas.choose(name)
        async with self.open_unit_of_work() as work:
            await work.users.choose_default_persona(user, name)
            await work.commit()
