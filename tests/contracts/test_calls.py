"""What every store of calls promises."""

import pytest

from application.ports import OpenUnitOfWork
from domain.call import Call
from domain.identifiers import GenerationId, SessionId, UserId
from domain.message import Role
from domain.prompt import FunctionCall, Options, PromptMessage, ToolCall
from domain.repositories import Forgotten, Turn
from tests.builders import a_call, add_call, add_question, add_session, add_user, claim, finish

SESSION = SessionId("session_of_call")
OVER = -1
"""Seconds that it is kept: no longer, by now."""

EVERYTHING = a_call(
    PromptMessage(Role.SYSTEM, "Be brief."),
    PromptMessage(Role.DEVELOPER, "Really."),
    PromptMessage(Role.USER, "What is the weather in 東京? \U0001f324", name="ada"),
    PromptMessage(Role.ASSISTANT, "", tool_calls=(ToolCall("1", FunctionCall("f", '{"x":1}')),)),
    PromptMessage(Role.TOOL, "sunny", tool_call_id="1"),
    PromptMessage(Role.ASSISTANT, "", function_call=FunctionCall("g", "{}")),
    PromptMessage(Role.FUNCTION, "windy", name="g"),
    options=Options(
        temperature=0.5,
        top_p=0.25,
        max_tokens=7,
        max_completion_tokens=8,
        stop=("a", "b"),
        seed=-1,
        presence_penalty=0.5,
        frequency_penalty=-0.5,
        logit_bias={"50256": -100.0},
        reasoning_effort="low",
        verbosity="high",
        response_format={"type": "json_schema", "json_schema": {"name": "x", "strict": True}},
        user="somebody",
    ),
)


@pytest.fixture
async def user(database: OpenUnitOfWork) -> UserId:
    return await add_user(database)


async def found(database: OpenUnitOfWork, session_id: SessionId = SESSION) -> Call | None:
    async with database(read_only=True) as work:
        return await work.calls.find(session_id)


async def claimed(database: OpenUnitOfWork, generation_id: GenerationId) -> Turn | None:
    async with database() as work:
        return await work.generations.claim(generation_id, 60)


async def forget(database: OpenUnitOfWork, limit: int = 100) -> list[Forgotten]:
    async with database() as work:
        forgotten = await work.retention.forget_expired(limit)
        await work.commit()
    return list(forgotten)


async def answered(database: OpenUnitOfWork, generation_id: GenerationId) -> None:
    generation = await claim(database, generation_id)
    assert generation is not None
    await finish(database, generation)


async def test_all_of_a_call_is_kept(database: OpenUnitOfWork, user: UserId) -> None:
    await add_call(database, user, EVERYTHING)
    assert await found(database) == EVERYTHING


async def test_who_claims_it_is_given_its_prompt(database: OpenUnitOfWork, user: UserId) -> None:
    turn = await claimed(database, await add_call(database, user, EVERYTHING))
    assert turn is not None
    assert turn.given == EVERYTHING.prompt


async def test_a_message_is_given_no_prompt(database: OpenUnitOfWork, user: UserId) -> None:
    session_id = await add_session(database, user)
    turn = await claimed(database, await add_question(database, user, session_id))
    assert turn is not None
    assert turn.given is None
    assert await found(database, session_id) is None


async def test_its_session_is_in_no_list_but_is_there(
    database: OpenUnitOfWork, user: UserId
) -> None:
    listed = await add_session(database, user)
    await add_call(database, user)
    async with database(read_only=True) as work:
        page = await work.sessions.page(user, 100, None)
        session = await work.sessions.find(SESSION, user)
    assert [each.id for each in page] == [listed]
    assert session is not None
    assert session.kept_seconds == 60


async def test_it_is_gone_with_its_session(database: OpenUnitOfWork, user: UserId) -> None:
    await add_call(database, user)
    async with database() as work:
        await work.sessions.lock(SESSION, user)
        await work.sessions.delete(SESSION)
        await work.commit()
    assert await found(database) is None


@pytest.mark.parametrize("deleted", [False, True])
async def test_it_is_forgotten_once_it_was_kept_for_long_enough(
    database: OpenUnitOfWork, user: UserId, deleted: bool
) -> None:
    generation_id = await add_call(database, user, a_call(kept_seconds=OVER))
    await answered(database, generation_id)
    if deleted:
        async with database() as work:
            await work.sessions.lock(SESSION, user)
            await work.sessions.delete(SESSION)
            await work.commit()
    assert await forget(database) == [Forgotten(SESSION, user, not deleted, [])]
    async with database(read_only=True) as work:
        assert await work.generations.find(generation_id, user) is None
        assert await work.sessions.find(SESSION, user) is None
    await add_call(database, user)  # its id is free


async def test_what_is_deleted_is_forgotten_soon(database: OpenUnitOfWork, user: UserId) -> None:
    await answered(database, await add_call(database, user, a_call(kept_seconds=3600)))
    async with database() as work:
        await work.sessions.lock(SESSION, user)
        await work.sessions.delete(SESSION)
        await work.commit()
    assert await forget(database) == [Forgotten(SESSION, user, was_there=False, contents=[])]


async def test_what_is_being_answered_is_kept(database: OpenUnitOfWork, user: UserId) -> None:
    generation_id = await add_call(database, user, a_call(kept_seconds=OVER))
    assert await forget(database) == []
    assert await claim(database, generation_id) is not None
    assert await forget(database) == []


async def test_what_is_not_over_and_what_is_listed_stays(
    database: OpenUnitOfWork, user: UserId
) -> None:
    await answered(database, await add_call(database, user, a_call(kept_seconds=60)))
    session_id = await add_session(database, user)
    await answered(database, await add_question(database, user, session_id))
    assert await forget(database) == []


async def test_few_are_forgotten_at_once(database: OpenUnitOfWork, user: UserId) -> None:
    for number in range(3):
        call = a_call(kept_seconds=OVER)
        await answered(database, await add_call(database, user, call, f"session_{number}"))
    assert [len(await forget(database, limit=2)) for _ in range(3)] == [2, 1, 0]


async def test_retention_takes_calls_too(database: OpenUnitOfWork, user: UserId) -> None:
    await answered(database, await add_call(database, user, a_call(kept_seconds=3600)))
    async with database() as work:
        forgotten = await work.retention.forget_untouched(-1.0, 100)
        await work.commit()
    assert [each.session_id for each in forgotten] == [SESSION]
    assert await found(database) is None
