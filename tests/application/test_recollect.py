"""Workers that recall what was said and what was configured, and each only what it did itself."""

from dataclasses import replace

import pytest

from application.accepting import Wished
from application.claim_generation import Claimed
from application.ports import Cache, Finish, Recalled, TextPiece
from domain.api_config import ApiChanges, ApiConfig
from domain.chat_session import SessionChanges
from domain.conversation import Conversation
from domain.identifiers import ApiId, SessionId
from infrastructure.memory.cache import MemoryCache
from tests.application.conftest import Chat
from tests.builders import a_new_api, add_api
from tests.fakes import says


class Away:
    """A cache that is away."""

    async def recall(self, session_id: SessionId, api_id: ApiId | None) -> Recalled:
        return Recalled()

    async def keep_conversation(self, conversation: Conversation) -> None: ...

    async def keep_config(self, config: ApiConfig) -> None: ...

    async def forget_conversation(self, session_id: SessionId) -> None: ...

    async def forget_config(self, api_id: ApiId) -> None: ...


@pytest.fixture
def other(chat: Chat) -> Chat:
    """Another process over the same database, whose cache is its own."""
    made = replace(chat, cache=MemoryCache())
    made.models = chat.models
    return made


def told(claimed: Claimed) -> list[str]:
    return [message.content for message in claimed.prompt.messages if message.role != "system"]


async def knows(cache: Cache, chat: Chat) -> bool:
    return (await cache.recall(chat.session_id, None)).conversation is not None


async def configured(chat: Chat) -> ApiConfig:
    return await add_api(chat.database, a_new_api(chat.user, model_name="scripted"))


async def test_the_next_question_is_told_with_what_was_recalled(chat: Chat) -> None:
    await chat.ask_and_answer("why?")
    assert await knows(chat.cache, chat)
    await chat.ask_and_answer("how?")
    await chat.ask("when?")
    assert told(await chat.take()) == ["why?", "Hello", "how?", "Hello", "when?"]


async def test_what_is_recalled_is_used_instead_of_being_read(chat: Chat) -> None:
    await chat.ask_and_answer("why?")
    known = (await chat.cache.recall(chat.session_id, None)).conversation
    assert known is not None
    marked = replace(known.messages[0], content="recalled")
    await chat.cache.keep_conversation(replace(known, messages=(marked, *known.messages[1:])))
    await chat.ask("how?")
    assert told(await chat.take()) == ["recalled", "Hello", "how?"]


async def test_what_another_process_has_answered_meanwhile_is_told(chat: Chat, other: Chat) -> None:
    await chat.ask_and_answer("why?")
    await other.ask_and_answer("how?")
    await chat.ask("when?")
    assert told(await chat.take()) == ["why?", "Hello", "how?", "Hello", "when?"]


async def test_an_answer_that_another_process_has_replaced_is_not_told(
    chat: Chat, other: Chat
) -> None:
    await chat.ask_and_answer("why?")
    chat.scripted(says(TextPiece("Another"), Finish("stop")))
    await other.regenerate(chat.user, chat.session_id, Wished())
    await other.answer(await other.take())
    await chat.ask("how?")
    assert told(await chat.take()) == ["why?", "Another", "how?"]


async def test_an_answer_that_is_wished_anew_is_not_told(chat: Chat) -> None:
    await chat.ask_and_answer("why?")
    await chat.regenerate(chat.user, chat.session_id, Wished())
    assert told(await chat.take()) == ["why?"]


async def test_what_another_process_has_cleared_is_not_told(chat: Chat, other: Chat) -> None:
    await chat.ask_and_answer("why?")
    await other.clear(chat.user, chat.session_id)
    await chat.ask("how?")
    assert told(await chat.take()) == ["how?"]


async def test_a_question_that_was_stopped_before_its_turn_is_told(chat: Chat) -> None:
    await chat.ask_and_answer("why?")
    stopped = await chat.ask("how?")
    await chat.stop(chat.user, stopped.generation_id)
    chat.queue.requests.clear()
    await chat.ask("when?")
    assert told(await chat.take()) == ["why?", "Hello", "how?", "when?"]


