"""What every database promises."""

import asyncio

import pytest

from application.ports import OpenUnitOfWork
from domain.identifiers import SessionId
from domain.repositories import NewSession
from tests.builders import add_session, add_user


async def test_what_is_not_committed_is_not_kept(database: OpenUnitOfWork) -> None:
    user = await add_user(database)
    async with database() as work:
        await work.sessions.add(NewSession(SessionId("session_1"), user))
    async with database(read_only=True) as work:
        assert await work.sessions.find(SessionId("session_1"), user) is None


async def test_an_error_within_rolls_back_and_the_next_transaction_works(
    database: OpenUnitOfWork,
) -> None:
    user = await add_user(database)

    async def fail() -> None:
        async with database() as work:
            await work.sessions.add(NewSession(SessionId("session_1"), user))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert await add_session(database, user, "session_1")


async def test_a_cancelled_transaction_keeps_nothing_and_blocks_nobody(
    database: OpenUnitOfWork,
) -> None:
    user = await add_user(database)
    inside = asyncio.Event()

    async def hang() -> None:
        async with database() as work:
            await work.sessions.add(NewSession(SessionId("session_1"), user))
            inside.set()
            await asyncio.Event().wait()

    hanging = asyncio.create_task(hang())
    await inside.wait()
    hanging.cancel()
    await asyncio.wait((hanging,))
    assert await add_session(database, user, "session_1")


async def test_a_transaction_cancelled_in_a_statement_blocks_nobody(
    database: OpenUnitOfWork,
) -> None:
    user = await add_user(database)

    async def write() -> None:
        async with database() as work:
            for number in range(100):
                await work.sessions.add(NewSession(SessionId(f"session_{number}"), user))

    for steps in range(20):
        writing = asyncio.create_task(write())
        for _ in range(steps):
            await asyncio.sleep(0)
        writing.cancel()
        await asyncio.wait((writing,))
    assert await add_session(database, user, "session_1")


async def test_writers_take_turns_and_none_loses_its_update(database: OpenUnitOfWork) -> None:
    user = await add_user(database)
    session_id = await add_session(database, user)

    async def count_up() -> None:
        async with database() as work:
            session = await work.sessions.lock(session_id, user)
            assert session is not None
            asked, _ = session.ask("again")
            await work.sessions.save(asked)
            await work.commit()

    await asyncio.gather(*(count_up() for _ in range(30)))
    async with database(read_only=True) as work:
        session = await work.sessions.find(session_id, user)
    assert session is not None
    assert session.message_count == 30


async def test_a_reader_waits_for_no_writer(database: OpenUnitOfWork) -> None:
    user = await add_user(database)
    async with database() as writing:
        await writing.sessions.add(NewSession(SessionId("session_1"), user))
        async with database(read_only=True) as reading:
            assert await reading.sessions.find(SessionId("session_1"), user) is None
