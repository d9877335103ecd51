import asyncio
from dataclasses import dataclass

from application.follow_session import FollowGeneration
from application.ports import OpenUnitOfWork
from domain.errors import AnswerPending, DatabaseUnavailable, GenerationNotFound
from domain.generation import Generation
from domain.identifiers import GenerationId, UserId
from domain.message import Message


@dataclass(frozen=True, slots=True)
class Answered:
    """An ended generation and its answer, if there is one."""

    generation: Generation
    message: Message | None


@dataclass(frozen=True, slots=True)
class AwaitAnswer:
    """Wait until a generation has ended, for so many seconds. It does not depend on who waits."""

    open_unit_of_work: OpenUnitOfWork
    follow_generation: FollowGeneration
    seconds: float

    async def __call__(self, user: UserId, generation_id: GenerationId) -> Answered:
        """Raises GenerationNotFound, also if it is deleted meanwhile, and AnswerPending if it has
        not ended in time, or if it can't be told here because the database is away or the process
        ends."""
        try:
            async with asyncio.timeout(self.seconds):
                await self._end(user, generation_id)
            return await self._answered(user, generation_id)
        except (TimeoutError, DatabaseUnavailable):
            raise AnswerPending from None

    async def _end(self, user: UserId, generation_id: GenerationId) -> None:
        async with self.follow_generation(user, generation_id, None) as following:
            async for _ in following:
                pass

    async def _answered(self, user: UserId, generation_id: GenerationId) -> Answered:
        async with self.open_unit_of_work(read_only=True) as work:
            generation = await work.generations.find(generation_id, user)
            answer_id = generation.answer_id if generation else None
            message = None if answer_id is None else await work.messages.find(answer_id)
        if generation is None:
            raise GenerationNotFound
        if not generation.ended:
            raise AnswerPending
        return Answered(generation, message)