async def test_a_question_that_was_stopped_behind_one_that_was_taken_over_is_told(
    chat: Chat,
) -> None:
    """It has a lower fence than the answer which ends last, so nothing is noted of it then."""
    chat.lease_seconds = 0
    first = await chat.ask("why?")
    await chat.take()
    stopped = await chat.ask("how?")
    await chat.stop(chat.user, stopped.generation_id)
    again = await chat.claim(first.generation_id)
    assert again is not None
    await chat.answer(again)
    chat.queue.requests.clear()
    await chat.ask("when?")
    assert told(await chat.take()) == ["why?", "Hello", "how?", "when?"]


async def test_of_a_long_conversation_as_much_is_told_as_ever(chat: Chat) -> None:
    for number in range(15):
        await chat.ask_and_answer(str(number))
    await chat.ask("last")
    recalled = told(await chat.take())
    assert len(recalled) == 19
    assert recalled[0] == "6"
    assert recalled[-2:] == ["Hello", "last"]


async def test_who_tells_more_messages_does_not_use_what_was_kept_for_fewer(chat: Chat) -> None:
    chat.window = replace(chat.window, messages=2)
    await chat.ask_and_answer("why?")
    await chat.ask_and_answer("how?")
    chat.window = replace(chat.window, messages=20)
    await chat.ask("when?")
    assert told(await chat.take()) == ["why?", "Hello", "how?", "Hello", "when?"]


async def test_without_a_cache_the_same_is_told(chat: Chat) -> None:
    await configured(chat)
    chat.cache = Away()
    await chat.ask_and_answer("why?")
    await chat.ask("how?")
    assert told(await chat.take()) == ["why?", "Hello", "how?"]
    assert len(chat.models.asked) == 2


async def test_a_lost_answer_is_not_kept(chat: Chat, other: Chat) -> None:
    chat.lease_seconds = 0
    accepted = await chat.ask("why?")
    mine = await chat.take()
    theirs = await other.claim(accepted.generation_id)
    assert theirs is not None
    await other.answer(theirs)
    await chat.answer(mine)
    assert not await knows(chat.cache, chat)
    assert await knows(other.cache, chat)


# Configurations


async def test_a_configuration_is_read_once_and_then_recalled(chat: Chat) -> None:
    config = await configured(chat)
    await chat.ask_and_answer("why?")
    assert (await chat.cache.recall(chat.session_id, config.id)).config == config
    await chat.cache.keep_config(replace(config, base_url="https://recalled.example.com"))
    await chat.ask("how?")
    await chat.take()
    assert [asked.base_url for asked in chat.models.asked] == [
        config.base_url,
        "https://recalled.example.com",
    ]


async def test_a_configuration_that_another_process_has_changed_is_used_as_it_is_now(
    chat: Chat, other: Chat
) -> None:
    config = await configured(chat)
    await chat.ask_and_answer("why?")
    async with other.database() as work:
        changes = ApiChanges(base_url="https://elsewhere.example.com/v1")
        await work.api_configs.change(chat.user, config.id, changes)
        await work.commit()
    await chat.ask("how?")
    await chat.take()
    assert chat.models.asked[-1].base_url == "https://elsewhere.example.com/v1"
    assert chat.models.asked[-1].sealed_key is None


async def test_a_configuration_that_another_process_has_deleted_is_not_used(
    chat: Chat, other: Chat
) -> None:
    config = await configured(chat)
    await chat.ask_and_answer("why?")
    await chat.ask("how?")
    async with other.database() as work:
        await work.api_configs.delete(chat.user, config.id)
        await work.commit()
    await chat.take()
    assert len(chat.models.asked) == 1


# What is to be forgotten


async def test_what_is_cleared_is_forgotten(chat: Chat) -> None:
    await chat.ask_and_answer()
    await chat.clear(chat.user, chat.session_id)
    assert not await knows(chat.cache, chat)


async def test_a_new_system_prompt_lets_the_conversation_be_forgotten(chat: Chat) -> None:
    await chat.ask_and_answer()
    await chat.change(chat.user, chat.session_id, SessionChanges(title="Why"))
    assert await knows(chat.cache, chat)
    await chat.change(chat.user, chat.session_id, SessionChanges(system_prompt="Be brief."))
    assert not await knows(chat.cache, chat)


async def test_a_deleted_session_is_forgotten(chat: Chat) -> None:
    await chat.ask_and_answer()
    await chat.delete(chat.user, chat.session_id)
    assert not await knows(chat.cache, chat)
