"""The state of a generation, as every database keeps it: each arrow, and who is refused."""

import asyncio
from dataclasses import replace

import pytest

from application.ports import OpenUnitOfWork
from domain.generation import (
    MAX_ATTEMPTS,
    Ending,
    Failure,
    Generation,
    GenerationStatus,
    Progress,
)
from domain.identifiers import GenerationId, SessionId, UserId
from domain.limits import Room, Unanswered
from domain.position import ORIGIN, Position
from domain.repositories import Backlog, Finished, Renewal
from tests.builders import add_question, add_session, add_user, claim, completed, finish

OVER = 0.0
"""A lease that is over as soon as it is given."""

FAILURE = Failure("worker_lost", "lost")
LOST = Ending(GenerationStatus.FAILED, "seen", last_seq=1, failure=FAILURE)
STOPPED = Ending(GenerationStatus.STOPPED, "seen", last_seq=1)


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


# Stopping


async def stop(database: OpenUnitOfWork, generation_id: GenerationId) -> Finished | None:
    async with database() as work:
        finished = await work.generations.stop(generation_id)
        await work.commit()
    return finished


async def end(
    database: OpenUnitOfWork, generation: Generation, ending: Ending | None = None
) -> Finished:
    async with database() as work:
        finished = await work.generations.finish(
            generation.id, generation.fence, ending or completed()
        )
        await work.commit()
    assert finished is not None
    return finished


async def step_aside(
    database: OpenUnitOfWork, generation: Generation
) -> tuple[list[GenerationId], Generation] | None:
    async with database() as work:
        stepped = await work.generations.step_aside(generation.id, generation.fence)
        await work.commit()
    return None if stepped is None else ([each.id for each in stepped[0]], stepped[1])


async def renew(database: OpenUnitOfWork, *claims: Generation) -> list[Renewal]:
    async with database() as work:
        held = [(generation.id, generation.fence) for generation in claims]
        renewals = await work.generations.renew(held, 60)
        await work.commit()
    return list(renewals)


async def reached(database: OpenUnitOfWork, session_id: SessionId) -> Position:
    async with database(read_only=True) as work:
        return (await work.sessions.reached([session_id]))[session_id]


async def since(
    database: OpenUnitOfWork, session_id: SessionId, fence: int | None = 0
) -> list[GenerationId]:
    async with database(read_only=True) as work:
        return [each.id for each in await work.generations.since(session_id, fence, 9)]


async def running(
    database: OpenUnitOfWork, user: UserId, session_id: SessionId, lease_seconds: float = 60
) -> Generation:
    claimed = await claim(
        database, await add_question(database, user, session_id), lease_seconds=lease_seconds
    )
    assert claimed is not None
    return claimed


async def test_one_that_waits_is_stopped_at_once_and_its_end_is_the_sessions(
    database: OpenUnitOfWork, user: UserId, session_id: SessionId
) -> None:
    answered = await running(database, user, session_id)
    waiting = await add_question(database, user, session_id)
    behind = await add_question(database, user, session_id)
    await finish(database, answered)
    finished = await stop(database, waiting)
    assert finished is not None
    assert (finished.next_id, finished.is_behind) == (behind, False)
    assert not finished.stopped_behind
    stopped = await find(database, waiting, user)
    assert finished.generation == stopped
    assert (stopped.status, stopped.end) == (GenerationStatus.STOPPED, Position(2, 0))
    assert (stopped.attempt, stopped.text, stopped.answer_id) == (0, "", None)
    assert stopped.stop_requested
    assert stopped.ended_at is not None
    assert await reached(database, session_id) == Position(2, 0)
    assert await claim(database, waiting) is None
    assert await due(database) == [behind]
    async with database(read_only=True) as work:
        session = await work.sessions.find(session_id, user)
    assert session is not None
    assert (session.message_count, session.unanswered) == (4, 1)
    again = await claim(database, behind)
    assert again is not None
    assert again.fence == 3


async def test_the_last_one_that_waits_is_stopped_with_nothing_after_it(
    database: OpenUnitOfWork, user: UserId, session_id: SessionId
) -> None:
    finished = await stop(database, await add_question(database, user, session_id))
    assert finished is not None
    assert (finished.next_id, finished.is_behind) == (None, False)
    assert finished.generation.end == Position(1, 0)


