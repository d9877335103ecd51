from dataclasses import dataclass, field

from application.ports import OpenUnitOfWork
from domain.identifiers import UserId
from domain.user import LOCAL_USERNAME


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
