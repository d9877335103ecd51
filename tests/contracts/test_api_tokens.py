"""What every repository of API tokens promises."""

import asyncio
from datetime import timedelta

import pytest

from application.ports import OpenUnitOfWork
from domain.access import Caller
from domain.api_token import MAX_API_TOKENS, ApiToken
from domain.errors import TooManyApiTokens
from domain.identifiers import ApiTokenId, UserId
from domain.secret import Secret
from tests.builders import add_api_token, add_user
from tests.operator import delete_user

TOKEN = "sk-wQ5-quite-distinctive-77Bc"


async def caller(database: OpenUnitOfWork, token: str) -> Caller | None:
    async with database(read_only=True) as work:
        return await work.api_tokens.caller(Secret(token).digest)


async def page(
    database: OpenUnitOfWork, owner: UserId, limit: int = 100, after: ApiTokenId | None = None
) -> list[ApiToken]:
    async with database(read_only=True) as work:
        return list(await work.api_tokens.page(owner, limit, after))


async def delete(database: OpenUnitOfWork, owner: UserId, token_id: ApiTokenId) -> bool:
    async with database() as work:
        deleted = await work.api_tokens.delete(owner, token_id)
        await work.commit()
    return deleted


async def test_a_token_is_listed_as_it_was_made_and_speaks_for_its_user(
    database: OpenUnitOfWork,
) -> None:
    ada = await add_user(database)
    made = await add_api_token(database, ada, TOKEN, name="for the cron job")
    assert (made.owner, made.name, made.hint) == (ada, "for the cron job", TOKEN[-4:])
    assert made.expires_at is None
    assert made.created_at.tzinfo is not None
    assert await page(database, ada) == [made]
    assert await caller(database, TOKEN) == Caller(ada, api_token=made.id)
    assert await caller(database, TOKEN.lower()) is None
    assert TOKEN not in repr(made)


async def test_a_token_expires_after_its_days(database: OpenUnitOfWork) -> None:
    ada = await add_user(database)
    made = await add_api_token(database, ada, "sk-1", days=30)
    assert made.expires_at is not None
    off = made.expires_at - made.created_at - timedelta(days=30)
    assert abs(off) < timedelta(hours=1)
    assert await caller(database, "sk-1") == Caller(ada, api_token=made.id)
    expired = await add_api_token(database, ada, "sk-2", days=0)
    assert await caller(database, "sk-2") is None
    assert await page(database, ada) == [made, expired]


async def test_a_deleted_token_speaks_for_nobody(database: OpenUnitOfWork) -> None:
    ada = await add_user(database)
    made = await add_api_token(database, ada, TOKEN)
    assert await delete(database, ada, made.id)
    assert not await delete(database, ada, made.id)
    assert await caller(database, TOKEN) is None
    assert await page(database, ada) == []


async def test_the_id_of_a_deleted_token_does_not_come_back(database: OpenUnitOfWork) -> None:
    """Else a stream that it opened would go on under the next one."""
    ada = await add_user(database)
    made = await add_api_token(database, ada, "sk-1")
    assert await delete(database, ada, made.id)
    assert (await add_api_token(database, ada, "sk-2")).id > made.id


async def test_what_is_anothers_is_not_there(database: OpenUnitOfWork) -> None:
    ada, bob = await add_user(database, "ada"), await add_user(database, "bob")
    made = await add_api_token(database, ada, TOKEN)
    assert await page(database, bob) == []
    assert not await delete(database, bob, made.id)
    assert await caller(database, TOKEN) == Caller(ada, api_token=made.id)


async def test_tokens_of_a_deleted_user_speak_for_nobody(database: OpenUnitOfWork) -> None:
    ada = await add_user(database)
    await add_api_token(database, ada, TOKEN)
    await delete_user(database, ada)
    assert await caller(database, TOKEN) is None


async def test_they_are_listed_oldest_first_page_by_page(database: OpenUnitOfWork) -> None:
    ada, bob = await add_user(database, "ada"), await add_user(database, "bob")
    made = []
    for number in range(5):
        made.append(await add_api_token(database, ada, f"sk-ada-{number}"))
        await add_api_token(database, bob, f"sk-bob-{number}")
    assert await page(database, ada) == made
    assert await page(database, ada, 2) == made[:2]
    assert await page(database, ada, 2, made[1].id) == made[2:4]
    assert await page(database, ada, 2, made[4].id) == []


async def test_a_user_has_only_so_many_also_when_they_are_made_at_once(
    database: OpenUnitOfWork,
) -> None:
    ada, bob = await add_user(database, "ada"), await add_user(database, "bob")
    for number in range(MAX_API_TOKENS - 1):
        await add_api_token(database, ada, f"sk-{number}")
    tries = [add_api_token(database, ada, f"sk-last-{number}") for number in range(4)]
    made = await asyncio.gather(*tries, return_exceptions=True)
    assert len([each for each in made if isinstance(each, ApiToken)]) == 1
    assert len([each for each in made if isinstance(each, TooManyApiTokens)]) == 3
    await add_api_token(database, bob, "sk-bob")
    assert await delete(database, ada, (await page(database, ada))[0].id)
    await add_api_token(database, ada, "sk-again")
    with pytest.raises(TooManyApiTokens):
        await add_api_token(database, ada, "sk-and-again")
