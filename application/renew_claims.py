from collections.abc import Sequence
from dataclasses import dataclass

from application.claims import Claim, Claims, Interruption
from application.ports import OpenUnitOfWork
from domain.identifiers import SessionId


@dataclass(frozen=True, slots=True)
class RenewClaims:
    """The heartbeat: prolong all of this process's claims in one update, and hear of each whether
    it is lost or asked to stop."""

    open_unit_of_work: OpenUnitOfWork
    claims: Claims
    lease_seconds: float

    async def __call__(self) -> None:
        await self.prove(list(self.claims))

    async def of_session(self, session_id: SessionId) -> None:
        """At once, because the session was changed under what is answered in it."""
        claims = [claim for claim in self.claims if claim.generation.session_id == session_id]
        await self.prove(claims)
        for claim in claims:
            claim.interrupt(Interruption.STEP_ASIDE)

    async def prove(self, claims: Sequence[Claim]) -> Sequence[Claim]:
        """Prolong these; returns those that held a moment ago."""
        if not claims:
            return ()
        held = [(claim.generation.id, claim.generation.fence) for claim in claims]
        async with self.claims.changing, self.open_unit_of_work() as work:
            renewals = await work.generations.renew(held, self.lease_seconds)
            await work.commit()
        stop_requested = {renewal.generation_id: renewal.stop_requested for renewal in renewals}
        proven: list[Claim] = []
        for claim, (generation_id, fence) in zip(claims, held, strict=True):
            if generation_id in stop_requested:
                proven.append(claim)
                if stop_requested[generation_id]:
                    claim.interrupt(Interruption.STOP)
            elif not claim.moving and claim.generation.fence == fence:
                claim.interrupt(Interruption.FENCED)
        return proven
