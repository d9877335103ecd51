"""How often somebody may ask, whatever it is that is asked for."""

from dataclasses import dataclass

from starlette.requests import HTTPConnection

from application.is_repeat import IsRepeat
from application.ports import RateLimiter
from domain.access import Caller
from domain.errors import InvalidInput
from domain.identifiers import UserId
from domain.limits import Rate
from interface.client_address import ClientAddress
from interface.rates import Counted, hit, tell
from interface.wire.parameters import parse_key


@dataclass(frozen=True, slots=True)
class Paces:
    """What a user asks for is counted, and of that what each API token asks for. Whom nobody knows
    is counted by address."""

    limiter: RateLimiter
    address_of: ClientAddress
    is_repeat: IsRepeat
    of_user: Rate | None
    of_token: Rate | None
    of_address: Rate | None

    def of(self, connection: HTTPConnection, caller: Caller | None) -> "Pace":
        """The pace of a caller; None is who could not prove to be one."""
        if caller is not None and caller.is_proved:
            rates = [(self.of_token, str(caller.api_token or "")), (self.of_user, str(caller.user))]
        else:
            rates = [(self.of_address, self.address_of(connection))]
        counted = tuple((rate, key) for rate, key in rates if rate and key)
        return Pace(self, caller.user if caller else UserId(0), counted)


@dataclass(frozen=True, slots=True)
class Pace:
    paces: Paces
    user: UserId
    counted: Counted

    async def count(self, key: str | None = None, connection: HTTPConnection | None = None) -> None:
        """One more request, whose answer, if it has a `connection` of its own, says so. Raises
        RateLimited, unless it is a repeat: one was accepted under this idempotency key."""
        if not self.counted:
            return
        told = await hit(self.paces.limiter, self.counted)
        if connection is not None:
            tell(connection, told)
        if told is not None and not (told.standing.allowed or await self._repeats(key)):
            told.refuse()

    async def _repeats(self, key: str | None) -> bool:
        try:
            asked = parse_key(key)
        except InvalidInput:
            return False
        return asked is not None and await self.paces.is_repeat(self.user, asked)
