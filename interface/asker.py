"""Who is asking."""

from dataclasses import dataclass
from typing import Protocol

from starlette.requests import HTTPConnection

from application.enter import EnterOpenly
from application.identify import IdentifyByTicket, IdentifyByToken
from application.log_context import also_about
from domain.access import Caller
from domain.errors import InvalidToken, NotSignedIn
from domain.identifiers import UserId
from domain.secret import Secret
from interface.pace import Paces


class Asker(Protocol):
    """Both raise NotSignedIn, InvalidToken for bad credentials of any kind, and RateLimited, unless
    the request repeats one that was accepted under its idempotency `key`."""

    async def __call__(self, connection: HTTPConnection, /, *, key: str | None = None) -> UserId:
        """The user behind a request or socket."""

    async def caller(
        self, connection: HTTPConnection, /, *, by_ticket: bool = False, key: str | None = None
    ) -> Caller:
        """The same, and by what right: for what lasts longer than the request. Where it may be
        `by_ticket`, a ticket in the query counts if there is no Authorization header."""


class Door(Protocol):
    """Who is asking, however often."""

    async def __call__(self, connection: HTTPConnection, /, *, by_ticket: bool) -> Caller:
        """Raises NotSignedIn, InvalidToken."""


@dataclass(frozen=True, slots=True)
class ReadCredentials:
    """Whom the credentials of a request speak for; None if it has none."""

    by_token: IdentifyByToken
    by_ticket: IdentifyByTicket

    async def __call__(self, connection: HTTPConnection, *, by_ticket: bool) -> Caller | None:
        """Raises InvalidToken."""
        match connection.headers.getlist("authorization"):
            case []:
                ticket = connection.query_params.get("ticket") if by_ticket else None
                return await self.by_ticket(Secret(ticket)) if ticket else None
            case [header]:
                scheme, _, token = header.partition(" ")
                if scheme.lower() == "bearer":
                    return await self.by_token(Secret(token.strip()))
        raise InvalidToken


@dataclass(frozen=True, slots=True)
class OpenDoor:
    """Open mode: whoever can reach the server may use it, and needs no credentials. Those of who
    has some are checked all the same; but where `any_key` will do, as for clients that insist on
    sending one, what nobody's is counts as none."""

    credentials: ReadCredentials
    enter: EnterOpenly
    any_key: bool = False

    async def __call__(self, connection: HTTPConnection, /, *, by_ticket: bool) -> Caller:
        try:
            caller = await self.credentials(connection, by_ticket=by_ticket)
        except InvalidToken:
            if not self.any_key:
                raise
            caller = None
        return caller or Caller(await self.enter())


@dataclass(frozen=True, slots=True)
class LockedDoor:
    """Required mode: nobody comes in without credentials."""

    credentials: ReadCredentials

    async def __call__(self, connection: HTTPConnection, /, *, by_ticket: bool) -> Caller:
        caller = await self.credentials(connection, by_ticket=by_ticket)
        if caller is None:
            raise NotSignedIn
        return caller


@dataclass(frozen=True, slots=True)
class PacedDoor:
    """Where whoever asks may do so only so often, and who fails to come in likewise."""

    door: Door
    paces: Paces

    async def __call__(self, connection: HTTPConnection, /, *, key: str | None = None) -> UserId:
        return (await self.caller(connection, key=key)).user

    async def caller(
        self, connection: HTTPConnection, /, *, by_ticket: bool = False, key: str | None = None
    ) -> Caller:
        try:
            caller = await self.door(connection, by_ticket=by_ticket)
        except (NotSignedIn, InvalidToken):
            await self.paces.of(connection, None).count(connection=connection)
            raise
        also_about(user_id=caller.user)
        await self.paces.of(connection, caller).count(key, connection)
        return caller
