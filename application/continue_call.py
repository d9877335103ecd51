from dataclasses import dataclass

from application.ports import OpenUnitOfWork
from domain.call import Call
from domain.errors import PreviousCallNotFound, PreviousCallUnanswered
from domain.generation import GenerationStatus
from domain.identifiers import GenerationId, UserId


@dataclass(frozen=True, slots=True)
class ContinueCall:
    """Let a call go on from one that was answered. Nothing is shared: it has a copy of what was
    said, so that many may go on from the same one, and none minds when that is forgotten."""

    open_unit_of_work: OpenUnitOfWork

    async def __call__(self, user: UserId, previous: GenerationId, call: Call) -> Call:
        """What is to be submitted: see `Call.after`. The one before it must be the user's, stored,
        and of the same dialect. Raises PreviousCallNotFound, PreviousCallUnanswered,
        PromptTooLarge."""
        async with self.open_unit_of_work(read_only=True) as work:
            generation = await work.generations.find(previous, user)
            found = await work.calls.find(generation.session_id) if generation else None
        if generation is None or found is None:
            raise PreviousCallNotFound
        if found.dialect != call.dialect or not found.is_stored:
            raise PreviousCallNotFound
        if not generation.ended:
            raise PreviousCallUnanswered("It is still being answered: wait for its end.")
        stopped_at_once = generation.status is GenerationStatus.STOPPED and not generation.text
        if generation.status is GenerationStatus.FAILED or stopped_at_once:
            raise PreviousCallUnanswered("It has no answer that could be gone on from.")
        return call.after(found, generation.text)
