import asyncio
from dataclasses import replace

import pytest

from application.ports import Request
from application.submit_message import Submission
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
from domain.generation import GenerationStatus
from domain.identifiers import SessionId
from tests.application.conftest import Chat
from tests.builders import add_session, add_user


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
        (Submission("why?", file_ids=(1,)), FileNotFound),
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
