import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from application.clear_strays import ClearStrays
from application.ports import Announce, Cache, OpenUnitOfWork
from domain.events import SessionDeleted
from domain.repositories import Forgotten, Retention

log = logging.getLogger(__name__)

_BATCH: Final = 20
"""Few enough that nobody waits long for the transaction."""
_PAUSE_SECONDS: Final = 0.05

ForgetBatch = Callable[[Retention], Awaitable[Sequence[Forgotten]]]


@dataclass(frozen=True, slots=True)
class ForgetSessions:
    """Delete for good, with all that belongs to them, the sessions of calls once they were kept for
    long enough; and unless `days` is 0, sessions that nobody has touched for so long, and what was
    left of those that were deleted so long ago. No stream of them is held any more; whoever
    follows one all the same learns it from the watchdog."""

    open_unit_of_work: OpenUnitOfWork
    announce: Announce
    cache: Cache
    clear_strays: ClearStrays
    days: float

    async def __call__(self) -> None:
        """Raises DatabaseUnavailable."""
        calls = await self._all(lambda kept: kept.forget_expired(_BATCH))
        if calls:
            log.info("forgot the sessions of %d calls", calls)
        if self.days:
            await self._forget_old(self.days)

    async def _forget_old(self, days: float) -> None:
        number = await self._all(lambda kept: kept.forget_untouched(days, _BATCH))
        async with self.open_unit_of_work() as work:
            keys = await work.retention.forget_keys(days)
            await work.commit()
        if number or keys:
            log.info("forgot %d sessions and %d idempotency keys for their age", number, keys)

    async def _all(self, forget: ForgetBatch) -> int:
        """How many there were."""
        number = 0
        while forgotten := await self._batch(forget):
            number += len(forgotten)
            for each in forgotten:
                if each.was_there:
                    await self.cache.forget_conversation(each.session_id)
                    self.announce(SessionDeleted(each.owner, each.session_id))
            await self.clear_strays.these([key for each in forgotten for key in each.contents])
            await asyncio.sleep(_PAUSE_SECONDS)  # others want to write too
        return number

    async def _batch(self, forget: ForgetBatch) -> Sequence[Forgotten]:
        async with self.open_unit_of_work() as work:
            forgotten = await forget(work.retention)
            await work.commit()
        return forgotten
