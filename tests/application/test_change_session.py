import asyncio
from dataclasses import replace

import pytest

from application.claims import Interruption
from domain.chat_session import SessionChanges
from domain.errors import ModelNotFound, PersonaNotFound, SessionBusy, SessionNotFound
from domain.events import GenerationFenced, GenerationStopped, SessionDeleted
from domain.identifiers import SessionId
from tests.application.conftest import Chat
from tests.application.test_answer_message import Gate
from tests.builders import a_new_api, add_api, add_session, add_user


async def test_what_is_changed_is_kept(chat: Chat) -> None:
    changes = SessionChanges("Fences", "other", "teacher")
    changed = await chat.change(chat.user, chat.session_id, changes)
    assert (changed.title, changed.model_name, changed.persona) == ("Fences", "other", "teacher")
    async with chat.database(read_only=True) as work:
        assert await work.sessions.find(chat.session_id, chat.user) == changed
    accepted = await chat.ask()
    generation = await chat.generation(accepted.generation_id)
    assert (generation.model_name, generation.persona) == ("other", "teacher")


async def test_a_choice_that_is_taken_away_gives_way_to_the_default(chat: Chat) -> None:
    await chat.change(chat.user, chat.session_id, SessionChanges("F", "other", "teacher"))
    nothing = SessionChanges(title=None, model_name=None, persona=None)
    changed = await chat.change(chat.user, chat.session_id, nothing)
    assert (changed.title, changed.model_name, changed.persona) == (None, None, None)
    accepted = await chat.ask("What is a fence?")
    generation = await chat.generation(accepted.generation_id)
    assert (generation.model_name, generation.persona) == ("scripted", None)


async def test_a_users_own_model_can_be_chosen_and_anothers_can_not(chat: Chat) -> None:
    bob = await add_user(chat.database, "bob")
    await add_api(chat.database, a_new_api(chat.user, "mine", "gpt-9"))
    await add_api(chat.database, a_new_api(bob, "theirs", "gpt-10"))
    changed = await chat.change(chat.user, chat.session_id, SessionChanges(model_name="gpt-9"))
    assert changed.model_name == "gpt-9"
    with pytest.raises(ModelNotFound):
        await chat.change(chat.user, chat.session_id, SessionChanges(model_name="gpt-10"))


async def test_a_refused_change_changes_nothing_at_all(chat: Chat) -> None:
    await chat.ask_and_answer()
    async with chat.database(read_only=True) as work:
        before = await work.sessions.find(chat.session_id, chat.user)
    for changes, error in (
        (SessionChanges("new", "nobody's", system_prompt="Be long."), ModelNotFound),
        (SessionChanges("new", persona="nobody's", system_prompt="Be long."), PersonaNotFound),
    ):
        with pytest.raises(error):
            await chat.change(chat.user, chat.session_id, changes)
    async with chat.database(read_only=True) as work:
        assert await work.sessions.find(chat.session_id, chat.user) == before
    assert await chat.contents() == ["why?", "Hello"]


async def test_what_stays_as_it_is_need_not_exist_any_more(chat: Chat) -> None:
    """A model and a persona that are gone do not keep a session from its new title."""
    async with chat.database() as work:
        session = await work.sessions.lock(chat.session_id, chat.user)
        assert session is not None
        await work.sessions.save(replace(session, model_name="gone", persona="gone"))
        await work.commit()
    changes = SessionChanges("Fences", "gone", "gone")
    assert (await chat.change(chat.user, chat.session_id, changes)).title == "Fences"


async def test_a_new_system_prompt_begins_the_conversation_anew(chat: Chat) -> None:
    await chat.ask_and_answer("one?")
    changed = await chat.change(chat.user, chat.session_id, SessionChanges(system_prompt="Brief."))
    assert (changed.system_prompt, changed.message_count) == ("Brief.", 0)
    assert await chat.contents() == []
    await chat.ask_and_answer("two?")
    said = [message.content for message in chat.model.prompts[-1].messages]
    assert said == ["Brief.", "two?"]


async def test_while_an_answer_is_written_the_title_changes_and_the_history_does_not(
    chat: Chat,
) -> None:
    await chat.ask()
    changed = await chat.change(chat.user, chat.session_id, SessionChanges("Fences"))
    assert (changed.title, changed.unanswered) == ("Fences", 1)
    with pytest.raises(SessionBusy):
        await chat.change(chat.user, chat.session_id, SessionChanges(system_prompt=None))
    with pytest.raises(SessionBusy):
        await chat.clear(chat.user, chat.session_id)
    assert await chat.contents() == ["why?"]


