import asyncio
import itertools
import logging
from dataclasses import dataclass
from typing import Final

from application.catch_up import terminal_event
from application.events import Snapshot
from application.hint import hint
from application.ports import (
    Announce,
    EventStream,
    EventWriter,
    OpenUnitOfWork,
    RequestQueue,
    UnitOfWork,
)
from domain.errors import DatabaseUnavailable
from domain.events import GenerationCompleted, GenerationFailed, GenerationStopped
from domain.generation import Ending, Generation, GenerationStatus
from domain.repositories import Finished

log = logging.getLogger(__name__)

_PATIENCE: Final = (0.05, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Seconds between the tries to store an ending; the last is repeated while the claim may hold."""


@dataclass(frozen=True, slots=True)
class EndGeneration:
    """Store how an answer ended, then say so, then look at what waits behind it."""

    open_unit_of_work: OpenUnitOfWork
    stream: EventStream
    queue: RequestQueue
    announce: Announce

    async def __call__(
        self,
        generation: Generation,
        ending: Ending,
        said: Snapshot,
        writer: EventWriter,
        title: str | None,
    ) -> Generation | None:
        """As it is stored. None if the claim is lost: then nothing was and nothing may be said.

        The end's place leaves room before it for all that was `said`, if not all of that is stored
        in the stream. Whoever reads the database instead is shown it in that place too.
        """
        finished = await self._stored(generation, ending)
        if finished is None:
            return None
        if ending.last_seq > writer.top.seq + 1:
            writer.restart(said)
        writer.write(terminal_event(finished.generation, title))
        await writer.flush()
        await self._go_on(finished)
        return finished.generation

    async def as_lost(self, generation: Generation, ending: Ending) -> bool:
        """End a generation whose workers are gone, with the text that was seen of it."""
        async with self.open_unit_of_work() as work:
            finished = await work.generations.end_lost(generation.id, ending)
            if finished is None:
                return False
            await work.commit()
        ended = finished.generation
        writer = self.stream.writer(ended.session_id, ended.fence)
        writer.write(Snapshot(ended.id, ended.attempt, ended.text, recovered=False))
        writer.write(terminal_event(ended))
        await writer.flush()
        await self._go_on(finished)
        return True

    async def tell_stopped(self, finished: Finished) -> None:
        """Of one that was stopped while it waited. If it was behind another one, its event comes
        after that one's, for positions rise; who follows it alone sees it in the database."""
        if not finished.is_behind:
            await self._write_end(finished.generation)
        await self._go_on(finished)

    async def _go_on(self, finished: Finished) -> None:
        for stopped in finished.stopped_behind:
            await self._write_end(stopped)
        self.announce(_what_happened(finished.generation))
        if finished.next_id is not None:
            await hint(self.queue, finished.next_id)

    async def _write_end(self, stopped: Generation) -> None:
        writer = self.stream.writer(stopped.session_id, stopped.fence)
        writer.write(terminal_event(stopped))
        await writer.flush()

    async def _stored(self, generation: Generation, ending: Ending) -> Finished | None:
        """Tries again while the database is away: the fence makes a repeat harmless."""
        for tries in itertools.count():
            try:
                async with self.open_unit_of_work() as work:
                    finished = await work.generations.finish(
                        generation.id, generation.fence, ending
                    )
                    if finished is None:
                        return await _stored_before(work, generation)
                    await work.commit()
                    return finished
            except DatabaseUnavailable as error:
                log.warning("the end of %s is not stored yet: %s", generation.id, error)
            await asyncio.sleep(_PATIENCE[min(tries, len(_PATIENCE) - 1)])
        raise AssertionError("count() does not end")


async def _stored_before(work: UnitOfWork, generation: Generation) -> Finished | None:
    """What a commit left whose reply was lost; None if the claim was lost instead."""
    found = await work.generations.find(generation.id, generation.owner)
    if found is not None and found.ended and found.fence == generation.fence:
        return Finished(found, None)
    return None


def _what_happened(
    ended: Generation,
) -> GenerationCompleted | GenerationStopped | GenerationFailed:
    which = (ended.owner, ended.session_id, ended.id)
    if ended.failure is not None:
        return GenerationFailed(*which, ended.failure)
    if ended.status is GenerationStatus.COMPLETED:
        return GenerationCompleted(*which, ended.usage)
    return GenerationStopped(*which)
