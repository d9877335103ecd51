import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import pytest

from application.await_answer import Answered, AwaitAnswer
from application.follow_session import FollowGeneration
from application.ports import Finish, TextPiece
from domain.errors import AnswerPending, DatabaseUnavailable, GenerationNotFound, ModelFailed
from domain.generation import GenerationStatus
from domain.identifiers import GenerationId
from domain.message import Role
from tests.application.conftest import Chat
from tests.application.test_follow_session import answering
from tests.builders import add_user
from tests.fakes import FakeDatabase, FakeUnitOfWork, says


@dataclass
class AwayAfter:
    """A database that answers so many times."""

    database: FakeDatabase
    times: int

    @asynccontextmanager
    async def __call__(self, *, read_only: bool = False) -> AsyncIterator[FakeUnitOfWork]:
        self.times -= 1
        if self.times < 0:
            raise DatabaseUnavailable("away")
        async with self.database(read_only=read_only) as work:
            yield work


def waiting_for(
    chat: Chat, generation_id: GenerationId, seconds: float = 60
) -> "asyncio.Task[Answered]":
    wait = AwaitAnswer(chat.database, chat.follow_generation, seconds)

    async def answered() -> Answered:
        return await wait(chat.user, generation_id)

    return asyncio.create_task(answered())


async def follower(chat: Chat) -> None:
    """Lets who waits begin to follow."""
    await asyncio.sleep(0)
    assert len(list(chat.followers)) == 1


async def test_who_waits_is_given_the_answer_when_it_has_ended(chat: Chat) -> None:
    accepted = await chat.ask()
    waiting = waiting_for(chat, accepted.generation_id)
    await follower(chat)
    await chat.answer(await chat.take())
    answered = await waiting
    assert answered.generation == await chat.generation(accepted.generation_id)
    assert answered.message is not None
    assert (answered.message.role, answered.message.content) == (Role.ASSISTANT, "Hello")
    assert answered.message.id == answered.generation.answer_id
    assert chat.followers.by_session == {}


async def test_who_comes_after_the_end_waits_for_nothing(chat: Chat) -> None:
    generation_id = await chat.ask_and_answer()
    for _ in range(2):
        answered = await waiting_for(chat, generation_id)
        assert answered.message is not None
        assert answered.message.content == "Hello"
        chat.stream.close()  # then only the database knows


async def test_a_failed_answer_is_an_answer_with_or_without_text(
    chat: Chat, caplog: pytest.LogCaptureFixture
) -> None:
    for said, text in (((), None), ((TextPiece("so far"),), "so far")):
        chat.scripted(says(*said, then=ModelFailed("no")))
        answered = await waiting_for(chat, await chat.ask_and_answer())
        assert answered.generation.failure is not None
        assert (answered.message and answered.message.content) == text
    assert "upstream_error" in caplog.text


async def test_a_stopped_one_is_waited_for_no_longer(chat: Chat) -> None:
    async with answering(chat):
        behind = await chat.ask()
        waiting = waiting_for(chat, behind.generation_id)
        await follower(chat)
        await chat.stop(chat.user, behind.generation_id)
        await chat.renew.of_session(chat.session_id)
        answered = await waiting
    assert answered.generation.status is GenerationStatus.STOPPED
    assert answered.message is None


async def test_only_its_own_end_ends_the_wait(chat: Chat) -> None:
    first, second = await chat.ask("one?"), await chat.ask("two?")
    waiting = waiting_for(chat, second.generation_id)
    await follower(chat)
    await chat.answer(await chat.take())
    chat.scripted(says(TextPiece("Second"), Finish("stop")))
    await chat.answer(await chat.take())
    answered = await waiting
    assert answered.message is not None
    assert answered.message.content == "Second"
    assert (await waiting_for(chat, first.generation_id)).generation.id == first.generation_id


async def test_who_waits_long_enough_is_told_that_it_is_pending_and_the_answer_goes_on(
    chat: Chat,
) -> None:
    async with answering(chat) as (_, generation_id):
        with pytest.raises(AnswerPending):
            await waiting_for(chat, generation_id, seconds=0)
        assert chat.followers.by_session == {}
    assert (await chat.generation(generation_id)).status is GenerationStatus.COMPLETED


async def test_an_answer_that_is_deleted_meanwhile_is_not_there(chat: Chat) -> None:
    async with answering(chat) as (_, generation_id):
        waiting = waiting_for(chat, generation_id)
        await follower(chat)
        await chat.delete(chat.user, chat.session_id)
        with pytest.raises(GenerationNotFound):
            await asyncio.wait_for(waiting, 10)
    assert chat.followers.by_session == {}


async def test_when_the_process_ends_the_answer_is_pending(chat: Chat) -> None:
    async with answering(chat) as (_, generation_id):
        waiting = waiting_for(chat, generation_id)
        await follower(chat)
        chat.followers.end()
        with pytest.raises(AnswerPending):
            await asyncio.wait_for(waiting, 10)


@pytest.mark.parametrize("reads", [0, 1, 2])
async def test_while_the_database_is_away_the_answer_is_pending(chat: Chat, reads: int) -> None:
    """It was accepted: whoever is told otherwise sends it again."""
    accepted = await chat.ask_and_answer()
    wait = AwaitAnswer(AwayAfter(chat.database, reads), chat.follow_generation, 60)
    follow = FollowGeneration(wait.open_unit_of_work, chat.stream, chat.followers)
    with pytest.raises(AnswerPending):
        await replace(wait, follow_generation=follow)(chat.user, accepted)
    assert chat.followers.by_session == {}


async def test_nobody_waits_for_what_is_anothers_or_nobodys(chat: Chat) -> None:
    generation_id = await chat.ask_and_answer()
    wait = AwaitAnswer(chat.database, chat.follow_generation, 60)
    bob = await add_user(chat.database, "bob")
    for user, unknown in ((bob, generation_id), (chat.user, GenerationId("unknown"))):
        with pytest.raises(GenerationNotFound):
            await wait(user, unknown)
