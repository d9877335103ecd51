"""The state of a generation, as every database keeps it: each arrow, and who is refused."""

import asyncio
from dataclasses import replace

import pytest

from application.ports import OpenUnitOfWork
from domain.generation import MAX_ATTEMPTS, Ending, Failure, Generation, GenerationStatus
from domain.identifiers import GenerationId, SessionId, UserId
from tests.builders import add_question, add_session, add_user, claim, completed, finish

OVER = 0.0
"""A lease that is over as soon as it is given."""

FAILURE = Failure("worker_lost", "lost")
LOST = Ending(GenerationStatus.FAILED, "seen", last_seq=1, failure=FAILURE)


@pytest.fixture
async def user(database: OpenUnitOfWork) -> UserId:
    return await add_user(database)


@pytest.fixture
async def session_id(database: OpenUnitOfWork, user: UserId) -> SessionId:
    return await add_session(database, user)


async def find(database: OpenUnitOfWork, generation_id: GenerationId, user: UserId) -> Generation:
    async with database(read_only=True) as work:
        found = await work.generations.find(generation_id, user)
    assert found is not None
    return found


async def due(database: OpenUnitOfWork, waiting_seconds: float = 0) -> list[GenerationId]:
    async with database(read_only=True) as work:
        return list(await work.generations.due(10, waiting_seconds))


async def test_a_new_one_waits(
    database: OpenUnitOfWork, user: UserId, session_id: SessionId
) -> None:
    generation_id = await add_question(database, user, session_id)
    found = await find(database, generation_id, user)
    assert found.status is GenerationStatus.QUEUED
    assert (found.attempt, found.fence, found.number, found.request_id) == (0, 0, 1, "request-1")
    other = await add_user(database, "bob")
    async with database(read_only=True) as work:
        assert await work.generations.find(generation_id, other) is None


async def test_a_claim_runs_under_a_new_fence(
    database: OpenUnitOfWork, user: UserId, session_id: SessionId
) -> None:
    claimed = await claim(database, await add_question(database, user, session_id))
    assert claimed is not None
    assert (claimed.status, claimed.attempt, claimed.fence) == (GenerationStatus.RUNNING, 1, 1)
    assert claimed.started_at is not None


async def test_of_many_claims_at_once_one_wins(
    database: OpenUnitOfWork, user: UserId, session_id: SessionId
) -> None:
    generation_id = await add_question(database, user, session_id)
    claims = await asyncio.gather(*(claim(database, generation_id) for _ in range(10)))
    assert len([claimed for claimed in claims if claimed]) == 1


async def test_a_session_answers_one_at_a_time_in_order(
    database: OpenUnitOfWork, user: UserId, session_id: SessionId
) -> None:
    first = await add_question(database, user, session_id)
    second = await add_question(database, user, session_id)
    third = await add_question(database, user, session_id)
    assert await claim(database, second) is None
    running = await claim(database, first)
    assert running is not None
    assert await claim(database, second) is None
    assert await finish(database, running) == second
    assert await claim(database, third) is None
    running = await claim(database, second)
    assert running is not None
    assert running.fence == 2


async def test_other_sessions_do_not_wait(
    database: OpenUnitOfWork, user: UserId, session_id: SessionId
) -> None:
    other = await add_session(database, user, "other")
    assert await claim(database, await add_question(database, user, session_id))
    assert await claim(database, await add_question(database, user, other))


async def test_a_held_claim_is_not_claimed_again_but_one_whose_lease_is_over_is(
    database: OpenUnitOfWork, user: UserId, session_id: SessionId
) -> None:
    generation_id = await add_question(database, user, session_id)
    assert await claim(database, generation_id, lease_seconds=60)
    assert await claim(database, generation_id) is None
    other = await add_session(database, user, "other")
    generation_id = await add_question(database, user, other)
    assert await claim(database, generation_id, OVER)
    again = await claim(database, generation_id)
    assert again is not None
    assert (again.attempt, again.fence) == (2, 2)


async def test_a_heartbeat_prolongs_what_is_held_and_leaves_out_what_is_lost(
    database: OpenUnitOfWork, user: UserId, session_id: SessionId
) -> None:
    generation_id = await add_question(database, user, session_id)
    lost = await claim(database, generation_id, OVER)
    held = await claim(database, generation_id, OVER)
    assert lost is not None
    assert held is not None
    claims = [(lost.id, lost.fence), (held.id, held.fence), (GenerationId("unknown"), 1)]
    async with database() as work:
        renewals = await work.generations.renew(claims, 60)
        await work.commit()
    assert renewals == [(generation_id, False)]
    assert await claim(database, generation_id) is None


async def test_who_lost_the_claim_ends_nothing(
    database: OpenUnitOfWork, user: UserId, session_id: SessionId
) -> None:
    generation_id = await add_question(database, user, session_id)
    zombie = await claim(database, generation_id, OVER)
    assert zombie is not None
    assert await claim(database, generation_id)
    async with database() as work:
        assert await work.generations.finish(zombie.id, zombie.fence, completed()) is None
        assert not await work.generations.release(zombie.id, zombie.fence)
    found = await find(database, generation_id, user)
    assert found.status is GenerationStatus.RUNNING


