"""Who is here for longer than one request, and whether they still may be."""

from collections.abc import Callable
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

    by_caller: "dict[Caller, set[Visit]]" = field(default_factory=dict)

    def including(self, caller: Caller, leave: Leave) -> "Visit":
        """`leave` is called if the caller may not stay; it must not wait."""
        return Visit(self, caller, leave)

    def end(self, caller: Caller) -> None:
        for visit in list(self.by_caller.get(caller, ())):
            visit.leave()


@dataclass(slots=True, eq=False)
class Visit:
    """Lasts as long as its block: an object, for a generator would cost each idle socket more."""

    visits: Visits
    caller: Caller
    leave: Leave

    def __enter__(self) -> None:
        self.visits.by_caller.setdefault(self.caller, set()).add(self)

    def __exit__(self, *_: object) -> None:
        visits = self.visits.by_caller[self.caller]
        visits.remove(self)
        if not visits:
            del self.visits.by_caller[self.caller]


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
