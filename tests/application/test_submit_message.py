import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import pytest

from application.accepting import Wished
from application.ports import Request
from application.regenerate_answer import RegenerateAnswer
from application.submit_message import Submission, SubmitMessage
from domain.chat_session import MAX_WAITING
from domain.errors import (
    ChatError,
    FileNotFound,
    IdempotencyConflict,
    InvalidInput,
    ModelNotFound,
    PersonaNotFound,
    SessionBusy,
    SessionNotFound,
)
from domain.events import MessageAccepted
from domain.generation import GenerationStatus
from domain.identifiers import FileId, SessionId, UserId
from domain.limits import QueueFull, Room, TooManyAnswers
from domain.repositories import KeptRequest
from tests.application.conftest import Chat
from tests.builders import add_session, add_user
from tests.fakes import FakeDatabase, FakeIdempotencyKeys, FakeUnitOfWork


async def test_an_accepted_message_is_stored_and_waits_to_be_answered(chat: Chat) -> None:
    submission = Submission("  why?  ", request_id="request-1")
    accepted = await chat.submit(chat.user, chat.session_id, submission)
    assert await chat.contents() == ["why?"]
    generation = await chat.generation(accepted.generation_id)
    assert generation.status is GenerationStatus.QUEUED
    assert (generation.model_name, generation.request_id) == ("scripted", "request-1")
    assert chat.queue.requests == [Request(accepted.generation_id, "request-1")]


async def test_a_hint_that_fails_loses_nothing(chat: Chat) -> None:
    chat.queue.full = True
    accepted = await chat.ask()
    assert await chat.sweep(9) == [accepted.generation_id]


@pytest.mark.parametrize(
    ("submission", "error"),
    [
        (Submission("  "), InvalidInput),
        (Submission("why?", model_name="nobody's"), ModelNotFound),
        (Submission("why?", persona="nobody's"), PersonaNotFound),
        (Submission("why?", file_ids=(FileId(1),)), FileNotFound),
    ],
)
async def test_a_refused_message_leaves_nothing(
    chat: Chat, submission: Submission, error: type[ChatError]
) -> None:
    with pytest.raises(error):
        await chat.submit(chat.user, chat.session_id, submission)
    assert await chat.contents() == []
    assert chat.queue.requests == []


async def test_a_session_of_another_user_does_not_exist(chat: Chat) -> None:
    other = await add_session(chat.database, await add_user(chat.database, "bob"), "other")
    for session_id in (other, SessionId("unknown")):
        with pytest.raises(SessionNotFound):
            await chat.submit(chat.user, session_id, Submission("why?"))


async def test_the_message_chooses_its_model_before_its_session_does(chat: Chat) -> None:
    async with chat.database() as work:
        session = await work.sessions.lock(chat.session_id, chat.user)
        assert session is not None
        await work.sessions.save(replace(session, model_name="other"))
        await work.commit()
    accepted = await chat.ask()
    assert (await chat.generation(accepted.generation_id)).model_name == "other"
    submission = Submission("why?", model_name="scripted")
    accepted = await chat.submit(chat.user, chat.session_id, submission)
    assert (await chat.generation(accepted.generation_id)).model_name == "scripted"


async def test_a_repeat_under_the_same_key_is_the_same_message(chat: Chat) -> None:
    repeats = await asyncio.gather(*(chat.ask("why?", key="key") for _ in range(10)))
    assert len(set(repeats)) == 1
    assert await chat.contents() == ["why?"]
    assert len(chat.queue.requests) == 1


async def test_another_message_under_the_same_key_is_a_conflict(chat: Chat) -> None:
    await chat.ask("why?", key="key")
    with pytest.raises(IdempotencyConflict):
        await chat.ask("how?", key="key")
    other = await add_session(chat.database, chat.user, "other")
    with pytest.raises(IdempotencyConflict):
        await chat.submit(chat.user, other, Submission("why?", idempotency_key="key"))


async def test_a_repeat_is_the_same_message_even_when_the_session_is_busy(chat: Chat) -> None:
    first = await chat.ask("why?", key="key")
    for _ in range(MAX_WAITING):
        await chat.ask()
    with pytest.raises(SessionBusy):
        await chat.ask()
    assert await chat.ask("why?", key="key") == first


# Without a session


async def test_a_message_without_a_session_makes_one(chat: Chat) -> None:
    accepted = await chat.submit(chat.user, None, Submission("What is a fence?"))
    other = await chat.submit(chat.user, None, Submission("What is a fence?"))
    assert len({chat.session_id, accepted.session_id, other.session_id}) == 3
    async with chat.database(read_only=True) as work:
        made = await work.sessions.find(accepted.session_id, chat.user)
        (message,) = await work.messages.page(accepted.session_id, 9, None, False)
    assert made is not None
    assert (made.title, made.message_count) == ("What is a fence?", 1)
    assert (message.id, message.content) == (accepted.message_id, "What is a fence?")
    assert chat.queue.requests[0] == Request(accepted.generation_id)