async def test_an_ended_one_stays_as_it_is(
    database: OpenUnitOfWork, user: UserId, session_id: SessionId
) -> None:
    generation_id = await add_question(database, user, session_id)
    running = await claim(database, generation_id, OVER)
    assert running is not None
    await finish(database, running, completed("the answer", last_seq=5))
    assert await claim(database, generation_id) is None
    async with database() as work:
        assert await work.generations.finish(running.id, running.fence, completed("x")) is None
        assert await work.generations.end_lost(running.id, LOST) is None
    ended = await find(database, generation_id, user)
    assert ended.status is GenerationStatus.COMPLETED
    assert (ended.text, ended.last_seq, ended.finish_reason) == ("the answer", 5, "stop")
    assert ended.answer_id is not None
    assert ended.ended_at is not None


async def test_a_failed_one_keeps_its_partial_text_and_its_reason(
    database: OpenUnitOfWork, user: UserId, session_id: SessionId
) -> None:
    running = await claim(database, await add_question(database, user, session_id))
    assert running is not None
    failed = Ending(GenerationStatus.FAILED, "so far", 3, failure=Failure("code", "detail"))
    await finish(database, running, failed)
    found = await find(database, running.id, user)
    assert (found.text, found.failure) == ("so far", Failure("code", "detail"))


async def test_an_answer_without_text_is_stored_only_if_it_is_completed(
    database: OpenUnitOfWork, user: UserId, session_id: SessionId
) -> None:
    ids = []
    for status in (GenerationStatus.FAILED, GenerationStatus.STOPPED, GenerationStatus.COMPLETED):
        running = await claim(database, await add_question(database, user, session_id))
        assert running is not None
        await finish(database, running, Ending(status, "", 1))
        ids.append((await find(database, running.id, user)).answer_id)
    assert ids[:2] == [None, None]
    assert ids[2] is not None


async def test_what_waits_long_enough_is_due_if_it_is_its_turn(
    database: OpenUnitOfWork, user: UserId, session_id: SessionId
) -> None:
    first = await add_question(database, user, session_id)
    second = await add_question(database, user, session_id)
    assert await due(database, waiting_seconds=60) == []
    assert await due(database) == [first]
    running = await claim(database, first)
    assert running is not None
    assert await due(database) == []
    await finish(database, running)
    assert await due(database) == [second]


async def test_what_lost_its_worker_is_due_at_once(
    database: OpenUnitOfWork, user: UserId, session_id: SessionId
) -> None:
    generation_id = await add_question(database, user, session_id)
    await claim(database, generation_id, OVER)
    assert await due(database, waiting_seconds=60) == [generation_id]


async def test_a_released_one_is_due_at_once_and_keeps_its_attempts(
    database: OpenUnitOfWork, user: UserId, session_id: SessionId
) -> None:
    generation_id = await add_question(database, user, session_id)
    for round_ in range(1, MAX_ATTEMPTS + 3):
        claimed = await claim(database, generation_id)
        assert claimed is not None
        assert claimed.attempt == round_
        async with database() as work:
            assert await work.generations.release(claimed.id, claimed.fence)
            await work.commit()
        assert await due(database, waiting_seconds=60) == [generation_id]


async def test_after_the_last_attempt_it_is_lost_and_fails_under_a_new_fence(
    database: OpenUnitOfWork, user: UserId, session_id: SessionId
) -> None:
    generation_id = await add_question(database, user, session_id)
    behind = await add_question(database, user, session_id)
    for _ in range(MAX_ATTEMPTS):
        async with database(read_only=True) as work:
            assert await work.generations.lost(9) == []
        assert await claim(database, generation_id, OVER)
    assert await claim(database, generation_id) is None
    assert await due(database) == []
    async with database() as work:
        assert [lost.id for lost in await work.generations.lost(9)] == [generation_id]
        finished = await work.generations.end_lost(generation_id, LOST)
        await work.commit()
    assert finished is not None
    assert finished.next_id == behind
    failed = finished.generation
    assert (failed.status, failed.text, failed.failure) == (
        GenerationStatus.FAILED,
        "seen",
        FAILURE,
    )
    assert (failed.fence, failed.last_seq) == (MAX_ATTEMPTS + 1, 1)
    async with database() as work:
        assert await work.generations.end_lost(generation_id, LOST) is None


async def test_a_lost_one_is_not_lost_while_its_last_worker_holds_it(
    database: OpenUnitOfWork, user: UserId, session_id: SessionId
) -> None:
    generation_id = await add_question(database, user, session_id)
    for _ in range(MAX_ATTEMPTS - 1):
        assert await claim(database, generation_id, OVER)
    assert await claim(database, generation_id, lease_seconds=60)
    async with database() as work:
        assert await work.generations.lost(9) == []
        assert await work.generations.end_lost(generation_id, LOST) is None


async def test_since_tells_what_a_cursor_may_have_missed(
    database: OpenUnitOfWork, user: UserId, session_id: SessionId
) -> None:
    ids = []
    for text in ("a", "b", "c"):
        generation_id = await add_question(database, user, session_id)
        running = await claim(database, generation_id)
        assert running is not None
        await finish(database, running, completed(text))
        ids.append(generation_id)
    running = await claim(database, await add_question(database, user, session_id))
    assert running is not None
    await add_question(database, user, session_id)
    async with database(read_only=True) as work:
        everything = await work.generations.since(session_id, 0, 9)
        later = await work.generations.since(session_id, 3, 9)
        oldest = await work.generations.since(session_id, 2, 2)
        only_running = await work.generations.since(session_id, None, 9)
        ahead = await work.generations.since(session_id, 99, 9)
    assert [generation.id for generation in everything] == [*ids, running.id]
    assert [generation.text for generation in everything] == ["a", "b", "c", ""]
    assert [generation.id for generation in later] == [ids[2], running.id]
    assert [generation.id for generation in oldest] == ids[1:]
    assert only_running == ahead == [replace(running)]
