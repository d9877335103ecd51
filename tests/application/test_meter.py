"""What answers take of the tokens that a user may have in a day."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace

import pytest

from application.ports import Finish, Piece, ReasoningPiece, TextPiece
from application.submit_message import Submission
from domain.errors import ModelFailed
from domain.limits import Room, TokenBudgetSpent
from domain.meter import Meter
from domain.prompt import Prompt
from tests.application.conftest import Chat, hello
from tests.builders import a_new_api, add_api
from tests.fakes import Script


async def without_usage(_: Prompt) -> AsyncGenerator[Piece, None]:
    yield ReasoningPiece("Hm")
    yield TextPiece("Hello")
    yield Finish("stop")


async def breaking_off(_: Prompt) -> AsyncGenerator[Piece, None]:
    yield TextPiece("Hel")
    raise ModelFailed("upstream_error", "no")


async def unreachable(prompt: Prompt) -> AsyncGenerator[Piece, None]:
    if prompt.messages:
        raise ModelFailed("upstream_unreachable", "no")
    yield Finish("stop")


async def spent(chat: Chat) -> int:
    async with chat.database(read_only=True) as work:
        return (await work.generations.spent_today(chat.user)).tokens


async def answer(chat: Chat, text: str, meter: Meter) -> None:
    await chat.ask(text)
    await replace(chat.answer, meter=meter)(await chat.take())


@pytest.mark.parametrize(
    ("script", "tokens"),
    [
        (hello, 3),  # as the model says
        (without_usage, len("why?") + len("HmHello")),
        (breaking_off, len("why?") + len("Hel")),
        (unreachable, 0),
    ],
)
async def test_what_an_answer_took_is_counted(chat: Chat, script: Script, tokens: int) -> None:
    chat.scripted(script)
    await answer(chat, "why?", Meter(len))
    assert await spent(chat) == tokens


async def test_nothing_is_counted_unless_it_is_wished(chat: Chat) -> None:
    await answer(chat, "why?", Meter())
    assert await spent(chat) == 0


async def test_who_pays_for_a_model_may_ask_it(chat: Chat) -> None:
    chat.room = Room(tokens_per_day=3)
    await add_api(chat.database, a_new_api(chat.user, "mine", "gpt-9"))
    submission = Submission("why?", model_name="gpt-9")
    for _ in range(3):
        await chat.submit(chat.user, chat.session_id, submission)
        await replace(chat.answer, meter=Meter(len))(await chat.take())
    assert await spent(chat) == 0


async def test_beyond_the_budget_nothing_more_is_accepted(chat: Chat) -> None:
    chat.room = Room(tokens_per_day=4)
    for _ in range(2):  # the first takes three
        await answer(chat, "why?", Meter(len))
    with pytest.raises(TokenBudgetSpent) as refused:
        await chat.ask("why?")
    assert refused.value.retry_after is not None
    assert 1 <= refused.value.retry_after <= 86_400
    assert await spent(chat) == 6
    chat.room = Room(tokens_per_day=7)
    await chat.ask("why?")


async def test_a_model_of_ones_own_is_accepted_though_all_is_spent(chat: Chat) -> None:
    chat.room = Room(tokens_per_day=3)
    await answer(chat, "why?", Meter(len))
    await add_api(chat.database, a_new_api(chat.user, "mine", "gpt-9"))
    await chat.submit(chat.user, chat.session_id, Submission("why?", model_name="gpt-9"))


async def test_who_deletes_the_session_under_an_answer_has_heard_it(chat: Chat) -> None:
    async def deleted_meanwhile(_: Prompt) -> AsyncGenerator[Piece, None]:
        yield TextPiece("Hello")
        await chat.delete(chat.user, chat.session_id)
        await chat.renew()
        await asyncio.Event().wait()
        yield Finish("stop")

    chat.scripted(deleted_meanwhile)
    await answer(chat, "why?", Meter(len))
    assert await spent(chat) == len("why?") + len("Hello")


async def test_what_waited_behind_answers_that_took_all_is_refused_as_it_begins(
    chat: Chat,
) -> None:
    chat.room = Room(tokens_per_day=3)
    asked = [await chat.ask("why?") for _ in range(3)]
    for _ in asked:
        await replace(chat.answer, meter=Meter(len))(await chat.take())
    async with chat.database(read_only=True) as work:
        found = [await work.generations.find(each.generation_id, chat.user) for each in asked]
    codes = [each and (each.failure.code if each.failure else None) for each in found]
    assert codes == [None, "token_budget_spent", "token_budget_spent"]
    assert await spent(chat) == 3


async def test_a_model_of_ones_own_begins_though_all_is_spent(chat: Chat) -> None:
    chat.room = Room(tokens_per_day=3)
    await add_api(chat.database, a_new_api(chat.user, "mine", "gpt-9"))
    await chat.submit(chat.user, chat.session_id, Submission("why?", model_name="scripted"))
    own = await chat.submit(chat.user, chat.session_id, Submission("why?", model_name="gpt-9"))
    for _ in range(2):
        await replace(chat.answer, meter=Meter(len))(await chat.take())
    async with chat.database(read_only=True) as work:
        answered = await work.generations.find(own.generation_id, chat.user)
    assert answered is not None
    assert answered.failure is None
    assert await spent(chat) == 3
