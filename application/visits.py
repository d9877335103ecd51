"""Who is here for longer than one request, and whether they still may be."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from application.ports import OpenUnitOfWork
from domain.access import Caller

Leave = Callable[[], None]

_BATCH: Final = 500


@dataclass(frozen=True, slots=True)
class Visits:
    """The open streams and sockets of this process, by who asked for them, and how each is told
    to leave."""

    by_caller: dict[Caller, dict[object, Leave]] = field(default_factory=dict)

    @contextmanager
    def including(self, caller: Caller, leave: Leave) -> Iterator[None]:
        """`leave` is called if the caller may not stay; it must not wait."""
        visit = object()
        visits = self.by_caller.setdefault(caller, {})
        visits[visit] = leave
        try:
            yield
        finally:
            del visits[visit]
            if not visits:
                del self.by_caller[caller]

    def end(self, caller: Caller) -> None:
        for leave in list(self.by_caller.get(caller, {}).values()):
            leave()


@dataclass(frozen=True, slots=True)
class RecheckCallers:
    """Tell those to leave who have been logged out or deleted, or whose API token is gone. One
    question for many callers."""

    open_unit_of_work: OpenUnitOfWork
    visits: Visits

    async def __call__(self) -> None:
        callers = list(self.visits.by_caller)
        for start in range(0, len(callers), _BATCH):
            batch = callers[start : start + _BATCH]
            async with self.open_unit_of_work(read_only=True) as work:
                standing = await work.callers.standing(batch)
            for caller in batch:
                if caller not in standing:
                    self.visits.end(caller)
