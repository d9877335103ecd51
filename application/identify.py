"""Whom a token or a ticket speaks for."""

from dataclasses import dataclass
from typing import Final

from application.ports import Ids, OpenUnitOfWork, Tokens
from domain.access import Caller
from domain.api_token import API_TOKEN_PREFIX
from domain.errors import InvalidToken
from domain.secret import Secret

TICKET_SECONDS: Final = 60


@dataclass(frozen=True, slots=True)
class IdentifyByToken:
    """By an access token or an API token. Each time the database is asked, so that what was ended
    is of no use from then on."""

    open_unit_of_work: OpenUnitOfWork
    tokens: Tokens

    async def __call__(self, token: Secret) -> Caller:
        """Raises InvalidToken."""
        if token.reveal().startswith(API_TOKEN_PREFIX):
            async with self.open_unit_of_work(read_only=True) as work:
                caller = await work.api_tokens.caller(token.digest)
            if caller is None:
                raise InvalidToken
            return caller
        caller = self.tokens.read_access(token)
        async with self.open_unit_of_work(read_only=True) as work:
            if caller not in await work.callers.standing([caller]):
                raise InvalidToken
        return caller


@dataclass(frozen=True, slots=True)
class IdentifyByTicket:
    """By a ticket, which is of no use afterwards."""

    open_unit_of_work: OpenUnitOfWork

    async def __call__(self, ticket: Secret) -> Caller:
        """Raises InvalidToken, also if what the ticket was made by has ended meanwhile."""
        async with self.open_unit_of_work() as work:
            caller = await work.tickets.take(ticket.digest)
            standing = caller is not None and caller in await work.callers.standing([caller])
            await work.commit()
        if caller is None or not standing:
            raise InvalidToken
        return caller


@dataclass(frozen=True, slots=True)
class MakeTicket:
    """For a browser, which can send no header with a WebSocket or an EventSource."""

    open_unit_of_work: OpenUnitOfWork
    ids: Ids

    async def __call__(self, caller: Caller) -> Secret:
        ticket = self.ids.ticket()
        async with self.open_unit_of_work() as work:
            await work.tickets.add(ticket.digest, caller, TICKET_SECONDS)
            await work.commit()
        return ticket