async def test_a_cleared_session_forgets_what_was_said(chat: Chat) -> None:
    await chat.ask_and_answer("one?")
    await chat.clear(chat.user, chat.session_id)
    assert await chat.contents() == []
    async with chat.database(read_only=True) as work:
        session = await work.sessions.find(chat.session_id, chat.user)
    assert session is not None
    assert (session.message_count, session.title) == (0, "one?")
    await chat.ask_and_answer("two?")
    assert [message.content for message in chat.model.prompts[-1].messages] == ["two?"]


async def test_a_foreign_or_unknown_session_is_neither_changed_nor_cleared_nor_deleted(
    chat: Chat,
) -> None:
    bob = await add_user(chat.database, "bob")
    foreign = await add_session(chat.database, bob, "foreign")
    for session_id in (foreign, SessionId("unknown")):
        with pytest.raises(SessionNotFound):
            await chat.change(chat.user, session_id, SessionChanges("mine"))
        with pytest.raises(SessionNotFound):
            await chat.clear(chat.user, session_id)
        with pytest.raises(SessionNotFound):
            await chat.delete(chat.user, session_id)
    async with chat.database(read_only=True) as work:
        session = await work.sessions.find(foreign, bob)
    assert session is not None
    assert session.title is None
    assert chat.happened == []


async def test_a_deleted_session_is_gone_with_all_that_was_answered_in_it(chat: Chat) -> None:
    ended = await chat.ask_and_answer()
    running = await chat.ask()
    await chat.claim(running.generation_id)
    waiting = await chat.ask()
    chat.happened.clear()
    woken = chat.wake_ups.woken()
    told = asyncio.ensure_future(anext(woken))
    await asyncio.sleep(0)
    await chat.delete(chat.user, chat.session_id)
    assert await asyncio.wait_for(told, 10) == chat.session_id
    await woken.aclose()
    assert await chat.contents() == []
    assert await chat.held() == []
    async with chat.database(read_only=True) as work:
        assert await work.sessions.find(chat.session_id, chat.user) is None
        for generation_id in (ended, running.generation_id, waiting.generation_id):
            assert await work.generations.find(generation_id, chat.user) is None
    assert chat.happened == [
        GenerationStopped(chat.user, chat.session_id, running.generation_id),
        GenerationStopped(chat.user, chat.session_id, waiting.generation_id),
        SessionDeleted(chat.user, chat.session_id),
    ]
    with pytest.raises(SessionNotFound):
        await chat.delete(chat.user, chat.session_id)
    assert len(chat.happened) == 3


async def test_who_follows_a_deleted_session_is_told_so_without_the_watchdog(chat: Chat) -> None:
    await chat.ask_and_answer()
    async with chat.follow(chat.user, chat.session_id, None) as following:
        await anext(following)
        waiting = asyncio.ensure_future(anext(following))
        await asyncio.sleep(0)
        await chat.delete(chat.user, chat.session_id)
        assert list(await asyncio.wait_for(waiting, 10)) == []
        assert following.gone
        assert [batch async for batch in following] == []


async def test_an_answer_to_a_deleted_session_ends_without_a_word(chat: Chat) -> None:
    gate = Gate()
    chat.scripted(gate)
    asked = await chat.ask()
    claimed = await chat.take()
    answering = asyncio.create_task(chat.answer(claimed))
    await gate.reached.wait()
    async with chat.stream.subscribe(chat.session_id) as subscription:
        await chat.delete(chat.user, chat.session_id)
        happened = list(chat.happened)
        await chat.renew.of_session(chat.session_id)
        await answering
        assert gate.closed
        assert list(await subscription.held()) == []
    assert claimed.claim.must_end is Interruption.FENCED
    lost = GenerationFenced(chat.user, chat.session_id, asked.generation_id)
    assert chat.happened == [*happened, lost]
    assert await chat.contents() == []
    assert await chat.sweep(9) == []


async def test_an_answer_that_ends_in_the_moment_of_the_deletion_is_not_stored(
    chat: Chat,
) -> None:
    gate = Gate()
    chat.scripted(gate)
    asked = await chat.ask()
    answering = asyncio.create_task(chat.answer(await chat.take()))
    await gate.reached.wait()
    await chat.delete(chat.user, chat.session_id)
    happened = list(chat.happened)
    gate.open.set()
    await answering
    assert await chat.contents() == []
    assert await chat.held() == []
    lost = GenerationFenced(chat.user, chat.session_id, asked.generation_id)
    assert chat.happened == [*happened, lost]
    assert chat.queue.requests == []
