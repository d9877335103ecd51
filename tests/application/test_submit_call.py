import logging
from dataclasses import replace
from typing import Any

import pytest

from application.accepting import Accepted
from application.continue_call import ContinueCall
from application.forget_sessions import ForgetSessions
from application.submit_call import SubmitCall
from domain.call import Call
from domain.errors import IdempotencyConflict, ModelNotFound
from domain.events import AnswerBegan, GenerationCompleted, GenerationStarted, MessageAccepted
from domain.generation import Failure, GenerationStatus
from domain.message import Role, Usage
from domain.prompt import Options, PromptMessage
from tests.application.conftest import Chat
from tests.builders import a_call
from tests.fakes import FakePersonas


async def submit(
    chat: Chat, call: Call | None = None, model: str | None = None, key: str | None = None
) -> Accepted:
    submit_call = SubmitCall(
        chat.database,
        chat.queue,
        chat.store_generation,
        chat.ids,
        chat.announce,
        ContinueCall(chat.database),
    )
    return await submit_call(chat.user, call or a_call(), model, key, "request-1")


async def answer(chat: Chat, accepted: Accepted) -> None:
    claimed = await chat.claim(accepted.generation_id)
    assert claimed is not None
    await chat.answer(claimed)


async def test_the_model_is_given_exactly_what_was_given(chat: Chat) -> None:
    many = [PromptMessage(Role.USER, f"line {number}") for number in range(100)]
    call = a_call(*many, options=Options(temperature=0.5))
    chat.personas = FakePersonas({"first": "Nobody asked for this."})
    await answer(chat, await submit(chat, call))
    assert chat.model.prompts == [call.prompt]


async def test_it_is_queued_with_its_request_id_and_told_to_listeners(chat: Chat) -> None:
    accepted = await submit(chat)
    await answer(chat, accepted)
    assert [each.generation_id for each in chat.queue.requests] == [accepted.generation_id]
    which = (chat.user, accepted.session_id)
    assert [event for event in chat.happened if not isinstance(event, AnswerBegan)] == [
        MessageAccepted(*which, accepted.message_id, accepted.generation_id, "request-1"),
        GenerationStarted(*which, accepted.generation_id, 1),
        GenerationCompleted(*which, accepted.generation_id, Usage(1, 2)),
    ]


async def test_each_call_has_a_session_of_its_own(chat: Chat) -> None:
    first, second = await submit(chat), await submit(chat)
    assert first.session_id != second.session_id


async def test_a_repeat_under_its_key_is_the_same_call(chat: Chat) -> None:
    first = await submit(chat, key="key")
    assert await submit(chat, key="key") == first
    assert len(chat.queue.requests) == 1


CHANGES = [
    lambda call: replace(call, notes={}),
    lambda call: replace(call, dialect="another"),
    lambda call: a_call(options=Options(seed=1)),
    lambda call: a_call(PromptMessage(Role.USER, "why?")),
]


@pytest.mark.parametrize("change", CHANGES)
async def test_another_call_under_the_same_key_is_a_conflict(chat: Chat, change: object) -> None:
    assert callable(change)
    await submit(chat, key="key")
    with pytest.raises(IdempotencyConflict):
        await submit(chat, change(a_call()), key="key")


async def test_another_model_under_the_same_key_is_a_conflict(chat: Chat) -> None:
    await submit(chat, key="key")
    with pytest.raises(IdempotencyConflict):
        await submit(chat, model="other", key="key")


async def test_an_unknown_model_is_refused_and_nothing_is_kept(chat: Chat) -> None:
    before = chat.database.state
    with pytest.raises(ModelNotFound):
        await submit(chat, model="nobody")
    assert chat.database.state is before
    assert chat.queue.requests == []


@pytest.mark.parametrize("days", [0, 1])
async def test_it_is_forgotten_with_or_without_a_retention(
    chat: Chat, days: float, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    accepted = await submit(chat, a_call(kept_seconds=-1))
    await answer(chat, accepted)
    forget = ForgetSessions(chat.database, chat.announce, chat.cache, chat.clear_strays, days)
    await forget()
    assert list(chat.database.state.sessions) == [chat.session_id]
    assert chat.database.state.calls == {}
    assert "forgot the sessions of 1 calls" in caplog.text


async def test_one_that_can_not_be_read_any_more_fails(chat: Chat) -> None:
    accepted = await submit(chat)
    unreadable: Any = Failure("internal_error", "What was asked can't be read any more.")
    kept = chat.database.state.calls[accepted.session_id]
    chat.database.state.calls[accepted.session_id] = replace(kept, prompt=unreadable)
    await answer(chat, accepted)
    ended = chat.database.state.rows[accepted.generation_id].generation
    assert (ended.status, ended.failure) == (GenerationStatus.FAILED, unreadable)
    assert chat.model.prompts == []


async def test_nothing_of_it_is_cached(chat: Chat) -> None:
    accepted = await submit(chat)
    await answer(chat, accepted)
    assert (await chat.cache.recall(accepted.session_id, None)).conversation is None
