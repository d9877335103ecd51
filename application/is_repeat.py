from dataclasses import dataclass

from application.ports import OpenUnitOfWork
from domain.identifiers import UserId


@dataclass(frozen=True, slots=True)
class IsRepeat:
    """Whether a request under this idempotency key was accepted before. What it asks for now may be
    something else; that is looked at by who accepts."""

    open_unit_of_work: OpenUnitOfWork

    async def __call__(self, user: UserId, key: str) -> bool:
        async with self.open_unit_of_work(read_only=True) as work:
            return await work.idempotency_keys.find(user, key) is not None
