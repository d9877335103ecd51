"""How often somebody may try to get in."""

import hashlib
from dataclasses import dataclass

from starlette.requests import Request

from application.ports import RateLimiter
from domain.limits import Rate
from interface.client_address import ClientAddress
from interface.rates import Counted, Told, hit, look, tell


@dataclass(frozen=True, slots=True)
class Attempts:
    """Wrong passwords are counted three ways. Of a name from one address: this is who guesses. Of
    an address: who guesses at many names. Of a name from anywhere: who guesses from many addresses;
    this one is wide, for it can keep the owner of the name out too. What nobody is called is
    counted like what somebody is, so nothing is learned of it."""

    limiter: RateLimiter
    address_of: ClientAddress
    guesses: Rate | None
    registrations: Rate | None

    async def before_log_in(self, request: Request, username: str) -> None:
        """Raises RateLimited, also for who has the right password: it is not looked at."""
        _tell(request, await look(self.limiter, self._guessed(request, username)))

    async def failed(self, request: Request, username: str) -> None:
        """This one is told that it was wrong; the next one may be refused."""
        tell(request, await hit(self.limiter, self._guessed(request, username)))

    async def before_registration(self, request: Request) -> None:
        """Raises RateLimited."""
        if self.registrations is not None:
            counted = [(self.registrations, self.address_of(request))]
            _tell(request, await hit(self.limiter, counted))

    def _guessed(self, request: Request, username: str) -> Counted:
        if self.guesses is None:
            return ()
        name, amount, seconds = self.guesses.name, self.guesses.amount, self.guesses.seconds
        address, user = self.address_of(request), _digest(username)
        return (
            (self.guesses, f"{user} {address}"),
            (Rate(f"{name}-address", 10 * amount, seconds), address),
            (Rate(f"{name}-username", 10 * amount, 12 * seconds), user),
        )


def _tell(request: Request, told: Told | None) -> None:
    tell(request, told)
    if told is not None:
        told.refuse()


def _digest(username: str) -> str:
    """However it is written, and however long it is."""
    return hashlib.sha256(username.strip().casefold().encode(errors="replace")).hexdigest()[:32]
