"""What every repository of sign-ins promises, and every answer to who may still ask."""

import asyncio
from dataclasses import replace

from application.ports import OpenUnitOfWork
from domain.access import Caller, Refresh
from domain.identifiers import ApiTokenId, SignInId, UserId
from tests.builders import add_api_token, add_user, sign_in
from tests.operator import delete_user

FIRST = "signin_1"


def refresh_of(caller: Caller, rotation: int) -> Refresh:
    assert caller.sign_in is not None
    return Refresh(caller.user, caller.sign_in, rotation)


async def renew(
    database: OpenUnitOfWork, caller: Caller, rotation: int, seconds: float = 60
) -> bool:
    async with database() as work:
        renewed = await work.sign_ins.renew(refresh_of(caller, rotation), seconds)
        await work.commit()
    return renewed


async def prolong(
    database: OpenUnitOfWork, caller: Caller, rotation: int, seconds: float = 60
) -> bool:
    async with database() as work:
        prolonged = await work.sign_ins.prolong(refresh_of(caller, rotation), seconds)
        await work.commit()
    return prolonged


async def end_reused(database: OpenUnitOfWork, caller: Caller, rotation: int) -> bool:
    async with database() as work:
        ended = await work.sign_ins.end_reused(refresh_of(caller, rotation))
        await work.commit()
    return ended


async def end_all(database: OpenUnitOfWork, user: UserId) -> None:
    async with database() as work:
        await work.sign_ins.end_all(user)
        await work.commit()


async def standing(database: OpenUnitOfWork, *callers: Caller) -> set[Caller]:
    async with database(read_only=True) as work:
        return set(await work.callers.standing(callers))


async def test_each_rotation_is_good_for_one_more(database: OpenUnitOfWork) -> None:
    caller = await sign_in(database, await add_user(database))
    for rotation in range(3):
        assert await renew(database, caller, rotation)
    for rotation in (0, 1, 2, 4):
        assert not await renew(database, caller, rotation)
    assert await renew(database, caller, 3)
    assert await standing(database, caller) == {caller}


async def test_of_two_who_refresh_at_once_one_wins(database: OpenUnitOfWork) -> None:
    caller = await sign_in(database, await add_user(database))
    renewed = await asyncio.gather(*(renew(database, caller, 0) for _ in range(8)))
    assert sorted(renewed) == [False] * 7 + [True]
    assert await renew(database, caller, 1)


async def test_a_refresh_lets_it_last_so_long_from_then_on(database: OpenUnitOfWork) -> None:
    caller = await sign_in(database, await add_user(database))
    assert await renew(database, caller, 0, seconds=0)
    assert await standing(database, caller) == set()
    assert not await renew(database, caller, 1)


async def test_who_prolongs_it_keeps_the_rotation(database: OpenUnitOfWork) -> None:
    caller = await sign_in(database, await add_user(database))
    assert await renew(database, caller, 0)
    for _ in range(3):
        assert await prolong(database, caller, 1)
    for rotation in (0, 2):
        assert not await prolong(database, caller, rotation)
    assert await standing(database, caller) == {caller}
    assert await renew(database, caller, 1)


async def test_all_who_prolong_it_at_once_may(database: OpenUnitOfWork) -> None:
    caller = await sign_in(database, await add_user(database))
    assert all(await asyncio.gather(*(prolong(database, caller, 0) for _ in range(8))))


async def test_prolonged_it_lasts_so_long_from_then_on(database: OpenUnitOfWork) -> None:
    caller = await sign_in(database, await add_user(database))
    other = await sign_in(database, caller.user, "signin_2")
    assert await prolong(database, caller, 0, seconds=0)
    assert await standing(database, caller, other) == {other}
    assert not await prolong(database, caller, 0)


async def test_what_is_over_or_anothers_is_not_prolonged(database: OpenUnitOfWork) -> None:
    ada, bob = await add_user(database, "ada"), await add_user(database, "bob")
    expired = await sign_in(database, ada, "signin_1", seconds=0)
    ended = await sign_in(database, bob, "signin_2")
    await end_all(database, bob)
    going_on = await sign_in(database, bob, "signin_3")
    for caller in (expired, ended, replace(going_on, user=ada)):
        assert not await prolong(database, caller, 0)
    assert await standing(database, expired, ended, going_on) == {going_on}
    assert await prolong(database, going_on, 0)


