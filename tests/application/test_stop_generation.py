import asyncio
from collections.abc import AsyncGenerator

import pytest

from application.events import Snapshot, Stopped
from application.ports import Piece, Request, TextPiece
from application.submit_message import Submission
from domain.errors import GenerationNotFound, NothingToStop, SessionNotFound
from domain.events import AnswerBegan, GenerationStarted, GenerationStopped, MessageAccepted
from domain.generation import GenerationStatus
from domain.identifiers import GenerationId, SessionId
from domain.position import ORIGIN, Position
from domain.prompt import Prompt
from tests.application.conftest import Chat
from tests.application.test_answer_message import Gate, kinds
from tests.application.test_follow_session import answering
from tests.application.test_step_aside import answering as talking
from tests.builders import add_session, add_user


async def test_one_that_waits_has_stopped_at_once_and_all_are_told(chat: Chat) -> None:
    async with chat.follow(chat.user, chat.session_id, ORIGIN) as following:
        assert list(await anext(following)) == []
        accepted = await chat.ask()
        stopped = await chat.stop(chat.user, accepted.generation_id)
        (entry,) = await asyncio.wait_for(anext(following), 10)
    assert stopped.status is GenerationStatus.STOPPED
    assert stopped == await chat.generation(accepted.generation_id)
    assert entry.position == stopped.end == Position(1, 0)
    assert entry.event == Stopped(accepted.generation_id, None, None)
    assert await chat.claim(accepted.generation_id) is None
    assert await chat.contents() == ["why?"]


async def test_what_waits_behind_a_stopped_one_is_hinted_at(chat: Chat) -> None:
    first, second = await chat.ask("one?"), await chat.ask("two?")
    chat.queue.requests.clear()
    await chat.stop(chat.user, first.generation_id)
    assert chat.queue.requests == [Request(second.generation_id)]


async def test_a_stop_of_what_runs_waits_for_nobody_and_wakes_its_worker(chat: Chat) -> None:
    async with talking(chat, waiting=0) as answer:
        woken = chat.wake_ups.woken()
        told = asyncio.ensure_future(anext(woken))
        await asyncio.sleep(0)
        for _ in range(2):
            running = await chat.stop(chat.user, answer.id)
            assert running.status is GenerationStatus.RUNNING
            assert running.stop_requested
        assert await asyncio.wait_for(told, 10) == chat.session_id
        await woken.aclose()
        await answer.heed()
        await answer.task
    ended = await chat.generation(answer.id)
    assert (ended.status, ended.text) == (GenerationStatus.STOPPED, "so ")
    assert answer.talker.closed
    assert await chat.contents() == ["why?", "so "]


async def test_one_that_is_stopped_behind_a_running_one_wakes_its_worker(chat: Chat) -> None:
    async with answering(chat):
        waiting = await chat.ask()
        woken = chat.wake_ups.woken()
        told = asyncio.ensure_future(anext(woken))
        await asyncio.sleep(0)
        stopped = await chat.stop(chat.user, waiting.generation_id)
        assert stopped.status is GenerationStatus.STOPPED
        assert await asyncio.wait_for(told, 10) == chat.session_id
        await woken.aclose()
        assert kinds(await chat.held()) == ["Start", "Chunk"]


async def test_a_stop_before_the_first_piece_leaves_no_empty_answer(chat: Chat) -> None:
    async def think(_: Prompt) -> AsyncGenerator[Piece, None]:
        thinking.set()
        await asyncio.Event().wait()
        yield TextPiece("never")

    thinking = asyncio.Event()
    chat.scripted(think)
    accepted = await chat.ask()
    answering_ = asyncio.create_task(chat.answer(await chat.take()))
    await thinking.wait()
    await chat.stop(chat.user, accepted.generation_id)
    await chat.renew()
    await answering_
    ended = await chat.generation(accepted.generation_id)
    assert (ended.status, ended.text, ended.answer_id) == (GenerationStatus.STOPPED, "", None)
    assert await chat.contents() == ["why?"]


async def test_an_ended_one_stays_as_it_is(chat: Chat) -> None:
    generation_id = await chat.ask_and_answer()
    ended = await chat.generation(generation_id)
    held, happened = await chat.held(), list(chat.happened)
    woken = asyncio.ensure_future(anext(chat.wake_ups.woken()))
    await asyncio.sleep(0)
    assert await chat.stop(chat.user, generation_id) == ended
    await asyncio.sleep(0)
    assert not woken.done()
    woken.cancel()
    assert await chat.held() == held
    assert chat.happened == happened
    waiting = await chat.ask()
    stopped = await chat.stop(chat.user, waiting.generation_id)
    assert await chat.stop(chat.user, waiting.generation_id) == stopped


