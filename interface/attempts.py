"""How often somebody may try to get in."""

import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

from starlette.requests import Request

from application.ports import RateLimiter
from domain.errors import InvalidCredentials
from domain.limits import Rate
from interface.client_address import ClientAddress
from interface.rates import Counted, Told, hit, nearest, tell


@dataclass(frozen=True, slots=True)
class Attempts:
    """Wrong passwords are counted three ways. Of a name from one address: this is who guesses. Of
    an address: who guesses at many names. Of a name from anywhere: who guesses from many addresses;
    this one is wide, for it can keep the owner of the name out too. What nobody is called is
    counted like what somebody is, so nothing is learned of it. Right ones cost as much time as
    wrong ones, so they are counted too: of an address and of a name, which only who knows its
    password can be kept out by."""

    limiter: RateLimiter
    address_of: ClientAddress
    guesses: Rate | None
    registrations: Rate | None
    refreshes: Rate | None = None
    """Shared with all that nobody stands for."""
    looked_at: Counter[tuple[str, str]] = field(default_factory=Counter, init=False)

    @asynccontextmanager
    async def log_in(self, request: Request, username: str) -> AsyncIterator[None]:
        """Around the look at a password, which raises InvalidCredentials: who was wrong is told so,
        and the next one may be refused. Raises RateLimited, also for who has the right password: it
        is not looked at. What is looked at in this process counts as wrong until it is known, or
        all that come at once would pass."""
        wrong, right = self._guessed(request, username)
        with self._under_way(wrong) as ahead:
            stood = [Told(rate, await self.limiter.look(rate, key)) for rate, key in right]
            for (rate, key), others in zip(wrong, ahead, strict=True):
                standing = await self.limiter.look(rate, key)
                stood.append(Told(rate, standing.behind(others)))
            _tell(request, nearest(stood))
            try:
                yield
            except InvalidCredentials:
                tell(request, await hit(self.limiter, wrong))
                raise
            await hit(self.limiter, right)

    async def before_registration(self, request: Request) -> None:
        """Raises RateLimited."""
        await self._count(request, self.registrations)

    async def before_refresh(self, request: Request) -> None:
        """Raises RateLimited. Whose token it is is known only after the work."""
        await self._count(request, self.refreshes)

    async def _count(self, request: Request, rate: Rate | None) -> None:
        if rate is not None:
            _tell(request, await hit(self.limiter, [(rate, self.address_of(request))]))

    def _guessed(self, request: Request, username: str) -> tuple[Counted, Counted]:
        """By what the wrong ones are counted, and the right ones."""
        if self.guesses is None:
            return (), ()
        name, amount, seconds = self.guesses.name, self.guesses.amount, self.guesses.seconds
        address, user = self.address_of(request), _digest(username)
        wrong = (
            (self.guesses, f"{user} {address}"),
            (Rate(f"{name}-address", 10 * amount, seconds), address),
            (Rate(f"{name}-username", 10 * amount, 12 * seconds), user),
        )
        right = (
            (Rate(f"{name}-right-address", 30 * amount, seconds), address),
            (Rate(f"{name}-right-username", 20 * amount, seconds), user),
        )
        return wrong, right

    @contextmanager
    def _under_way(self, counted: Counted) -> Iterator[Sequence[int]]:
        """How many others are, of each."""
        names = [(rate.name, key) for rate, key in counted]
        ahead = [self.looked_at[each] for each in names]
        self.looked_at.update(names)
        try:
            yield ahead
        finally:
            for each in names:
                self.looked_at[each] -= 1
                if not self.looked_at[each]:
                    del self.looked_at[each]


def _tell(request: Request, told: Told | None) -> None:
    tell(request, told)
    if told is not None:
        told.refuse()


def _digest(username: str) -> str:
    """However it is written, and however long it is."""
    return hashlib.sha256(username.strip().casefold().encode(errors="replace")).hexdigest()[:32]