async def test_one_that_is_stopped_in_front_of_the_others_lets_the_first_of_them_go_on(
    database: OpenUnitOfWork, user: UserId, session_id: SessionId
) -> None:
    """Which waits no longer than it must, although one between was stopped before."""
    first, second, third = [await add_question(database, user, session_id) for _ in range(3)]
    stopped = await stop(database, second)
    assert stopped is not None
    assert stopped.next_id == first
    stopped = await stop(database, first)
    assert stopped is not None
    assert stopped.next_id == third
    assert await reached(database, session_id) == Position(2, 0)
    assert await since(database, session_id) == [second, first]


async def test_one_that_runs_is_only_marked_and_its_worker_is_told_at_the_renewal(
    database: OpenUnitOfWork, user: UserId, session_id: SessionId
) -> None:
    claimed = await running(database, user, session_id)
    assert await renew(database, claimed) == [Renewal(claimed.id, False)]
    assert await stop(database, claimed.id) is None
    marked = await find(database, claimed.id, user)
    assert marked == replace(claimed, stop_requested=True)
    assert await reached(database, session_id) == ORIGIN
    assert await renew(database, claimed) == [Renewal(claimed.id, True)]
    finished = await end(database, claimed, Ending(GenerationStatus.STOPPED, "so far", 3))
    assert (finished.generation.text, finished.generation.end) == ("so far", Position(1, 3))


async def test_one_that_is_to_stop_is_not_claimed_again_when_its_worker_is_gone(
    database: OpenUnitOfWork, user: UserId, session_id: SessionId
) -> None:
    claimed = await running(database, user, session_id, OVER)
    assert await due(database) == [claimed.id]
    assert await stop(database, claimed.id) is None
    assert await due(database) == []
    assert await claim(database, claimed.id) is None


async def test_what_is_to_stop_and_has_no_worker_is_lost_and_ends_with_what_was_seen(
    database: OpenUnitOfWork, user: UserId, session_id: SessionId
) -> None:
    gone = await running(database, user, session_id, OVER)
    next_id = await add_question(database, user, session_id)
    other = await add_session(database, user, "other")
    held = await running(database, user, other)
    await stop(database, held.id)
    async with database(read_only=True) as work:
        assert await work.generations.lost(9) == []
    await stop(database, gone.id)
    async with database() as work:
        (lost,) = await work.generations.lost(9)
        assert lost == replace(gone, stop_requested=True)
        assert await work.generations.end_lost(held.id, STOPPED) is None
        finished = await work.generations.end_lost(gone.id, STOPPED)
        await work.commit()
    assert finished is not None
    assert finished.next_id == next_id
    ended = await find(database, gone.id, user)
    assert (ended.status, ended.text, ended.end) == (
        GenerationStatus.STOPPED,
        "seen",
        Position(2, 1),
    )
    assert ended.answer_id is not None
    async with database() as work:
        assert await work.generations.lost(9) == []
        assert await work.generations.end_lost(gone.id, STOPPED) is None
        assert await work.generations.finish(gone.id, gone.fence, completed()) is None


async def test_one_that_is_stopped_behind_a_running_one_is_told_after_it(
    database: OpenUnitOfWork, user: UserId, session_id: SessionId
) -> None:
    claimed = await running(database, user, session_id)
    waiting, third = [await add_question(database, user, session_id) for _ in range(2)]
    finished = await stop(database, waiting)
    assert finished is not None
    assert (finished.is_behind, finished.next_id) == (True, None)
    assert not finished.stopped_behind
    assert (finished.generation.status, finished.generation.end) == (
        GenerationStatus.STOPPED,
        Position(2, 0),
    )
    assert await reached(database, session_id) == ORIGIN
    assert await since(database, session_id) == [claimed.id]
    assert await renew(database, claimed) == [Renewal(claimed.id, False)]
    ended = await end(database, claimed, completed("the answer", last_seq=7))
    assert [each.id for each in ended.stopped_behind] == [waiting]
    assert (ended.generation.end, ended.next_id, ended.is_behind) == (Position(1, 7), third, False)
    assert await reached(database, session_id) == Position(2, 0)
    assert await since(database, session_id) == [claimed.id, waiting]
    assert await since(database, session_id, 2) == [waiting]


