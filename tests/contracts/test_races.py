"""What every database promises to those who come at once."""

import asyncio

import pytest

from application.ports import OpenUnitOfWork
from domain.chat_session import MAX_WAITING
from domain.errors import SessionBusy
from domain.generation import GenerationStatus
from domain.identifiers import GenerationId, MessageId, SessionId, UserId
from domain.repositories import KeptRequest, NewSession, Renewal
from tests.builders import add_question, add_session, add_user, claim, completed

MANY = 10
OVER = 0.0
"""A lease that is over as soon as it is given."""


def kept(digest: str) -> KeptRequest:
    return KeptRequest(digest, SessionId("s"), MessageId(1), GenerationId("g"))


async def add_key(database: OpenUnitOfWork, user: UserId, digest: str) -> bool:
    async with database() as work:
        added = await work.idempotency_keys.add(user, "key", kept(digest))
        await work.commit()
    return added


async def test_a_user_of_a_name_is_made_once(database: OpenUnitOfWork) -> None:
    made = await asyncio.gather(*(add_user(database, "ada") for _ in range(MANY)))
    assert len(set(made)) == 1


async def test_a_session_of_an_id_is_made_once(database: OpenUnitOfWork) -> None:
    user = await add_user(database)

    async def add(title: str) -> bool:
        async with database() as work:
            added = await work.sessions.add(NewSession(SessionId("s"), user, title))
            await work.commit()
        return added

    added = await asyncio.gather(*(add(str(number)) for number in range(MANY)))
    async with database(read_only=True) as work:
        session = await work.sessions.find(SessionId("s"), user)
    assert added.count(True) == 1
    assert session is not None
    assert session.title == str(added.index(True))


async def test_an_idempotency_key_is_kept_once(database: OpenUnitOfWork) -> None:
    user = await add_user(database)
    added = await asyncio.gather(*(add_key(database, user, str(n)) for n in range(MANY)))
    async with database(read_only=True) as work:
        found = await work.idempotency_keys.find(user, "key")
    assert added.count(True) == 1
    assert found == kept(str(added.index(True)))


async def test_who_adds_a_key_waits_for_whoever_is_adding_it(database: OpenUnitOfWork) -> None:
    """And is the first after all if that one is undone."""
    user = await add_user(database)
    async with database() as undone:
        assert await undone.idempotency_keys.add(user, "key", kept("undone"))
        second = asyncio.create_task(add_key(database, user, "second"))
        async with database(read_only=True) as work:
            assert await work.idempotency_keys.find(user, "key") is None
        assert not second.done()
    assert await second
    async with database(read_only=True) as work:
        assert await work.idempotency_keys.find(user, "key") == kept("second")


async def test_who_is_too_late_with_a_key_sees_what_is_kept_and_can_go_on(
    database: OpenUnitOfWork,
) -> None:
    user = await add_user(database)
    assert await add_key(database, user, "first")
    async with database() as work:
        assert not await work.idempotency_keys.add(user, "key", kept("second"))
        assert await work.idempotency_keys.find(user, "key") == kept("first")
        assert await work.sessions.add(NewSession(SessionId("s"), user))
        await work.commit()
    async with database(read_only=True) as work:
        assert await work.idempotency_keys.find(user, "key") == kept("first")
        assert await work.sessions.find(SessionId("s"), user) is not None


async def test_questions_are_counted_and_numbered_one_after_the_other(
    database: OpenUnitOfWork,
) -> None:
    user = await add_user(database)
    session_id = await add_session(database, user)
    asked = await asyncio.gather(
        *(add_question(database, user, session_id) for _ in range(2 * MAX_WAITING)),
        return_exceptions=True,
    )
    taken = [each for each in asked if isinstance(each, str)]
    refused = [each for each in asked if isinstance(each, SessionBusy)]
    assert (len(taken), len(refused)) == (MAX_WAITING + 1, MAX_WAITING - 1)
    async with database(read_only=True) as work:
        session = await work.sessions.find(session_id, user)
        messages = await work.messages.page(session_id, 99, None, False)
    assert session is not None
    assert session.unanswered == session.message_count == len(taken)
    assert [message.number for message in messages] == list(range(1, 2 * len(taken), 2))


@pytest.mark.parametrize("old_comes_first", [True, False])
async def test_either_the_old_worker_ends_it_or_a_new_one_claims_it(
    database: OpenUnitOfWork, old_comes_first: bool
) -> None:
    user = await add_user(database)
    session_id = await add_session(database, user)
    old = await claim(database, await add_question(database, user, session_id), OVER)
    assert old is not None

    async def end() -> bool:
        async with database() as work:
            finished = await work.generations.finish(old.id, old.fence, completed())
            if finished is not None:
                await work.commit()
        return finished is not None

    if old_comes_first:
        ended, claimed = await asyncio.gather(end(), claim(database, old.id))
    else:
        claimed, ended = await asyncio.gather(claim(database, old.id), end())
    assert ended != (claimed is not None)
    async with database(read_only=True) as work:
        found = await work.generations.find(old.id, user)
    assert found is not None
    assert found.status is (GenerationStatus.COMPLETED if ended else GenerationStatus.RUNNING)
    assert found.fence == (claimed or old).fence


@pytest.mark.parametrize("old_comes_first", [True, False])
async def test_either_the_old_worker_prolongs_its_claim_or_a_new_one_claims_it(
    database: OpenUnitOfWork, old_comes_first: bool
) -> None:
    user = await add_user(database)
    session_id = await add_session(database, user)
    old = await claim(database, await add_question(database, user, session_id), OVER)
    assert old is not None

    async def renew() -> list[Renewal]:
        async with database() as work:
            renewed = await work.generations.renew([(old.id, old.fence)], 60)
            await work.commit()
        return list(renewed)

    if old_comes_first:
        renewed, claimed = await asyncio.gather(renew(), claim(database, old.id))
    else:
        claimed, renewed = await asyncio.gather(claim(database, old.id), renew())
    assert bool(renewed) != (claimed is not None)
