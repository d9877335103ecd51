from dataclasses import dataclass

from application.browse import ReadGeneration, Shown
from application.ports import OpenUnitOfWork
from domain.call import Call
from domain.errors import GenerationNotFound
from domain.identifiers import GenerationId, UserId


@dataclass(frozen=True, slots=True)
class ShownCall:
    """What was asked, and what can be seen of the answer."""

    call: Call
    answer: Shown


@dataclass(frozen=True, slots=True)
class ReadCall:
    """Read a call that was stored, in the dialect in which it was made."""

    open_unit_of_work: OpenUnitOfWork
    read_generation: ReadGeneration

    async def __call__(self, user: UserId, generation_id: GenerationId, dialect: str) -> ShownCall:
        """Raises GenerationNotFound, also for what answers no such call."""
        answer = await self.read_generation(user, generation_id)
        async with self.open_unit_of_work(read_only=True) as work:
            call = await work.calls.find(answer.generation.session_id)
        if call is None or call.dialect != dialect or not call.is_stored:
            raise GenerationNotFound
        return ShownCall(call, answer)
