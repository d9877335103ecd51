import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from application.catch_up import seen_text, with_progress
from application.claims import Claims
from application.end_generation import EndGeneration
from application.ports import EventStream, OpenUnitOfWork
from domain.generation import Ending, Failure, Generation, GenerationStatus
from domain.identifiers import GenerationId

log = logging.getLogger(__name__)

LOST: Final = Failure("worker_lost", "The workers that answered this were lost too often.")

_LOST_AT_ONCE: Final = 100


@dataclass(frozen=True, slots=True)
class SweepGenerations:
    """Find in the database what no hint and no worker took care of: the outbox of the queue."""

    open_unit_of_work: OpenUnitOfWork
    stream: EventStream
    end: EndGeneration
    claims: Claims
    waiting_seconds: float

    async def __call__(self, free_slots: int, *, hinted: bool = True) -> Sequence[GenerationId]:
        """Ends what is lost for good, and returns at most `free_slots` that may be claimed. If
        workers are hinted at what waits, that is left to the hint for `waiting_seconds`."""
        waiting_seconds = self.waiting_seconds if hinted else 0.0
        async with self.open_unit_of_work(read_only=True) as work:
            lost = await work.generations.lost(_LOST_AT_ONCE)
            due = await work.generations.due(free_slots, waiting_seconds)
        for generation in lost:
            if generation.id not in self.claims.held:
                await self._end(generation)
        return due

    async def _end(self, generation: Generation) -> None:
        """One that can't be ended must not keep the sweep from all the others."""
        held = await self.stream.held(generation.session_id)
        seen = seen_text(generation, with_progress(held, [generation]))
        try:
            await self.end.as_lost(generation, _ending(generation, seen.text if seen else ""))
        except Exception:
            log.exception("%s is lost, and its end can't be stored", generation.id)


def _ending(generation: Generation, text: str) -> Ending:
    """Its terminal event comes after a snapshot, which has seq 0."""
    if generation.stop_requested:
        return Ending(GenerationStatus.STOPPED, text, last_seq=1)
    return Ending(GenerationStatus.FAILED, text, last_seq=1, failure=LOST)