async def test_several_that_are_stopped_behind_a_running_one_are_told_in_the_order_of_their_fences(
    database: OpenUnitOfWork, user: UserId, session_id: SessionId
) -> None:
    claimed = await running(database, user, session_id)
    waiting = [await add_question(database, user, session_id) for _ in range(3)]
    for which in (2, 0, 1):
        finished = await stop(database, waiting[which])
        assert finished is not None
        assert finished.is_behind
    ended = await end(database, claimed)
    assert [(each.id, each.fence) for each in ended.stopped_behind] == [
        (waiting[2], 2),
        (waiting[0], 3),
        (waiting[1], 4),
    ]
    assert ended.next_id is None
    assert await reached(database, session_id) == Position(4, 0)


async def test_what_is_stopped_behind_a_running_one_is_told_after_the_one_that_is_lost(
    database: OpenUnitOfWork, user: UserId, session_id: SessionId
) -> None:
    """Its end has a fence of its own, which is above that of what was stopped before."""
    gone = await running(database, user, session_id, OVER)
    waiting = await add_question(database, user, session_id)
    await stop(database, waiting)
    await stop(database, gone.id)
    async with database() as work:
        finished = await work.generations.end_lost(gone.id, STOPPED)
        await work.commit()
    assert finished is not None
    assert finished.generation.end == Position(3, 1)
    assert not finished.stopped_behind
    assert await reached(database, session_id) == Position(3, 1)
    assert await since(database, session_id) == [waiting, gone.id]


async def test_one_that_is_taken_over_is_shown_after_what_was_stopped_behind_it(
    database: OpenUnitOfWork, user: UserId, session_id: SessionId
) -> None:
    gone = await running(database, user, session_id, OVER)
    waiting = await add_question(database, user, session_id)
    await stop(database, waiting)
    assert await since(database, session_id) == [gone.id]
    again = await claim(database, gone.id)
    assert again is not None
    assert again.fence == 3
    assert await since(database, session_id) == [waiting, gone.id]
    assert await since(database, session_id, None) == [gone.id]
    ended = await end(database, again)
    assert ended.generation.end == Position(3, 2)
    assert not ended.stopped_behind
    assert await reached(database, session_id) == Position(3, 2)


async def test_what_is_stopped_in_another_session_is_nothing_to_this_one(
    database: OpenUnitOfWork, user: UserId, session_id: SessionId
) -> None:
    claimed = await running(database, user, session_id)
    other = await add_session(database, user, "other")
    for _ in range(2):
        finished = await stop(database, await add_question(database, user, other))
        assert finished is not None
        assert not finished.is_behind
    assert len(await since(database, other)) == 2
    assert await step_aside(database, claimed) is None
    assert not (await end(database, claimed)).stopped_behind
    assert await reached(database, other) == Position(2, 0)


async def test_a_second_stop_changes_nothing(
    database: OpenUnitOfWork, user: UserId, session_id: SessionId
) -> None:
    claimed = await running(database, user, session_id)
    waiting = await add_question(database, user, session_id)
    await stop(database, waiting)
    await stop(database, claimed.id)
    before = [await find(database, each, user) for each in (claimed.id, waiting)]
    for generation_id in (waiting, claimed.id, GenerationId("unknown")):
        assert await stop(database, generation_id) is None
    assert [await find(database, each, user) for each in (claimed.id, waiting)] == before
    assert (await end(database, claimed)).generation.end == Position(1, 2)


@pytest.mark.parametrize("status", ["completed", "failed", "stopped"])
async def test_a_stop_that_comes_too_late_leaves_the_answer_as_it_is(
    database: OpenUnitOfWork, user: UserId, session_id: SessionId, status: str
) -> None:
    claimed = await running(database, user, session_id)
    await end(database, claimed, Ending(GenerationStatus(status), "the answer", 2))
    before = await find(database, claimed.id, user)
    assert await stop(database, claimed.id) is None
    assert await find(database, claimed.id, user) == before
    assert await reached(database, session_id) == Position(1, 2)


