"""Limits in a time, as clients see them (draft-ietf-httpapi-ratelimit-headers)."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from starlette.requests import HTTPConnection
from starlette.types import Scope

from application.ports import RateLimiter
from domain.limits import Rate, RateLimited, Standing

Counted = Sequence[tuple[Rate, str]]
"""Rates, each with the key that is counted by it."""


@dataclass(frozen=True, slots=True)
class Told:
    """How somebody stands with one rate."""

    rate: Rate
    standing: Standing

    def refuse(self) -> None:
        """Raises RateLimited, if it is time to."""
        if not self.standing.allowed:
            seconds = self.standing.reset_seconds
            when = max(1, ceil(seconds))
            raise RateLimited(f"That was too often; try again in {when} s.", seconds)

    @property
    def headers(self) -> Sequence[tuple[bytes, bytes]]:
        rate, standing = self.rate, self.standing
        policy = f'"{rate.name}";q={rate.amount};w={rate.seconds}'
        now = f'"{rate.name}";r={standing.remaining};t={ceil(standing.reset_seconds)}'
        return (b"ratelimit-policy", policy.encode()), (b"ratelimit", now.encode())


async def hit(limiter: RateLimiter, counted: Counted) -> Told | None:
    """One more is counted of each in their order, up to one that refuses: what is not done for one
    rate uses up nothing of the next."""
    told: list[Told] = []
    for rate, key in counted:
        told.append(Told(rate, await limiter.hit(rate, key)))
        if not told[-1].standing.allowed:
            break
    return nearest(told)


def nearest(told: Sequence[Told]) -> Told | None:
    """The one that is nearest to its end; None if nothing is counted."""
    refused = [each for each in told if not each.standing.allowed]
    if refused:
        return max(refused, key=lambda each: each.standing.reset_seconds)
    return min(told, key=lambda each: each.standing.remaining, default=None)


def tell(connection: HTTPConnection, told: Told | None) -> None:
    """Have the answer say how who asks stands, whatever the answer is. Where several rates are
    asked the last one has the word, and one that refuses is always the last."""
    if told is not None:
        connection.scope["told_rate"] = told


def told_in(scope: Scope) -> Sequence[tuple[bytes, bytes]]:
    """Headers of an answer."""
    told: Told | None = scope.get("told_rate")
    return told.headers if told else ()
