from dataclasses import dataclass

from application.claims import Claims
from application.ports import OpenUnitOfWork
from application.renew_claims import RenewClaims
from domain.generation import Progress
from domain.identifiers import GenerationId


@dataclass(frozen=True, slots=True)
class ShowAgain:
    """Where the event stream did not store what was said, begin in it anew from a snapshot, and
    save that in the database: whichever is there shows it."""

    open_unit_of_work: OpenUnitOfWork
    claims: Claims
    renew: RenewClaims

    async def __call__(self) -> None:
        """Raises DatabaseUnavailable, and shows nothing: nobody can tell whose the claims are."""
        unheard = [claim for claim in self.claims if claim.unheard]
        if not unheard:
            return
        saved: list[tuple[GenerationId, int, Progress]] = []
        for claim in await self.renew.prove(unheard):
            # Stepping aside may have changed its fence meanwhile, which is a proof like this one.
            if telling := claim.unheard:
                # Without a pause, so that what is said next comes after it.
                said = telling.answer.so_far(claim.generation, recovered=False)
                seq = telling.writer.restart(said).seq
                progress = Progress(seq, said.text, said.reasoning)
                saved.append((claim.generation.id, claim.generation.fence, progress))
        if saved:
            async with self.claims.changing, self.open_unit_of_work() as work:
                await work.generations.save_progress(saved)
                await work.commit()