async def test_a_stopped_one_is_not_ended_again(
    database: OpenUnitOfWork, user: UserId, session_id: SessionId
) -> None:
    waiting = await add_question(database, user, session_id)
    await stop(database, waiting)
    stopped = await find(database, waiting, user)
    async with database() as work:
        assert await work.generations.finish(waiting, stopped.fence, completed()) is None
        assert await work.generations.end_lost(waiting, LOST) is None
        assert await work.generations.step_aside(waiting, stopped.fence) is None
        assert not await work.generations.release(waiting, stopped.fence)
        assert await work.generations.renew([(waiting, stopped.fence)], 60) == []
    assert await find(database, waiting, user) == stopped


# Stepping aside


async def test_one_that_runs_steps_aside_for_what_was_stopped_behind_it(
    database: OpenUnitOfWork, user: UserId, session_id: SessionId
) -> None:
    claimed = await running(database, user, session_id)
    waiting = [await add_question(database, user, session_id) for _ in range(2)]
    for generation_id in reversed(waiting):
        await stop(database, generation_id)
    stepped = await step_aside(database, claimed)
    assert stepped == (waiting[::-1], replace(claimed, fence=4))
    assert await find(database, claimed.id, user) == stepped[1]
    assert await reached(database, session_id) == Position(3, 0)
    assert await since(database, session_id) == [*waiting[::-1], claimed.id]
    assert await since(database, session_id, None) == [claimed.id]
    async with database(read_only=True) as work:
        session = await work.sessions.find(session_id, user)
    assert session is not None
    assert (session.message_count, session.unanswered) == (3, 1)
    assert await step_aside(database, stepped[1]) is None


async def test_who_has_stepped_aside_holds_its_claim_under_the_new_fence_only(
    database: OpenUnitOfWork, user: UserId, session_id: SessionId
) -> None:
    claimed = await running(database, user, session_id)
    await stop(database, await add_question(database, user, session_id))
    stepped = await step_aside(database, claimed)
    assert stepped is not None
    moved = stepped[1]
    assert (moved.status, moved.attempt, moved.fence) == (GenerationStatus.RUNNING, 1, 3)
    assert await renew(database, claimed) == []
    assert await claim(database, claimed.id) is None
    async with database() as work:
        assert await work.generations.finish(claimed.id, claimed.fence, completed()) is None
        assert not await work.generations.release(claimed.id, claimed.fence)
        assert await work.generations.step_aside(claimed.id, claimed.fence) is None
    assert await renew(database, moved) == [Renewal(claimed.id, False)]
    ended = await end(database, moved, completed("the answer", last_seq=4))
    assert ended.generation.end == Position(3, 4)
    assert not ended.stopped_behind
    assert await reached(database, session_id) == Position(3, 4)


async def test_with_nothing_stopped_behind_it_nobody_steps_aside(
    database: OpenUnitOfWork, user: UserId, session_id: SessionId
) -> None:
    await finish(database, await running(database, user, session_id))
    claimed = await running(database, user, session_id)
    await add_question(database, user, session_id)
    assert await step_aside(database, claimed) is None
    assert await find(database, claimed.id, user) == claimed


async def test_who_lost_its_claim_does_not_step_aside(
    database: OpenUnitOfWork, user: UserId, session_id: SessionId
) -> None:
    zombie = await running(database, user, session_id, OVER)
    await stop(database, await add_question(database, user, session_id))
    again = await claim(database, zombie.id)
    assert again is not None
    await stop(database, await add_question(database, user, session_id))
    assert await step_aside(database, zombie) is None
    stepped = await step_aside(database, again)
    assert stepped is not None
    assert len(stepped[0]) == 1  # the first one was told by the takeover


async def test_who_is_to_stop_can_still_step_aside(
    database: OpenUnitOfWork, user: UserId, session_id: SessionId
) -> None:
    claimed = await running(database, user, session_id)
    waiting = await add_question(database, user, session_id)
    await stop(database, waiting)
    await stop(database, claimed.id)
    stepped = await step_aside(database, claimed)
    assert stepped == ([waiting], replace(claimed, fence=3, stop_requested=True))
    assert await renew(database, stepped[1]) == [Renewal(claimed.id, True)]


