import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import pytest

from application.claims import Interruption
from application.end_generation import EndGeneration
from application.events import Chunk, Done, Entry, Failed, Reasoning, Reset, Start, Stopped
from application.ports import Finish, Piece, ReasoningPiece, Request, TextPiece
from application.submit_message import Submission
from application.sweep_generations import SweepGenerations
from domain.errors import ModelFailed
from domain.generation import Failure, GenerationStatus
from domain.message import Usage
from domain.prompt import Prompt
from tests.application.conftest import Chat, hello
from tests.builders import add_session, completed
from tests.fakes import FakeDatabase, FakeUnitOfWork


class Gate:
    """A model that says "so far", and then waits; it notes whether its call was closed."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.open = asyncio.Event()
        self.closed = False

    async def __call__(self, _: Prompt) -> AsyncGenerator[Piece, None]:
        try:
            yield TextPiece("so far")
            self.reached.set()
            await self.open.wait()
            yield Finish("stop")
        finally:
            self.closed = True


@dataclass
class OnlyReads:
    """A database that refuses to store, as it does a text that it can't hold."""

    database: FakeDatabase

    @asynccontextmanager
    async def __call__(self, *, read_only: bool = False) -> AsyncIterator[FakeUnitOfWork]:
        if not read_only:
            raise UnicodeError("it can't be stored")
        async with self.database(read_only=True) as work:
            yield work


def kinds(held: list[Entry]) -> list[str]:
    return [type(entry.event).__name__ for entry in held]


async def test_an_answer_is_shown_as_it_comes_and_stored_as_it_was_shown(chat: Chat) -> None:
    generation_id = await chat.ask_and_answer("why?")
    held = await chat.held()
    assert [entry.event for entry in held] == [
        Start(generation_id, 1, "scripted", "why?"),
        Chunk(generation_id, "Hel"),
        Chunk(generation_id, "lo"),
        Done(generation_id, (await chat.generation(generation_id)).answer_id, "stop",
             Usage(1, 2), "why?"),
    ]  # fmt: skip
    assert await chat.contents() == ["why?", "Hello"]
    ended = await chat.generation(generation_id)
    assert ended.status is GenerationStatus.COMPLETED
    assert ended.end == held[-1].position


async def test_the_model_is_given_the_conversation(chat: Chat) -> None:
    await chat.ask_and_answer("My name is Ada.")
    await chat.ask_and_answer("Who am I?")
    said = [message.content for message in chat.model.prompts[-1].messages]
    assert said == ["My name is Ada.", "Hello", "Who am I?"]


async def test_the_persona_is_the_system_prompt_unless_the_session_has_its_own(
    chat: Chat,
) -> None:
    for own, told in ((None, "Teach."), ("Mine.", "Mine.")):
        async with chat.database() as work:
            session = await work.sessions.lock(chat.session_id, chat.user)
            assert session is not None
            await work.sessions.save(replace(session, persona="teacher", system_prompt=own))
            await work.commit()
        await chat.ask_and_answer()
        assert chat.model.prompts[-1].messages[0].content == told


async def test_reasoning_is_shown_but_is_no_part_of_the_answer(chat: Chat) -> None:
    async def think(_: Prompt) -> AsyncGenerator[Piece, None]:
        yield ReasoningPiece("hm")
        yield TextPiece("so")
        yield Finish("stop")

    chat.scripted(think)
    generation_id = await chat.ask_and_answer()
    assert Reasoning(generation_id, "hm") in [entry.event for entry in await chat.held()]
    assert await chat.contents() == ["why?", "so"]


async def test_an_answer_that_breaks_off_is_no_success_and_its_text_is_kept(
    chat: Chat, caplog: pytest.LogCaptureFixture
) -> None:
    async def break_off(_: Prompt) -> AsyncGenerator[Piece, None]:
        yield TextPiece("so far")

    chat.scripted(break_off)
    ended = await chat.generation(await chat.ask_and_answer())
    assert ended.status is GenerationStatus.FAILED
    assert ended.failure is not None
    assert (ended.failure.code, ended.text) == ("upstream_truncated", "so far")
    last = (await chat.held())[-1].event
    assert isinstance(last, Failed)
    assert (last.failure, last.message_id) == (ended.failure, ended.answer_id)
    assert f"{ended.id} failed: upstream_truncated" in caplog.text


