"""Who somebody is of whom no proof is asked."""

from dataclasses import dataclass, field

from application.ports import OpenUnitOfWork
from domain.access import Caller
from domain.errors import UserNotFound
from domain.identifiers import UserId
from domain.user import LOCAL_USERNAME, clean_name, guest_username


@dataclass(slots=True)
class EnterOpenly:
    """Open mode: whoever comes is the user `local`."""

    open_unit_of_work: OpenUnitOfWork
    _user: UserId | None = field(default=None, init=False)

    async def __call__(self) -> UserId:
        if self._user is None:
            async with self.open_unit_of_work() as work:
                user = await work.users.get_or_add(LOCAL_USERNAME)
                await work.commit()
            self._user = user.id
        return self._user


@dataclass(frozen=True, slots=True)
class EnterByName:
    """Whom a request means that names its user: whoever has proved who they are may only mean
    themselves, and anybody else is the guest of that name. Without a name it is who asks."""

    open_unit_of_work: OpenUnitOfWork

    async def __call__(self, caller: Caller, name: str | None) -> Caller:
        """A guest who was never here is made. Raises InvalidInput, UserNotFound."""
        if name is None or caller.is_proved:
            return await self._themselves(caller, name)
        username = guest_username(name)
        async with self.open_unit_of_work() as work:
            guest = await work.users.named(username)
            if guest is None:
                added = await work.users.get_or_add(username)
                guest = await work.users.find(added.id)
                await work.commit()
        if guest is None:  # an operator has deleted them
            raise UserNotFound
        return Caller(guest.id)

    async def known(self, caller: Caller, name: str | None) -> Caller | None:
        """Likewise, but no guest is made: None if they were never here."""
        if name is None or caller.is_proved:
            return await self._themselves(caller, name)
        username = guest_username(name)
        async with self.open_unit_of_work(read_only=True) as work:
            guest = await work.users.named(username)
        return None if guest is None else Caller(guest.id)

    async def _themselves(self, caller: Caller, name: str | None) -> Caller:
        if name is None:
            return caller
        named = clean_name(name)
        async with self.open_unit_of_work(read_only=True) as work:
            user = await work.users.find(caller.user)
        if user is None or user.username != named:
            raise UserNotFound
        return caller