# What is not to be seen any more


async def test_an_answer_that_was_replaced_is_still_read_with_its_text(
    database: OpenUnitOfWork, user: UserId, session_id: SessionId
) -> None:
    former = await running(database, user, session_id)
    await finish(database, former, completed("former"))
    async with database() as work:
        question = await work.messages.last_question(session_id)
        assert question is not None
        assert await work.messages.withdraw_answers(question, GenerationId("again")) == 1
        await work.commit()
    found = await find(database, former.id, user)
    assert (found.text, found.status) == ("former", GenerationStatus.COMPLETED)
    assert found.answer_id is not None
    async with database(read_only=True) as work:
        (seen,) = await work.generations.since(session_id, 0, 9)
    assert seen == found


async def test_with_its_question_a_generation_is_gone(
    database: OpenUnitOfWork, user: UserId, session_id: SessionId
) -> None:
    cleared = await running(database, user, session_id)
    await finish(database, cleared)
    other = await add_session(database, user, "other")
    untouched = await running(database, user, other)
    async with database() as work:
        await work.messages.clear(session_id)
        await work.commit()
    async with database(read_only=True) as work:
        assert await work.generations.find(cleared.id, user) is None
    assert await since(database, session_id) == []
    assert await find(database, untouched.id, user) == untouched
    later = await running(database, user, session_id)
    assert later.fence == 2
    assert await since(database, session_id) == [later.id]


async def test_with_its_session_a_generation_is_gone(
    database: OpenUnitOfWork, user: UserId, session_id: SessionId
) -> None:
    ended = await running(database, user, session_id)
    await finish(database, ended)
    claimed = await running(database, user, session_id)
    waiting = await add_question(database, user, session_id)
    async with database() as work:
        assert set(await work.sessions.delete(session_id)) == {claimed.id, waiting}
        await work.commit()
    async with database(read_only=True) as work:
        for generation_id in (ended.id, claimed.id, waiting):
            assert await work.generations.find(generation_id, user) is None
    assert await since(database, session_id) == []
    assert await since(database, session_id, None) == []
    assert await due(database) == []
    assert await claim(database, waiting) is None
    assert await renew(database, claimed) == []
    async with database() as work:
        assert await work.generations.stop(waiting) is None
        assert await work.generations.stop(claimed.id) is None
        assert await work.generations.finish(claimed.id, claimed.fence, completed()) is None
        assert await work.generations.step_aside(claimed.id, claimed.fence) is None
        assert not await work.generations.release(claimed.id, claimed.fence)


# What was saved of a running answer


async def save(
    database: OpenUnitOfWork, running: Generation, progress: Progress
) -> list[GenerationId]:
    async with database() as work:
        kept = await work.generations.save_progress([(running.id, running.fence, progress)])
        await work.commit()
    return list(kept)


SAID = Progress(4, "so ", "hm")


@pytest.fixture
async def saved(database: OpenUnitOfWork, user: UserId, session_id: SessionId) -> Generation:
    """An answer of which something is saved."""
    claimed = await claim(database, await add_question(database, user, session_id), OVER)
    assert claimed is not None
    assert await save(database, claimed, SAID) == [claimed.id]
    return claimed


async def test_what_a_running_answer_has_said_is_kept_until_more_is_said(
    database: OpenUnitOfWork, user: UserId, session_id: SessionId, saved: Generation
) -> None:
    found = await find(database, saved.id, user)
    assert found == replace(saved, progress=SAID)
    async with database(read_only=True) as work:
        assert await work.generations.since(session_id, None, 9) == [found]
    more = Progress(9, "so it is", "hm hm")
    assert await save(database, saved, more) == [saved.id]
    assert (await find(database, saved.id, user)).progress == more


async def test_a_session_has_reached_what_was_saved_of_its_running_answer(
    database: OpenUnitOfWork, user: UserId, session_id: SessionId
) -> None:
    first = await claim(database, await add_question(database, user, session_id))
    assert first is not None
    await finish(database, first, completed(last_seq=7))
    second = await claim(database, await add_question(database, user, session_id))
    assert second is not None
    assert await reached(database, session_id) == Position(1, 7)
    await save(database, second, SAID)
    assert await reached(database, session_id) == Position(2, 4)
    await finish(database, second, completed(last_seq=5))
    assert await reached(database, session_id) == Position(2, 5)


