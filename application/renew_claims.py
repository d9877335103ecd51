from dataclasses import dataclass

from application.claims import Claims, Interruption
from application.ports import OpenUnitOfWork


@dataclass(frozen=True, slots=True)
class RenewClaims:
    """The heartbeat: prolong all of this process's claims in one update, and hear of each whether
    it is lost or asked to stop."""

    open_unit_of_work: OpenUnitOfWork
    claims: Claims
    lease_seconds: float

    async def __call__(self) -> None:
        claims = list(self.claims)
        if not claims:
            return
        held = [(claim.generation.id, claim.generation.fence) for claim in claims]
        async with self.open_unit_of_work() as work:
            renewals = await work.generations.renew(held, self.lease_seconds)
            await work.commit()
        stop_requested = {renewal.generation_id: renewal.stop_requested for renewal in renewals}
        for claim in claims:
            if claim.generation.id not in stop_requested:
                claim.interrupt(Interruption.FENCED)
            elif stop_requested[claim.generation.id]:
                claim.interrupt(Interruption.STOP)
