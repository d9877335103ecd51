from dataclasses import dataclass
from typing import Final

from application.following import Followers
from application.ports import OpenUnitOfWork

_BATCH: Final = 500


@dataclass(frozen=True, slots=True)
class WatchSessions:
    """The watchdog: tell this process's subscribers what the database says, so that an event that
    was lost on its way hangs nobody. One query for many sessions."""

    open_unit_of_work: OpenUnitOfWork
    followers: Followers

    async def __call__(self) -> None:
        session_ids = list(self.followers.by_session)
        for start in range(0, len(session_ids), _BATCH):
            batch = session_ids[start : start + _BATCH]
            async with self.open_unit_of_work(read_only=True) as work:
                reached = await work.sessions.reached(batch)
            for session_id in batch:
                for following in self.followers.by_session.get(session_id, ()):
                    following.compare(reached.get(session_id))