async def test_who_lost_the_claim_saves_nothing(
    database: OpenUnitOfWork, user: UserId, saved: Generation
) -> None:
    elsewhere = await add_session(database, user, "other")
    other = await claim(database, await add_question(database, user, elsewhere))
    assert other is not None
    again = await claim(database, saved.id)
    assert again is not None
    both = [(each.id, each.fence, SAID) for each in (saved, other)]
    async with database() as work:
        assert list(await work.generations.save_progress(both)) == [other.id]
        await work.commit()
    assert (await find(database, saved.id, user)).progress is None


async def test_of_an_ended_answer_nothing_is_saved(
    database: OpenUnitOfWork, saved: Generation
) -> None:
    await finish(database, saved)
    assert await save(database, saved, SAID) == []


async def test_whoever_takes_over_begins_with_nothing_saved(
    database: OpenUnitOfWork, user: UserId, session_id: SessionId, saved: Generation
) -> None:
    again = await claim(database, saved.id)
    assert again is not None
    assert again.progress is None
    assert (await find(database, saved.id, user)).progress is None
    assert await reached(database, session_id) == ORIGIN


async def test_who_steps_aside_has_nothing_saved_under_its_new_fence(
    database: OpenUnitOfWork, user: UserId, session_id: SessionId, saved: Generation
) -> None:
    behind = await add_question(database, user, session_id)
    async with database() as work:
        await work.generations.stop(behind)
        stepped = await work.generations.step_aside(saved.id, saved.fence)
        await work.commit()
    assert stepped is not None
    assert stepped[1].progress is None
    assert (await find(database, saved.id, user)).progress is None


async def test_of_one_that_is_given_back_what_was_saved_stays(
    database: OpenUnitOfWork, user: UserId, saved: Generation
) -> None:
    async with database() as work:
        await work.generations.release(saved.id, saved.fence)
        await work.commit()
    assert (await find(database, saved.id, user)).progress == SAID


@pytest.mark.parametrize("way", ["finish", "end_lost"])
async def test_an_end_forgets_what_was_saved(
    database: OpenUnitOfWork, user: UserId, saved: Generation, way: str
) -> None:
    async with database() as work:
        await work.generations.stop(saved.id)
        [lost] = await work.generations.lost(9)
        assert lost.progress == SAID
        if way == "finish":
            finished = await work.generations.finish(saved.id, saved.fence, STOPPED)
        else:
            finished = await work.generations.end_lost(saved.id, STOPPED)
        await work.commit()
    assert finished is not None
    assert finished.generation.progress is None
    assert (await find(database, saved.id, user)).progress is None


async def test_what_is_unanswered_is_counted_by_user_and_in_all(
    database: OpenUnitOfWork, user: UserId, session_id: SessionId
) -> None:
    """Up to where there is no room for more: nobody counts a million rows."""
    bob = await add_user(database, "bob")
    async with database(read_only=True) as work:
        before = (await work.generations.unanswered(user, Room(9, 100_000))).waiting
    answered = await add_question(database, user, session_id)
    claimed = await claim(database, answered)
    assert claimed is not None
    await finish(database, claimed)
    running = await add_question(database, user, await add_session(database, user, "session_2"))
    assert await claim(database, running)
    await add_question(database, user, session_id)
    await add_question(database, bob, await add_session(database, bob, "session_3"))
    async with database(read_only=True) as work:
        count = work.generations.unanswered
        assert await count(user, Room(9, 100_000)) == Unanswered(2, before + 2)
        assert await count(bob, Room(9, 1)) == Unanswered(1, 1)
        assert (await count(user, Room(1, 100_000))).of_user == 1


