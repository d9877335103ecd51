from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from application.catch_up import seen_text
from application.end_generation import EndGeneration
from application.ports import EventStream, OpenUnitOfWork
from domain.generation import Failure, Generation
from domain.identifiers import GenerationId

LOST: Final = Failure("worker_lost", "The workers that answered this were lost too often.")

_LOST_AT_ONCE: Final = 100


@dataclass(frozen=True, slots=True)
class SweepGenerations:
    """Find in the database what no hint and no worker took care of: the outbox of the queue."""

    open_unit_of_work: OpenUnitOfWork
    stream: EventStream
    end: EndGeneration
    waiting_seconds: float

    async def __call__(self, free_slots: int) -> Sequence[GenerationId]:
        """Ends what is lost for good, and returns at most `free_slots` that may be claimed."""
        async with self.open_unit_of_work(read_only=True) as work:
            lost = await work.generations.lost(_LOST_AT_ONCE)
            due = await work.generations.due(free_slots, self.waiting_seconds)
        for generation in lost:
            await self.end.as_lost(generation, await self._seen(generation), LOST)
        return due

    async def _seen(self, generation: Generation) -> str:
        async with self.stream.subscribe(generation.session_id) as subscription:
            seen = seen_text(generation, await subscription.held())
        return seen.text if seen else ""
