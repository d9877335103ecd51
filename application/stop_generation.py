from dataclasses import dataclass

from application.end_generation import EndGeneration
from application.ports import OpenUnitOfWork, WakeUps
from domain.errors import GenerationNotFound, NothingToStop, SessionNotFound
from domain.generation import Generation
from domain.identifiers import GenerationId, SessionId, UserId


@dataclass(frozen=True, slots=True)
class StopGeneration:
    """Stop an answer. One that waits has stopped at once. One that is being written is stopped by
    its worker, which keeps the text so far; the wish is in the database, so it outlives both."""

    open_unit_of_work: OpenUnitOfWork
    end: EndGeneration
    wake_ups: WakeUps

    async def __call__(self, user: UserId, generation_id: GenerationId) -> Generation:
        """As it is now; once it has ended, that stays so. Raises GenerationNotFound."""
        async with self.open_unit_of_work() as work:
            generation = await work.generations.find(generation_id, user)
            if generation is None:
                raise GenerationNotFound
            if generation.ended:
                return generation
            stopped = await work.generations.stop(generation_id)
            generation = await work.generations.find(generation_id, user) or generation
            await work.commit()
        if stopped is not None:
            await self.end.tell_stopped(stopped)
        if stopped is None or stopped.is_behind:
            await self.wake_ups.wake(generation.session_id)
        return generation

    async def active(self, user: UserId, session_id: SessionId) -> Generation:
        """What the session is working on. Raises SessionNotFound, NothingToStop."""
        async with self.open_unit_of_work(read_only=True) as work:
            session = await work.sessions.find(session_id, user)
        if session is None:
            raise SessionNotFound
        if session.active is None:
            raise NothingToStop
        return await self(user, session.active.generation_id)