async def test_what_answers_took_is_counted_by_user_for_today(
    database: OpenUnitOfWork, user: UserId, session_id: SessionId
) -> None:
    bob = await add_user(database, "bob")

    async def spent(owner: UserId) -> int:
        async with database(read_only=True) as work:
            found = await work.generations.spent_today(owner)
        assert 0 < found.seconds_left <= 86_400
        return found.tokens

    assert await spent(user) == 0
    for ending in (replace(completed(), tokens=7), replace(STOPPED, tokens=5)):
        claimed = await claim(database, await add_question(database, user, session_id))
        assert claimed is not None
        await finish(database, claimed, ending)
    assert (await spent(user), await spent(bob)) == (12, 0)
    # It was taken, whatever becomes of what was said for it.
    async with database() as work:
        await work.sessions.delete(session_id)
        await work.commit()
    assert await spent(user) == 12


async def test_an_end_that_is_not_stored_takes_nothing(
    database: OpenUnitOfWork, user: UserId, session_id: SessionId
) -> None:
    claimed = await claim(database, await add_question(database, user, session_id))
    assert claimed is not None
    async with database() as work:
        ending = replace(completed(), tokens=7)
        assert await work.generations.finish(claimed.id, claimed.fence - 1, ending) is None
        assert await work.generations.finish(claimed.id, claimed.fence, ending) is not None
    async with database(read_only=True) as work:
        assert (await work.generations.spent_today(user)).tokens == 0


async def test_what_is_deleted_under_an_answer_is_counted_and_only_that(
    database: OpenUnitOfWork, user: UserId, session_id: SessionId
) -> None:
    claimed = await claim(database, await add_question(database, user, session_id))
    assert claimed is not None

    async def take() -> int:
        async with database() as work:
            await work.generations.take_of_deleted(claimed.id, 7)
            await work.commit()
        async with database(read_only=True) as work:
            return (await work.generations.spent_today(user)).tokens

    assert await take() == 0
    async with database() as work:
        await work.sessions.delete(session_id)
        await work.commit()
    assert await take() == 7


async def test_answers_that_end_at_once_are_counted_all(
    database: OpenUnitOfWork, user: UserId
) -> None:
    claims = []
    for number in range(8):
        session = await add_session(database, user, f"session_{number}")
        claims.append(await claim(database, await add_question(database, user, session)))
    ending = replace(completed(), tokens=3)
    await asyncio.gather(*(finish(database, each, ending) for each in claims if each))
    async with database(read_only=True) as work:
        assert (await work.generations.spent_today(user)).tokens == 24


async def backlog(database: OpenUnitOfWork, most: int = 100) -> Backlog:
    async with database(read_only=True) as work:
        return await work.generations.backlog(most)


async def test_the_backlog_is_what_waits_and_how_long_the_first_in_turn_has(
    database: OpenUnitOfWork, user: UserId, session_id: SessionId
) -> None:
    assert await backlog(database) == Backlog(0, 0)
    await finish(database, await running(database, user, session_id))
    await running(database, user, session_id)
    await add_question(database, user, session_id)
    # What waits behind another one of its session waits, but no worker is late.
    assert await backlog(database) == Backlog(1, 0)
    other = await add_session(database, user, "session_2")
    generation_id = await add_question(database, user, other)
    await older_than(database, generation_id, 0.05)
    await add_question(database, user, other)
    found = await backlog(database)
    assert found.waiting == 3
    assert 0.05 <= found.oldest_seconds < 60
    assert (await backlog(database, 2)).waiting == 2
    assert await claim(database, generation_id)
    assert await backlog(database) == Backlog(2, 0)


async def test_a_claim_tells_how_long_it_was_waited_for(
    database: OpenUnitOfWork, user: UserId, session_id: SessionId
) -> None:
    """Also the second one: from the acceptance on, not from the claim before."""
    generation_id = await add_question(database, user, session_id)
    await older_than(database, generation_id, 0.05)
    waited = []
    for _ in range(2):
        async with database() as work:
            turn = await work.generations.claim(generation_id, OVER)
            await work.commit()
        assert turn is not None
        waited.append(turn.waited_seconds)
    assert 0.05 <= waited[0] <= waited[1] < 60


async def older_than(database: OpenUnitOfWork, generation_id: GenerationId, seconds: float) -> None:
    """Waits until it is so, by the clock of the database."""
    while generation_id not in await due(database, seconds):  # noqa: ASYNC110
        await asyncio.sleep(0.01)
