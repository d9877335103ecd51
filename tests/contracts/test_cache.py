"""What all caches promise."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from application.ports import Cache, Recalled
from domain.conversation import Conversation, Mark
from domain.identifiers import ApiId, GenerationId, MessageId, SessionId
from domain.message import AnswerStatus, Message, Role, Usage
from tests.builders import API, SESSION, an_api

OTHER = SessionId("another")
KNOWS_NOTHING = Recalled()
TEXTS = ["why?", "Because. 𝄞 \ufffd \n\x01", "", "x" * 32_000]


def a_conversation(session_id: SessionId = SESSION, *texts: str) -> Conversation:
    asked_at = datetime(2026, 11, 21, 12, 0, 0, 123_000, tzinfo=UTC)
    generation_id = GenerationId("gen_1")
    messages = []
    for number, text in enumerate(texts or TEXTS, 1):
        role = Role.USER if number % 2 else Role.ASSISTANT
        message = Message(
            MessageId(number), session_id, number, role, text, asked_at, generation_id
        )
        if role is Role.ASSISTANT:
            usage = Usage(3, 4) if text else None
            message = replace(message, status=AnswerStatus.STOPPED, usage=usage)
        messages.append(message)
    return Conversation(session_id, Mark(7, -2), 3, 20, tuple(messages))


async def test_what_is_kept_is_recalled_as_it_was(cache: Cache) -> None:
    conversation, config = a_conversation(), an_api(bytes(range(256)))
    await cache.keep_conversation(conversation)
    await cache.keep_config(config)
    assert await cache.recall(SESSION, API) == Recalled(conversation, config)
    assert await cache.recall(SESSION, None) == Recalled(conversation, None)
    assert await cache.recall(OTHER, API) == Recalled(None, config)
    assert await cache.recall(SESSION, ApiId(8)) == Recalled(conversation, None)


async def test_what_was_never_kept_is_not_known(cache: Cache) -> None:
    assert await cache.recall(SESSION, None) == KNOWS_NOTHING
    assert await cache.recall(SESSION, API) == KNOWS_NOTHING


async def test_a_configuration_without_a_key_has_none_again(cache: Cache) -> None:
    await cache.keep_config(an_api(None))
    assert await cache.recall(SESSION, API) == Recalled(None, an_api(None))


async def test_what_is_kept_later_takes_the_place_of_what_was_kept(cache: Cache) -> None:
    later, changed = a_conversation(SESSION, "how?"), an_api(b"another")
    await cache.keep_conversation(a_conversation())
    await cache.keep_conversation(later)
    await cache.keep_config(an_api())
    await cache.keep_config(changed)
    assert await cache.recall(SESSION, API) == Recalled(later, changed)


async def test_what_is_forgotten_is_not_known_and_nothing_else_is_forgotten(cache: Cache) -> None:
    other, config = a_conversation(OTHER), an_api(api_id=ApiId(8))
    await cache.keep_conversation(a_conversation())
    await cache.keep_conversation(other)
    await cache.keep_config(an_api())
    await cache.keep_config(config)
    await cache.forget_conversation(SESSION)
    await cache.forget_config(API)
    assert await cache.recall(SESSION, API) == KNOWS_NOTHING
    assert await cache.recall(OTHER, ApiId(8)) == Recalled(other, config)


async def test_what_is_not_known_can_be_forgotten(cache: Cache) -> None:
    await cache.forget_conversation(SESSION)
    await cache.forget_config(API)
    assert await cache.recall(SESSION, API) == KNOWS_NOTHING


@pytest.mark.parametrize("session_id", ["7", "conversation", "config:7", "a}b{c:7"])
async def test_no_session_is_taken_for_a_configuration(cache: Cache, session_id: str) -> None:
    conversation = a_conversation(SessionId(session_id))
    await cache.keep_config(an_api())
    await cache.keep_conversation(conversation)
    assert await cache.recall(SessionId(session_id), API) == Recalled(conversation, an_api())