async def test_what_is_anothers_or_nobodys_is_not_stopped(chat: Chat) -> None:
    bob = await add_user(chat.database, "bob")
    accepted = await chat.ask()
    for user, generation_id in (
        (bob, accepted.generation_id),
        (chat.user, GenerationId("unknown")),
    ):
        with pytest.raises(GenerationNotFound):
            await chat.stop(user, generation_id)
    for user, session_id in ((bob, chat.session_id), (chat.user, SessionId("unknown"))):
        with pytest.raises(SessionNotFound):
            await chat.stop.active(user, session_id)
    assert (await chat.generation(accepted.generation_id)).status is GenerationStatus.QUEUED


async def test_what_a_session_works_on_is_stopped_without_its_name(chat: Chat) -> None:
    with pytest.raises(NothingToStop):
        await chat.stop.active(chat.user, chat.session_id)
    async with answering(chat) as (_, generation_id):
        waiting = await chat.ask()
        other = await add_session(chat.database, chat.user, "other")
        with pytest.raises(NothingToStop):
            await chat.stop.active(chat.user, other)
        assert (await chat.stop.active(chat.user, chat.session_id)).id == generation_id
        await chat.renew()
    assert (await chat.stop.active(chat.user, chat.session_id)).id == waiting.generation_id
    with pytest.raises(NothingToStop):
        await chat.stop.active(chat.user, chat.session_id)


async def test_each_end_is_announced_once(chat: Chat) -> None:
    running = await chat.ask()
    gate = Gate()
    chat.scripted(gate)
    task = asyncio.create_task(chat.answer(await chat.take()))
    await gate.reached.wait()
    waiting = await chat.ask()
    which = [(chat.user, chat.session_id, each.generation_id) for each in (running, waiting)]
    for _ in range(2):
        await chat.stop(chat.user, waiting.generation_id)
        await chat.stop(chat.user, running.generation_id)
    await chat.renew()
    await task
    await chat.stop(chat.user, running.generation_id)
    assert [event for event in chat.happened if not isinstance(event, AnswerBegan)] == [
        MessageAccepted(
            chat.user, chat.session_id, running.message_id, running.generation_id, None
        ),
        GenerationStarted(*which[0], 1),
        MessageAccepted(
            chat.user, chat.session_id, waiting.message_id, waiting.generation_id, None
        ),
        GenerationStopped(*which[1]),
        GenerationStopped(*which[0]),
    ]


async def test_what_lost_its_worker_after_it_was_asked_to_stop_ends_with_what_was_seen(
    chat: Chat,
) -> None:
    """At once, and not as a failure, although attempts are left."""
    gate = Gate()
    chat.scripted(gate)
    chat.lease_seconds = 0
    accepted = await chat.ask()
    next_one = await chat.ask()
    answering_ = asyncio.create_task(chat.answer(await chat.take()))
    await gate.reached.wait()
    answering_.cancel()
    await asyncio.wait((answering_,))
    await chat.stop(chat.user, accepted.generation_id)
    chat.happened.clear()
    chat.queue.requests.clear()
    assert await chat.sweep(9) == []
    assert await chat.sweep(9) == [next_one.generation_id]
    ended = await chat.generation(accepted.generation_id)
    assert (ended.status, ended.text, ended.failure) == (
        GenerationStatus.STOPPED,
        "so far",
        None,
    )
    held = await chat.held()
    assert kinds(held) == ["Start", "Chunk", "Snapshot", "Stopped"]
    assert held[2].event == Snapshot(accepted.generation_id, 1, "so far", recovered=False)
    assert held[-1].position == ended.end
    assert held[-1].event == Stopped(accepted.generation_id, ended.answer_id, None)
    assert chat.happened == [GenerationStopped(chat.user, chat.session_id, accepted.generation_id)]
    assert chat.queue.requests == [Request(next_one.generation_id)]
    assert await chat.contents() == ["why?", "so far", "why?"]


async def test_what_was_never_seen_ends_without_text(chat: Chat) -> None:
    chat.lease_seconds = 0
    accepted = await chat.ask()
    await chat.take()
    await chat.stop(chat.user, accepted.generation_id)
    await chat.sweep(9)
    ended = await chat.generation(accepted.generation_id)
    assert (ended.status, ended.answer_id) == (GenerationStatus.STOPPED, None)


async def test_other_sessions_go_on(chat: Chat) -> None:
    other = await add_session(chat.database, chat.user, "other")
    elsewhere = await chat.submit(chat.user, other, Submission("why?"))
    claimed = await chat.take()
    assert claimed.claim.generation.id == elsewhere.generation_id
    with chat.claims.holding(claimed.claim):
        async with talking(chat, waiting=0) as answer:
            await chat.stop(chat.user, answer.id)
            await chat.renew.of_session(other)
            assert not answer.claimed.claim.interruption.done()
            await answer.heed()
            await answer.task
        assert claimed.claim.must_end is None
