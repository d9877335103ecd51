"""Reading a call again, and going on from it."""

from dataclasses import replace

import pytest

from application.accepting import Accepted
from application.browse import ReadGeneration
from application.continue_call import ContinueCall
from application.read_call import ReadCall
from application.submit_call import SubmitCall
from domain.call import INSTRUCTED, STORED, Call
from domain.errors import (
    GenerationNotFound,
    PreviousCallNotFound,
    PreviousCallUnanswered,
    PromptTooLarge,
)
from domain.generation import Ending, Failure, GenerationStatus
from domain.identifiers import GenerationId
from domain.message import Role
from domain.prompt import PromptMessage
from tests.application.conftest import Chat
from tests.builders import a_call, add_user, claim, finish

DIALECT = "a dialect"
SYSTEM = PromptMessage(Role.SYSTEM, "Be brief.")
WHY = PromptMessage(Role.USER, "why?")
HOW = PromptMessage(Role.USER, "how?")


def noted(call: Call, **notes: bool) -> Call:
    return replace(call, notes={**call.notes, **notes})


STORED_CALL = noted(a_call(SYSTEM, WHY), **{STORED: True, INSTRUCTED: True})
NEXT = noted(a_call(HOW), **{STORED: True, INSTRUCTED: False})


async def submit(chat: Chat, call: Call = STORED_CALL) -> Accepted:
    submit_call = SubmitCall(
        chat.database,
        chat.queue,
        chat.store_generation,
        chat.ids,
        chat.announce,
        ContinueCall(chat.database),
    )
    return await submit_call(chat.user, call, None, None, "request-1")


async def answered(chat: Chat, call: Call = STORED_CALL) -> GenerationId:
    accepted = await submit(chat, call)
    claimed = await chat.claim(accepted.generation_id)
    assert claimed is not None
    await chat.answer(claimed)
    return accepted.generation_id


async def ended(chat: Chat, ending: Ending) -> GenerationId:
    generation = await claim(chat.database, (await submit(chat)).generation_id)
    assert generation is not None
    await finish(chat.database, generation, ending)
    return generation.id


def read(chat: Chat) -> ReadCall:
    return ReadCall(chat.database, ReadGeneration(chat.database, chat.stream))


# Reading


async def test_a_stored_call_is_read_with_its_answer(chat: Chat) -> None:
    generation_id = await answered(chat)
    found = await read(chat)(chat.user, generation_id, DIALECT)
    assert found.call == STORED_CALL
    assert found.answer.text == "Hello"


async def test_only_its_owner_reads_it_only_in_its_dialect_and_only_if_it_was_stored(
    chat: Chat,
) -> None:
    stored = await answered(chat)
    unstored = await answered(chat, noted(STORED_CALL, **{STORED: False}))
    bob = await add_user(chat.database, "bob")
    for user, name, dialect in [
        (bob, stored, DIALECT),
        (chat.user, stored, "another dialect"),
        (chat.user, unstored, DIALECT),
        (chat.user, GenerationId("gen_nothing"), DIALECT),
    ]:
        with pytest.raises(GenerationNotFound):
            await read(chat)(user, name, dialect)


async def test_a_message_is_no_call(chat: Chat) -> None:
    with pytest.raises(GenerationNotFound):
        await read(chat)(chat.user, (await chat.ask()).generation_id, DIALECT)


async def test_one_that_is_deleted_is_not_read(chat: Chat) -> None:
    accepted = await submit(chat)
    await chat.delete(chat.user, accepted.session_id)
    with pytest.raises(GenerationNotFound):
        await read(chat)(chat.user, accepted.generation_id, DIALECT)


# Going on


async def test_it_goes_on_from_all_but_the_instructions_and_from_the_answer(chat: Chat) -> None:
    call = await ContinueCall(chat.database)(chat.user, await answered(chat), NEXT)
    assert call.prompt.messages == (WHY, PromptMessage(Role.ASSISTANT, "Hello"), HOW)
    assert call == replace(NEXT, prompt=replace(NEXT.prompt, messages=call.prompt.messages))