async def test_what_has_expired_is_not_refreshed(database: OpenUnitOfWork) -> None:
    caller = await sign_in(database, await add_user(database), seconds=0)
    assert not await renew(database, caller, 0)
    assert not await end_reused(database, caller, 0)
    assert await standing(database, caller) == set()


async def test_a_reused_rotation_ends_it_and_no_other_does(database: OpenUnitOfWork) -> None:
    caller = await sign_in(database, await add_user(database))
    other = await sign_in(database, caller.user, "signin_2")
    assert await renew(database, caller, 0)
    for rotation in (1, 2):
        assert not await end_reused(database, caller, rotation)
    assert await standing(database, caller) == {caller}
    assert await end_reused(database, caller, 0)
    assert not await end_reused(database, caller, 0)
    assert not await renew(database, caller, 1)
    assert await standing(database, caller, other) == {other}


async def test_nobody_refreshes_or_ends_what_is_anothers(database: OpenUnitOfWork) -> None:
    caller = await sign_in(database, await add_user(database, "ada"))
    stolen = replace(caller, user=await add_user(database, "bob"))
    assert not await renew(database, stolen, 0)
    assert await renew(database, caller, 0)
    assert not await end_reused(database, stolen, 0)
    assert await standing(database, caller) == {caller}


async def test_all_of_a_user_end_at_once_and_nobody_elses(database: OpenUnitOfWork) -> None:
    ada, bob = await add_user(database, "ada"), await add_user(database, "bob")
    one, two = await sign_in(database, ada, "signin_1"), await sign_in(database, ada, "signin_2")
    theirs = await sign_in(database, bob, "signin_3")
    await end_all(database, ada)
    assert await standing(database, one, two, theirs) == {theirs}
    assert not await renew(database, one, 0)
    again = await sign_in(database, ada, "signin_4")
    assert await standing(database, again) == {again}


async def test_what_is_over_is_forgotten_when_the_user_signs_in_again(
    database: OpenUnitOfWork,
) -> None:
    """Its id is free then, which nothing else shows."""
    ada, bob = await add_user(database, "ada"), await add_user(database, "bob")
    await sign_in(database, ada, FIRST, seconds=0)
    going_on = await sign_in(database, ada, "signin_2")
    assert await sign_in(database, bob, FIRST) == Caller(bob, SignInId(FIRST))
    assert await standing(database, going_on) == {going_on}


async def test_only_those_who_may_ask_are_left(database: OpenUnitOfWork) -> None:
    ada, bob = await add_user(database, "ada"), await add_user(database, "bob")
    token = await add_api_token(database, ada, "sk-1")
    expired = await add_api_token(database, ada, "sk-2", days=0)
    good = {
        Caller(ada),
        Caller(bob),
        await sign_in(database, ada, "signin_1"),
        await sign_in(database, bob, "signin_2"),
        Caller(ada, api_token=token.id),
    }
    bad = {
        Caller(UserId(ada + bob + 1)),
        Caller(bob, SignInId("signin_1")),
        Caller(ada, SignInId("signin_3")),
        Caller(bob, api_token=token.id),
        Caller(ada, api_token=expired.id),
        Caller(ada, api_token=ApiTokenId(expired.id + 1)),
    }
    assert await standing(database, *good, *bad) == good
    assert await standing(database, *bad) == set()
    assert await standing(database) == set()


async def test_nothing_of_a_deleted_user_stands(database: OpenUnitOfWork) -> None:
    ada, bob = await add_user(database, "ada"), await add_user(database, "bob")
    token = await add_api_token(database, ada)
    callers = [
        Caller(ada),
        await sign_in(database, ada),
        Caller(ada, api_token=token.id),
    ]
    assert await standing(database, *callers) == set(callers)
    await delete_user(database, ada)
    assert await standing(database, *callers, Caller(bob)) == {Caller(bob)}


async def test_very_many_are_asked_about_at_once(database: OpenUnitOfWork) -> None:
    ada = await add_user(database)
    good = await sign_in(database, ada)
    others = [Caller(ada, SignInId(f"none_{number}")) for number in range(499)]
    assert await standing(database, *others, good) == {good}