@pytest.mark.parametrize(
    ("error", "code"), [(ModelFailed("no"), "upstream_error"), (KeyError("x"), "internal_error")]
)
async def test_an_error_of_the_model_ends_the_answer(
    chat: Chat, error: Exception, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(_: Prompt) -> AsyncGenerator[Piece, None]:
        yield TextPiece("so far")
        raise error

    chat.scripted(fail)
    ended = await chat.generation(await chat.ask_and_answer())
    assert ended.failure is not None
    assert (ended.failure.code, ended.text) == (code, "so far")
    assert ("Traceback" in caplog.text) == (code == "internal_error")


async def test_the_next_message_of_the_session_is_hinted_at_the_end(chat: Chat) -> None:
    await chat.ask("one?")
    second = await chat.ask("two?")
    claimed = await chat.take()
    chat.queue.requests.clear()
    await chat.answer(claimed)
    assert chat.queue.requests == [Request(second.generation_id)]


async def test_who_is_fenced_stops_at_once_and_says_nothing_more(chat: Chat) -> None:
    gate = Gate()
    chat.scripted(gate)
    accepted = await chat.ask()
    claimed = await chat.take()
    answering = asyncio.create_task(chat.answer(claimed))
    await gate.reached.wait()
    claimed.claim.interrupt(Interruption.FENCED)
    await answering
    assert gate.closed
    assert kinds(await chat.held()) == ["Start", "Chunk"]
    assert (await chat.generation(accepted.generation_id)).status is GenerationStatus.RUNNING
    assert len(chat.claims) == 0


async def test_a_zombie_changes_nothing_and_adds_no_event(chat: Chat) -> None:
    """Its lease was over, another worker took over and ended; then the zombie comes to its end."""
    gate = Gate()
    chat.scripted(gate)
    chat.lease_seconds = 0
    accepted = await chat.ask()
    zombie = asyncio.create_task(chat.answer(await chat.take()))
    await gate.reached.wait()
    chat.scripted(hello)
    again = await chat.claim(accepted.generation_id)
    assert again is not None
    await chat.answer(again)
    shown = await chat.held()
    gate.open.set()
    await zombie
    assert await chat.held() == shown
    assert kinds(shown) == ["Start", "Chunk", "Reset", "Chunk", "Chunk", "Done"]
    assert await chat.contents() == ["why?", "Hello"]


async def test_a_second_attempt_says_that_the_first_is_void(chat: Chat) -> None:
    chat.lease_seconds = 0
    accepted = await chat.ask()
    await chat.take()
    again = await chat.claim(accepted.generation_id)
    assert again is not None
    await chat.answer(again)
    assert (await chat.held())[0].event == Reset(
        accepted.generation_id, 2, "scripted", "why?", "takeover"
    )


async def test_a_stop_keeps_the_text_so_far_and_closes_the_call(chat: Chat) -> None:
    gate = Gate()
    chat.scripted(gate)
    accepted = await chat.ask()
    answering = asyncio.create_task(chat.answer(await chat.take()))
    await gate.reached.wait()
    assert not (await chat.stop(chat.user, accepted.generation_id)).ended
    await chat.renew()
    await answering
    assert gate.closed
    stopped = await chat.generation(accepted.generation_id)
    assert (stopped.status, stopped.text) == (GenerationStatus.STOPPED, "so far")
    assert isinstance((await chat.held())[-1].event, Stopped)


async def test_a_release_gives_the_generation_to_the_next_worker(chat: Chat) -> None:
    gate = Gate()
    chat.scripted(gate)
    accepted = await chat.ask()
    answering = asyncio.create_task(chat.answer(await chat.take()))
    await gate.reached.wait()
    chat.claims.interrupt(Interruption.RELEASE)
    await answering
    assert gate.closed
    assert await chat.sweep(9) == [accepted.generation_id]


async def test_a_heartbeat_keeps_the_claim_and_tells_who_lost_it(chat: Chat) -> None:
    gate = Gate()
    chat.scripted(gate)
    accepted = await chat.ask()
    chat.lease_seconds = 0
    claimed = await chat.take()
    answering = asyncio.create_task(chat.answer(claimed))
    await gate.reached.wait()
    chat.lease_seconds = 60
    await chat.renew()
    assert await chat.sweep(9) == []
    assert not claimed.claim.interruption.done()
    chat.lease_seconds = 0
    await chat.renew()
    assert await chat.claim(accepted.generation_id)
    await chat.renew()
    assert claimed.claim.interruption.result() is Interruption.FENCED
    await answering


async def test_an_ending_waits_for_the_database_to_come_back(chat: Chat) -> None:
    accepted = await chat.ask()
    claimed = await chat.take()
    chat.database.away = 2
    await chat.answer(claimed)
    assert (await chat.generation(accepted.generation_id)).status is GenerationStatus.COMPLETED
    assert kinds(await chat.held()) == ["Start", "Chunk", "Chunk", "Done"]


async def test_an_ending_whose_commit_was_unclear_is_told_once(chat: Chat) -> None:
    accepted = await chat.ask()
    claimed = await chat.take()
    generation = claimed.claim.generation
    gate = Gate()
    chat.scripted(gate)
    answering = asyncio.create_task(chat.answer(claimed))
    await gate.reached.wait()
    async with chat.database() as work:  # it was committed, but the reply was lost
        await work.generations.finish(generation.id, generation.fence, completed("so far", 2))
        await work.commit()
    gate.open.set()
    await answering
    assert kinds(await chat.held()) == ["Start", "Chunk", "Done"]
    assert await chat.contents() == ["why?", "so far"]
    assert (await chat.generation(accepted.generation_id)).status is GenerationStatus.COMPLETED


async def test_what_lost_all_its_workers_fails_with_what_was_seen(chat: Chat) -> None:
    gate = Gate()
    chat.scripted(gate)
    chat.lease_seconds = 0
    accepted = await chat.ask()
    for _ in range(3):
        claimed = await chat.claim(accepted.generation_id)
        assert claimed is not None
        gate.reached.clear()
        answering = asyncio.create_task(chat.answer(claimed))
        await gate.reached.wait()
        answering.cancel()
        await asyncio.wait((answering,))
    assert await chat.sweep(9) == []
    lost = await chat.generation(accepted.generation_id)
    assert (lost.status, lost.text) == (GenerationStatus.FAILED, "so far")
    held = await chat.held()
    assert kinds(held)[-2:] == ["Snapshot", "Failed"]
    last = held[-1].event
    assert isinstance(last, Failed)
    assert last.failure == Failure(
        "worker_lost", "The workers that answered this were lost too often."
    )
    assert held[-1].position == lost.end


async def test_text_that_no_database_can_hold_is_mended_before_anybody_sees_it(
    chat: Chat,
) -> None:
    async def half_an_emoji(_: Prompt) -> AsyncGenerator[Piece, None]:
        yield TextPiece("a\ud83d")
        yield TextPiece("b\x00😀")
        yield Finish("stop")

    chat.scripted(half_an_emoji)
    ended = await chat.generation(await chat.ask_and_answer())
    assert ended.text == "a\ufffdb\ufffd😀"
    shown = [entry.event.text for entry in await chat.held() if isinstance(entry.event, Chunk)]
    assert "".join(shown) == ended.text


async def test_one_lost_answer_that_can_not_be_ended_keeps_nobody_else_waiting(
    chat: Chat, caplog: pytest.LogCaptureFixture
) -> None:
    chat.lease_seconds = 0
    lost = await chat.ask()
    for _ in range(3):
        assert await chat.claim(lost.generation_id)
    other = await add_session(chat.database, chat.user, "other")
    waiting = await chat.submit(chat.user, other, Submission("why?"))
    broken = EndGeneration(OnlyReads(chat.database), chat.stream, chat.queue, chat.announce)
    sweep = SweepGenerations(chat.database, chat.stream, broken, chat.claims, 0)
    assert await sweep(9) == [waiting.generation_id]
    assert "can't be stored" in caplog.text
    await chat.sweep(9)
    assert (await chat.generation(lost.generation_id)).status is GenerationStatus.FAILED


async def test_what_this_process_still_answers_is_not_lost_to_it(chat: Chat) -> None:
    """Its lease ran out, by a pause of the machine, and the sweep comes before the heartbeat."""
    chat.lease_seconds = 0
    accepted = await chat.ask()
    for _ in range(2):
        assert await chat.claim(accepted.generation_id)
    gate = Gate()
    chat.scripted(gate)
    claimed = await chat.claim(accepted.generation_id)
    assert claimed is not None
    answering = asyncio.create_task(chat.answer(claimed))
    await gate.reached.wait()
    await chat.sweep(9)
    gate.open.set()
    await answering
    assert (await chat.generation(accepted.generation_id)).status is GenerationStatus.COMPLETED


async def test_a_claim_that_is_made_while_the_process_ends_is_given_back_at_once(
    chat: Chat,
) -> None:
    gate = Gate()
    chat.scripted(gate)
    accepted = await chat.ask()
    claimed = await chat.take()
    chat.claims.interrupt(Interruption.RELEASE)
    await chat.answer(claimed)
    assert await chat.sweep(9) == [accepted.generation_id]


async def test_a_model_that_cancels_itself_has_not_answered(chat: Chat) -> None:
    async def cancel(_: Prompt) -> AsyncGenerator[Piece, None]:
        yield TextPiece("so far")
        raise asyncio.CancelledError

    chat.scripted(cancel)
    ended = await chat.generation(await chat.ask_and_answer())
    assert ended.failure is not None
    assert (ended.failure.code, ended.text) == ("upstream_truncated", "so far")
