import asyncio
import logging
from dataclasses import dataclass, field
from time import monotonic
from typing import Final

from application.log_context import begin_apart
from application.ports import OpenUnitOfWork
from domain.errors import ChatError
from domain.repositories import Backlog

log = logging.getLogger(__name__)

_COUNTED: Final = 100_000
"""More than that is many, however many it is."""


@dataclass(slots=True)
class WatchBacklog:
    """How much waits to be answered, as the database said it less than `kept_seconds` ago: however
    often it is looked at, and by how many, the database is not asked more often than that."""

    open_unit_of_work: OpenUnitOfWork
    kept_seconds: float = 2.0
    patience_seconds: float = 1.0
    _found: Backlog | None = field(default=None, init=False)
    _good_until: float = field(default=0.0, init=False)
    _asking: "asyncio.Task[None] | None" = field(default=None, init=False)

    async def __call__(self) -> Backlog | None:
        """None if the database does not say it, within `patience_seconds` at most."""
        if self._asking is None and monotonic() >= self._good_until:
            self._asking = begin_apart(self._ask())  # for all who look
        if self._asking is not None:
            # What takes longer is not asked again on top of it.
            done, _ = await asyncio.wait((self._asking,), timeout=self.patience_seconds)
            if not done:
                return None
        return self._found

    async def _ask(self) -> None:
        self._found = None
        try:
            async with self.open_unit_of_work(read_only=True) as work:
                self._found = await work.generations.backlog(_COUNTED)
        except ChatError as error:
            log.info("the backlog is not known: %s", error)
        except Exception:
            log.exception("the backlog is not known")
        finally:
            self._good_until = monotonic() + self.kept_seconds
            self._asking = None
