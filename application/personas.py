"""The personas that a user can choose from, and the one that answers if none is chosen."""

from collections.abc import Sequence
from dataclasses import dataclass

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