async def test_its_own_instructions_come_first(chat: Chat) -> None:
    own = noted(a_call(PromptMessage(Role.SYSTEM, "Be long."), HOW), **{INSTRUCTED: True})
    call = await ContinueCall(chat.database)(chat.user, await answered(chat), own)
    assert [message.content for message in call.prompt.messages] == [
        "Be long.",
        "why?",
        "Hello",
        "how?",
    ]


async def test_a_system_message_that_is_no_instruction_is_a_part_of_what_was_said(
    chat: Chat,
) -> None:
    first = noted(STORED_CALL, **{INSTRUCTED: False})
    call = await ContinueCall(chat.database)(chat.user, await answered(chat, first), NEXT)
    assert call.prompt.messages[0] == SYSTEM


async def test_one_that_was_stopped_with_a_text_can_be_gone_on_from(chat: Chat) -> None:
    previous = await ended(chat, Ending(GenerationStatus.STOPPED, "so far", 2))
    call = await ContinueCall(chat.database)(chat.user, previous, NEXT)
    assert call.prompt.messages[-2] == PromptMessage(Role.ASSISTANT, "so far")


async def test_an_empty_answer_is_left_out(chat: Chat) -> None:
    previous = await ended(chat, Ending(GenerationStatus.COMPLETED, "", 2, "stop"))
    call = await ContinueCall(chat.database)(chat.user, previous, NEXT)
    assert call.prompt.messages == (WHY, HOW)


BROKEN = Failure("upstream_error", "It broke.")


@pytest.mark.parametrize(
    "ending",
    [
        Ending(GenerationStatus.STOPPED, "", 2),
        Ending(GenerationStatus.FAILED, "so far", 2, failure=BROKEN),
        Ending(GenerationStatus.FAILED, "", 2, failure=BROKEN),
    ],
)
async def test_one_without_an_answer_can_not(chat: Chat, ending: Ending) -> None:
    with pytest.raises(PreviousCallUnanswered):
        await ContinueCall(chat.database)(chat.user, await ended(chat, ending), NEXT)


async def test_one_that_is_still_being_answered_can_not(chat: Chat) -> None:
    generation_id = (await submit(chat)).generation_id
    with pytest.raises(PreviousCallUnanswered):
        await ContinueCall(chat.database)(chat.user, generation_id, NEXT)
    await claim(chat.database, generation_id)
    with pytest.raises(PreviousCallUnanswered):
        await ContinueCall(chat.database)(chat.user, generation_id, NEXT)


async def test_what_one_may_not_read_one_can_not_go_on_from(chat: Chat) -> None:
    stored = await answered(chat)
    unstored = await answered(chat, noted(STORED_CALL, **{STORED: False}))
    bob = await add_user(chat.database, "bob")
    for user, name, call in [
        (bob, stored, NEXT),
        (chat.user, stored, replace(NEXT, dialect="another dialect")),
        (chat.user, unstored, NEXT),
        (chat.user, GenerationId("gen_nothing"), NEXT),
    ]:
        with pytest.raises(PreviousCallNotFound):
            await ContinueCall(chat.database)(user, name, call)


# How long it may grow


def test_a_prompt_has_a_bound_in_bytes_of_all_that_is_said() -> None:
    half = PromptMessage(Role.USER, "é" * 1024 * 1024)
    previous = a_call(half)
    assert len(a_call(WHY).after(previous, "x" * 1024).prompt.messages) == 3
    with pytest.raises(PromptTooLarge):
        a_call(half).after(previous, "x")


def test_a_prompt_has_a_bound_in_messages() -> None:
    with pytest.raises(PromptTooLarge):
        a_call(WHY).after(a_call(*[WHY] * 4_000), "")