async def test_a_repeat_without_a_session_makes_no_other_one(chat: Chat) -> None:
    submission = Submission("why?", idempotency_key="key")
    first = await chat.submit(chat.user, None, submission)
    await chat.answer(await chat.take())
    repeats = await asyncio.gather(*(chat.submit(chat.user, None, submission) for _ in range(5)))
    assert set(repeats) == {first}
    assert len(chat.database.state.sessions) == 2
    assert chat.queue.requests == []
    with pytest.raises(IdempotencyConflict):  # named is another request than not named
        await chat.submit(chat.user, first.session_id, submission)
    bob = await add_user(chat.database, "bob")
    assert await chat.submit(bob, None, submission) != first  # whose key it is not


async def test_a_refused_message_without_a_session_makes_none(chat: Chat) -> None:
    for submission in (Submission(" "), Submission("why?", model_name="nobody's")):
        with pytest.raises(ChatError):
            await chat.submit(chat.user, None, submission)
    assert list(chat.database.state.sessions) == [chat.session_id]
    assert chat.happened == []


@pytest.mark.parametrize(
    "other",
    [
        Submission("how?"),
        Submission("why?", model_name="other"),
        Submission("why?", persona="teacher"),
        Submission("why?", file_ids=(FileId(1),)),
        Submission("why?", model_name="teacher"),
    ],
)
async def test_what_a_repeat_must_match_is_all_that_was_wished(
    chat: Chat, other: Submission
) -> None:
    personal = Submission("why?", persona="teacher", idempotency_key="mine")
    await chat.submit(chat.user, None, personal)
    with pytest.raises(IdempotencyConflict):
        await chat.submit(chat.user, None, replace(personal, persona=None, model_name="teacher"))
    first = Submission("why?", request_id="request-1", idempotency_key="key")
    await chat.submit(chat.user, None, first)
    await chat.submit(chat.user, None, replace(first, request_id="request-2"))
    with pytest.raises(IdempotencyConflict):
        await chat.submit(chat.user, None, replace(other, idempotency_key="key"))


# Two at once


@dataclass
class LooksTooEarly(FakeIdempotencyKeys):
    """Does not see what another one keeps in this moment."""

    async def find(self, owner: UserId, key: str) -> KeptRequest | None:
        return None


@dataclass
class Racing:
    """A database in which the first transactions look for a key too early."""

    database: FakeDatabase
    early: int = 1

    @asynccontextmanager
    async def __call__(self, *, read_only: bool = False) -> AsyncIterator[FakeUnitOfWork]:
        async with self.database(read_only=read_only) as work:
            if self.early:
                self.early -= 1
                work.idempotency_keys = LooksTooEarly(work.idempotency_keys.state)
            yield work


async def test_of_two_equal_messages_at_once_the_second_finds_the_first(chat: Chat) -> None:
    submission = Submission("why?", idempotency_key="key")
    first = await chat.submit(chat.user, None, submission)
    racing = SubmitMessage(
        Racing(chat.database), chat.queue, chat.store_generation, chat.ids, chat.announce
    )
    assert await racing(chat.user, None, submission) == first
    assert len(chat.database.state.sessions) == 2
    assert len(chat.database.state.messages) == len(chat.queue.requests) == 1
    assert chat.happened == [
        MessageAccepted(chat.user, first.session_id, first.message_id, first.generation_id, None)
    ]


async def test_of_two_unequal_messages_at_once_the_second_is_a_conflict(chat: Chat) -> None:
    await chat.ask("why?", key="key")
    racing = SubmitMessage(
        Racing(chat.database), chat.queue, chat.store_generation, chat.ids, chat.announce
    )
    with pytest.raises(IdempotencyConflict):
        await racing(chat.user, chat.session_id, Submission("how?", idempotency_key="key"))
    assert await chat.contents() == ["why?"]


async def test_of_two_equal_regenerations_at_once_the_second_finds_the_first(chat: Chat) -> None:
    await chat.ask_and_answer()
    first = await chat.regenerate(chat.user, chat.session_id, Wished(), "key")
    await chat.answer(await chat.take())
    racing = RegenerateAnswer(
        Racing(chat.database), chat.queue, chat.store_generation, chat.ids, chat.announce
    )
    assert await racing(chat.user, chat.session_id, Wished(), "key") == first
    assert await chat.contents() == ["why?", "Hello"]
    assert chat.queue.requests == []


async def test_beyond_the_room_for_answers_nothing_is_accepted_but_repeats(chat: Chat) -> None:
    chat.room = Room(answers_per_user=1)
    repeated = Submission("why?", idempotency_key="key-1")
    accepted = await chat.submit(chat.user, None, repeated)
    with pytest.raises(TooManyAnswers):
        await chat.submit(chat.user, None, Submission("And how?"))
    assert await chat.submit(chat.user, None, repeated) == accepted
    bob = await add_user(chat.database, "bob")
    await chat.submit(bob, None, Submission("why?"))
    await chat.answer(await chat.take())
    await chat.submit(chat.user, None, Submission("And how?"))


async def test_a_full_queue_takes_nobodys_message(chat: Chat) -> None:
    chat.room = Room(waiting=1)
    await chat.ask()
    bob = await add_user(chat.database, "bob")
    with pytest.raises(QueueFull):
        await chat.submit(bob, None, Submission("why?"))
    with pytest.raises(QueueFull):
        await chat.ask()
    assert await chat.contents() == ["why?"]
