"""What every store of tickets promises."""

import asyncio

from application.ports import OpenUnitOfWork
from domain.access import Caller
from domain.secret import Secret
from tests.builders import add_api_token, add_user, sign_in

TICKET = Secret("a-ticket-that-is-quite-distinctive")


async def add(
    database: OpenUnitOfWork, caller: Caller, ticket: Secret = TICKET, seconds: float = 60
) -> None:
    async with database() as work:
        await work.tickets.add(ticket.digest, caller, seconds)
        await work.commit()


async def take(database: OpenUnitOfWork, ticket: Secret = TICKET) -> Caller | None:
    async with database() as work:
        caller = await work.tickets.take(ticket.digest)
        await work.commit()
    return caller


async def test_a_ticket_keeps_who_had_it_made_and_by_what(database: OpenUnitOfWork) -> None:
    ada = await add_user(database)
    token = await add_api_token(database, ada)
    callers = [Caller(ada), await sign_in(database, ada), Caller(ada, api_token=token.id)]
    for number, caller in enumerate(callers):
        await add(database, caller, Secret(f"ticket {number}"))
    for number, caller in enumerate(callers):
        assert await take(database, Secret(f"ticket {number}")) == caller


async def test_a_ticket_is_good_once(database: OpenUnitOfWork) -> None:
    await add(database, Caller(await add_user(database)))
    assert await take(database) is not None
    assert await take(database) is None
    assert await take(database, Secret("another")) is None


async def test_of_many_who_take_one_at_once_one_gets_it(database: OpenUnitOfWork) -> None:
    caller = Caller(await add_user(database))
    await add(database, caller)
    taken = await asyncio.gather(*(take(database) for _ in range(8)))
    assert [each for each in taken if each is not None] == [caller]


async def test_a_ticket_whose_taking_was_not_kept_is_still_good(database: OpenUnitOfWork) -> None:
    caller = Caller(await add_user(database))
    await add(database, caller)
    async with database() as work:
        assert await work.tickets.take(TICKET.digest) == caller
    assert await take(database) == caller


async def test_an_old_ticket_is_of_no_use_and_forgotten(database: OpenUnitOfWork) -> None:
    """When the next one is made: the place of its digest is free then."""
    caller = Caller(await add_user(database))
    await add(database, caller, seconds=0)
    assert await take(database) is None
    await add(database, caller)
    assert await take(database) == caller
