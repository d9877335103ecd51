import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from application.clear_strays import ClearStrays
from application.ports import Announce, Cache, OpenUnitOfWork
from domain.events import SessionDeleted
from domain.repositories import Forgotten

log = logging.getLogger(__name__)

_BATCH: Final = 20
"""Few enough that nobody waits long for the transaction."""
_PAUSE_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True)
class ForgetSessions:
    """Retention: sessions that nobody has touched for `days` are deleted for good, with all that
    belongs to them, and so is what was left of those that were deleted so long ago. No stream of
    them is held any more; whoever follows one all the same learns it from the watchdog."""

    open_unit_of_work: OpenUnitOfWork
    announce: Announce
    cache: Cache
    clear_strays: ClearStrays
    days: float

    async def __call__(self) -> None:
        """Raises DatabaseUnavailable."""
        number = 0
        while forgotten := await self._forget():
            number += len(forgotten)
            for each in forgotten:
                if each.was_there:
                    await self.cache.forget_conversation(each.session_id)
                    self.announce(SessionDeleted(each.owner, each.session_id))
            await self.clear_strays.these([key for each in forgotten for key in each.contents])
            await asyncio.sleep(_PAUSE_SECONDS)  # others want to write too
        async with self.open_unit_of_work() as work:
            keys = await work.retention.forget_keys(self.days)
            await work.commit()
        if number or keys:
            log.info("forgot %d sessions and %d idempotency keys for their age", number, keys)

    async def _forget(self) -> Sequence[Forgotten]:
        async with self.open_unit_of_work() as work:
            forgotten = await work.retention.forget_untouched(self.days, _BATCH)
            await work.commit()
        return forgotten
