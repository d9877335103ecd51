"""Limits in a time, as clients see them (draft-ietf-httpapi-ratelimit-headers)."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from starlette.responses import Response

from application.ports import RateLimiter
from domain.limits import Rate, RateLimited, Standing


@dataclass(frozen=True, slots=True)
class Told:
    """How somebody stands with one rate."""

    rate: Rate
    standing: Standing

    @property
    def refusal(self) -> RateLimited | None:
        if self.standing.allowed:
            return None
        seconds = self.standing.reset_seconds
        return RateLimited(f"Too many attempts; try again in {max(1, ceil(seconds))} s.", seconds)

    def on(self, reply: Response) -> Response:
        rate, standing = self.rate, self.standing
        reset = ceil(standing.reset_seconds)
        reply.headers["RateLimit-Policy"] = f'"{rate.name}";q={rate.amount};w={rate.seconds}'
        reply.headers["RateLimit"] = f'"{rate.name}";r={standing.remaining};t={reset}'
        return reply


Counted = Sequence[tuple[Rate, str]]
"""Rates, each with the key that is counted by it."""


async def look(limiter: RateLimiter, counted: Counted) -> Told | None:
    """The one that is nearest to its end; None if nothing is counted."""
    return _nearest([Told(rate, await limiter.look(rate, key)) for rate, key in counted])


async def hit(limiter: RateLimiter, counted: Counted) -> Told | None:
    """Likewise, and one more is counted of each."""
    return _nearest([Told(rate, await limiter.hit(rate, key)) for rate, key in counted])


def _nearest(told: Sequence[Told]) -> Told | None:
    refused = [each for each in told if not each.standing.allowed]
    if refused:
        return max(refused, key=lambda each: each.standing.reset_seconds)
    return min(told, key=lambda each: each.standing.remaining, default=None)
