import asyncio

import pytest

from application.accepting import Accepted, Wished
from application.ports import Finish, Request, TextPiece
from application.submit_message import Submission
from domain.chat_session import ActiveGeneration, ChatSession
from domain.errors import (
    IdempotencyConflict,
    ModelFailed,
    ModelNotFound,
    NothingToRegenerate,
    PersonaNotFound,
    SessionBusy,
    SessionNotFound,
)
from domain.generation import GenerationStatus
from domain.identifiers import SessionId
from domain.message import Role
from domain.prompt import PromptMessage
from tests.application.conftest import Chat
from tests.builders import add_session, add_user
from tests.fakes import says


async def again(chat: Chat, wished: Wished | None = None, key: str | None = None) -> Accepted:
    return await chat.regenerate(chat.user, chat.session_id, wished or Wished(), key)


async def session_of(chat: Chat) -> ChatSession:
    async with chat.database(read_only=True) as work:
        session = await work.sessions.find(chat.session_id, chat.user)
    assert session is not None
    return session


async def test_the_last_answer_is_given_again_in_place_of_the_former(chat: Chat) -> None:
    await chat.ask_and_answer("one?")
    former = await chat.ask_and_answer("two?")
    chat.scripted(says(TextPiece("Another"), Finish("stop")))
    accepted = await again(chat, Wished(request_id="request-9"))
    assert accepted.generation_id != former
    assert accepted.message_id == (await chat.generation(former)).message_id
    assert chat.queue.requests == [Request(accepted.generation_id, "request-9")]
    assert await chat.contents() == ["one?", "Hello", "two?"]
    session = await session_of(chat)
    assert (session.message_count, session.unanswered) == (3, 1)
    assert session.active == ActiveGeneration(accepted.generation_id, GenerationStatus.QUEUED)
    await chat.answer(await chat.take())
    assert await chat.contents() == ["one?", "Hello", "two?", "Another"]
    assert (await session_of(chat)).message_count == 4
    assert (await chat.generation(former)).text == "Hello"
    assert (await chat.generation(accepted.generation_id)).request_id == "request-9"


async def test_the_model_is_not_told_the_former_answer(chat: Chat) -> None:
    await chat.ask_and_answer("one?")
    chat.scripted(says(TextPiece("Former"), Finish("stop")))
    await chat.ask_and_answer("two?")
    await again(chat)
    await chat.answer(await chat.take())
    assert chat.model.prompts[-1].messages == (
        PromptMessage(Role.USER, "one?"),
        PromptMessage(Role.ASSISTANT, "Hello"),
        PromptMessage(Role.USER, "two?"),
    )


async def test_after_a_regeneration_the_conversation_goes_on_with_the_new_answer(
    chat: Chat,
) -> None:
    await chat.ask_and_answer("one?")
    chat.scripted(says(TextPiece("Another"), Finish("stop")))
    await again(chat)
    await chat.answer(await chat.take())
    await chat.ask_and_answer("two?")
    said = [message.content for message in chat.model.prompts[-1].messages]
    assert said == ["one?", "Another", "two?"]


async def test_while_an_answer_waits_or_is_written_none_is_given_again(chat: Chat) -> None:
    await chat.ask_and_answer()
    await chat.ask()
    for _ in range(2):
        with pytest.raises(SessionBusy):
            await again(chat)
        await chat.claim(chat.queue.requests[0].generation_id)
    assert await chat.contents() == ["why?", "Hello", "why?"]
    assert len(chat.queue.requests) == 1


async def test_without_a_question_there_is_nothing_to_give_again(chat: Chat) -> None:
    with pytest.raises(NothingToRegenerate):
        await again(chat)
    await chat.ask_and_answer()
    await chat.clear(chat.user, chat.session_id)
    with pytest.raises(NothingToRegenerate):
        await again(chat)


async def test_a_foreign_or_unknown_session_is_not_there(chat: Chat) -> None:
    bob = await add_user(chat.database, "bob")
    foreign = await add_session(chat.database, bob, "foreign")
    await chat.submit(bob, foreign, Submission("why?"))
    for session_id in (foreign, SessionId("unknown")):
        with pytest.raises(SessionNotFound):
            await chat.regenerate(chat.user, session_id, Wished())


async def test_another_model_and_persona_can_be_wished(chat: Chat) -> None:
    former = await chat.ask_and_answer()
    accepted = await again(chat, Wished("other", "teacher"))
    await chat.answer(await chat.take())
    generation = await chat.generation(accepted.generation_id)
    assert (generation.model_name, generation.persona) == ("other", "teacher")
    assert chat.model.prompts[-1].messages[0].content == "Teach."
    former_one = await chat.generation(former)
    assert (former_one.model_name, former_one.persona) == ("scripted", None)


async def test_a_refused_regeneration_leaves_the_answer_where_it_was(chat: Chat) -> None:
    await chat.ask_and_answer()
    before = await session_of(chat)
    with pytest.raises(ModelNotFound):
        await again(chat, Wished("nobody's"))
    with pytest.raises(PersonaNotFound):
        await again(chat, Wished(persona="nobody's"))
    assert await chat.contents() == ["why?", "Hello"]
    assert await session_of(chat) == before
    assert chat.queue.requests == []


async def test_a_repeat_under_the_same_key_gives_the_same_answer_again(chat: Chat) -> None:
    await chat.ask_and_answer()
    repeats = await asyncio.gather(*(again(chat, key="key") for _ in range(5)))
    assert len(set(repeats)) == len(chat.queue.requests) == 1
    await chat.answer(await chat.take())
    assert await again(chat, key="key") == repeats[0]
    assert await chat.contents() == ["why?", "Hello"]
    assert await again(chat) != repeats[0]  # without a key nothing is a repeat


async def test_another_request_under_the_same_key_is_a_conflict(chat: Chat) -> None:
    await chat.ask_and_answer()
    await again(chat, key="key")
    for wished in (Wished("other"), Wished(persona="teacher")):
        with pytest.raises(IdempotencyConflict):
            await again(chat, wished, key="key")
    with pytest.raises(IdempotencyConflict):
        await chat.ask("regenerate", key="key")
    other = await add_session(chat.database, chat.user, "other")
    with pytest.raises(IdempotencyConflict):
        await chat.regenerate(chat.user, other, Wished(), "key")


async def test_an_answer_that_failed_is_given_again_with_or_without_text(
    chat: Chat, caplog: pytest.LogCaptureFixture
) -> None:
    for said, count in (((), 1), ((TextPiece("so far"),), 2)):
        chat.scripted(says(*said, then=ModelFailed("no")))
        if count == 1:
            await chat.ask_and_answer()
        else:
            await again(chat)
            await chat.answer(await chat.take())
        assert (await session_of(chat)).message_count == count
    chat.scripted(says(TextPiece("At last"), Finish("stop")))
    await again(chat)
    assert (await session_of(chat)).message_count == 1
    await chat.answer(await chat.take())
    assert await chat.contents() == ["why?", "At last"]
    assert "failed: upstream_error" in caplog.text


async def test_a_question_that_was_stopped_while_it_waited_is_answered_after_all(
    chat: Chat,
) -> None:
    accepted = await chat.ask()
    await chat.stop(chat.user, accepted.generation_id)
    again_ = await again(chat)
    chat.queue.requests = [Request(again_.generation_id)]
    await chat.answer(await chat.take())
    assert await chat.contents() == ["why?", "Hello"]
