"""What every retention promises."""

import asyncio
from collections.abc import Sequence

import pytest

from application.ports import OpenUnitOfWork
from domain.errors import SessionNotFound
from domain.identifiers import FileKey, GenerationId, MessageId, SessionId, UserId
from domain.repositories import Forgotten, KeptRequest, NewSession
from tests.builders import (
    a_new_file,
    add_question,
    add_session,
    add_user,
    claim,
    finish,
)
from tests.operator import age_session

ALL = -1.0
"""Days: all that there is was there a day before tomorrow."""


async def forget(
    database: OpenUnitOfWork, days: float = ALL, limit: int = 100
) -> Sequence[Forgotten]:
    async with database() as work:
        forgotten = await work.retention.forget_untouched(days, limit)
        await work.commit()
    return forgotten


async def answered(database: OpenUnitOfWork, user: UserId, session_id: SessionId) -> GenerationId:
    generation = await claim(database, await add_question(database, user, session_id))
    assert generation is not None
    await finish(database, generation)
    return generation.id


async def keep_key(database: OpenUnitOfWork, user: UserId, session_id: SessionId) -> None:
    kept = KeptRequest("digest", session_id, MessageId(1), GenerationId("gen_1"))
    async with database() as work:
        assert await work.idempotency_keys.add(user, f"key of {session_id}", kept)
        await work.commit()


async def has_key(database: OpenUnitOfWork, user: UserId, session_id: SessionId) -> bool:
    async with database(read_only=True) as work:
        return await work.idempotency_keys.find(user, f"key of {session_id}") is not None


async def sessions_of(database: OpenUnitOfWork, user: UserId) -> list[str]:
    async with database(read_only=True) as work:
        return sorted(session.id for session in await work.sessions.page(user, 100, None))


async def add_file(
    database: OpenUnitOfWork, user: UserId, session_id: SessionId, name: str
) -> FileKey:
    key = FileKey(name)
    async with database() as work:
        await work.files.expect(key, 60)
        assert await work.files.add(a_new_file(user, session_id, key)) is not None
        await work.commit()
    return key


@pytest.fixture
async def user(database: OpenUnitOfWork) -> UserId:
    return await add_user(database)


async def test_what_was_touched_lately_stays(database: OpenUnitOfWork, user: UserId) -> None:
    session_id = await add_session(database, user)
    await answered(database, user, session_id)
    assert await forget(database, days=1) == []
    assert await sessions_of(database, user) == [session_id]


async def test_nothing_is_left_of_an_old_session(database: OpenUnitOfWork, user: UserId) -> None:
    session_id = await add_session(database, user)
    generation_id = await answered(database, user, session_id)
    await keep_key(database, user, session_id)
    keys = [await add_file(database, user, session_id, name) for name in ("file_1", "file_2")]
    (forgotten,) = await forget(database)
    assert (forgotten.session_id, forgotten.owner, forgotten.was_there) == (session_id, user, True)
    assert sorted(forgotten.contents) == keys
    assert not await has_key(database, user, session_id)
    async with database(read_only=True) as work:
        assert await work.sessions.find(session_id, user) is None
        assert await work.generations.find(generation_id, user) is None
        assert await work.messages.page(session_id, 10, None, newest_first=False) == []
        assert await work.files.page(session_id, 10, None) == []
        assert sorted(await work.files.strays(10)) == keys
    assert await forget(database) == []


async def test_an_id_that_was_forgotten_is_free_again(
    database: OpenUnitOfWork, user: UserId
) -> None:
    session_id = await add_session(database, user)
    await answered(database, user, session_id)
    await forget(database)
    bob = await add_user(database, "bob")
    assert await add_session(database, bob, session_id) == session_id
    assert await answered(database, bob, session_id)


async def test_what_was_deleted_long_ago_goes_too_and_is_said_to_be_known_as_gone(
    database: OpenUnitOfWork, user: UserId
) -> None:
    session_id = await add_session(database, user)
    await answered(database, user, session_id)
    async with database() as work:
        assert await work.sessions.lock(session_id, user) is not None
        await work.sessions.delete(session_id)
        await work.commit()
    (forgotten,) = await forget(database)
    assert (forgotten.session_id, forgotten.was_there) == (session_id, False)
    assert await add_session(database, user, session_id) == session_id


async def test_what_was_deleted_lately_stays_known_as_deleted_however_old_it_was(
    database: OpenUnitOfWork, user: UserId
) -> None:
    deleted, kept = await add_session(database, user), await add_session(database, user, "other")
    for session_id in (deleted, kept):
        await age_session(database, session_id, days=9)
    async with database() as work:
        assert await work.sessions.lock(deleted, user) is not None
        await work.sessions.delete(deleted)
        await work.commit()
    assert [each.session_id for each in await forget(database, days=1)] == [kept]
    async with database() as work:
        assert not await work.sessions.add(NewSession(deleted, user))


@pytest.mark.parametrize("running", [False, True])
async def test_a_session_in_which_something_is_to_be_answered_stays(
    database: OpenUnitOfWork, user: UserId, running: bool
) -> None:
    session_id = await add_session(database, user)
    generation_id = await add_question(database, user, session_id)
    if running:
        await claim(database, generation_id)
    assert await forget(database) == []
    assert await sessions_of(database, user) == [session_id]


async def test_the_longest_untouched_go_first_and_others_are_not_harmed(
    database: OpenUnitOfWork, user: UserId
) -> None:
    for name in ("session_1", "session_2", "session_3"):
        await add_session(database, user, name)
        await keep_key(database, user, SessionId(name))
        await asyncio.sleep(0.002)  # the clock of a database has milliseconds
    await answered(database, user, SessionId("session_1"))
    forgotten = await forget(database, limit=1)
    assert [each.session_id for each in forgotten] == ["session_2"]
    assert await sessions_of(database, user) == ["session_1", "session_3"]
    assert await has_key(database, user, SessionId("session_1"))
    forgotten = await forget(database, limit=1)
    assert [each.session_id for each in forgotten] == ["session_3"]


async def test_old_keys_are_forgotten_also_of_sessions_that_stay(
    database: OpenUnitOfWork, user: UserId
) -> None:
    session_id = await add_session(database, user)
    await keep_key(database, user, session_id)
    async with database() as work:
        assert await work.retention.forget_keys(days=1) == 0
        assert await work.retention.forget_keys(days=ALL) == 1
        await work.commit()
    assert not await has_key(database, user, session_id)
    assert await sessions_of(database, user) == [session_id]


async def test_whoever_asks_at_the_same_time_is_answered_or_told_that_it_is_gone(
    database: OpenUnitOfWork, user: UserId
) -> None:
    session_id = await add_session(database, user)

    async def ask() -> bool:
        async with database() as work:
            session = await work.sessions.lock(session_id, user)
            if session is None:
                raise SessionNotFound
        await add_question(database, user, session_id)
        return True

    asked, forgotten = await asyncio.gather(ask(), forget(database), return_exceptions=True)
    there = await sessions_of(database, user) == [session_id]
    assert (forgotten == []) is there
    assert (asked is True) is there
