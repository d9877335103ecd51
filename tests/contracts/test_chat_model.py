"""What every model promises."""

import asyncio
from contextlib import aclosing

from application.ports import ChatModel, Finish, Piece
from domain.message import Role
from domain.prompt import Prompt, PromptMessage
from tests.contracts.conftest import TALK_ON
from tests.upstream import Upstream


def asking(question: str) -> Prompt:
    return Prompt((PromptMessage(Role.SYSTEM, "Be brief."), PromptMessage(Role.USER, question)))


async def pieces_of(model: ChatModel, question: str = "Why is the sky blue?") -> list[Piece]:
    async with aclosing(model.stream(asking(question))) as pieces:
        return [piece async for piece in pieces]


def text_of(pieces: list[Piece]) -> str:
    return "".join(piece.text for piece in pieces if not isinstance(piece, Finish))


async def test_an_answer_ends_with_the_one_and_only_finish(model: ChatModel) -> None:
    pieces = await pieces_of(model)
    assert [isinstance(piece, Finish) for piece in pieces] == [False] * (len(pieces) - 1) + [True]


async def test_a_finish_tells_the_reason_and_what_it_cost(model: ChatModel) -> None:
    finish = (await pieces_of(model))[-1]
    assert isinstance(finish, Finish)
    assert finish.reason == "stop"
    assert finish.usage is not None
    assert finish.usage.prompt_tokens > 0
    assert finish.usage.completion_tokens > 0


async def test_no_piece_is_empty(model: ChatModel) -> None:
    pieces = await pieces_of(model)
    assert len(pieces) > 1
    assert all(piece.text for piece in pieces if not isinstance(piece, Finish))


async def test_the_question_is_heard(model: ChatModel) -> None:
    assert "Why is the sky blue?" in text_of(await pieces_of(model))


async def test_all_that_can_be_asked_can_be_answered(model: ChatModel) -> None:
    for question in ("x", "漢字 😀 \u2028 é", 'quotes " and \\ and {braces} %s', "x" * 32_000):
        assert isinstance((await pieces_of(model, question))[-1], Finish)


async def test_after_its_end_a_stream_gives_nothing_more(model: ChatModel) -> None:
    stream = model.stream(asking("Why?"))
    assert [piece async for piece in stream]
    assert [piece async for piece in stream] == []


async def test_who_closes_early_ends_the_call(model: ChatModel, server: Upstream) -> None:
    stream = model.stream(asking(TALK_ON))
    await anext(stream)
    await stream.aclose()
    await asyncio.wait_for(server.idle(), 5)
    assert [piece async for piece in stream] == []


async def test_who_cancels_ends_the_call(model: ChatModel, server: Upstream) -> None:
    begun = asyncio.Event()

    async def listen() -> None:
        async with aclosing(model.stream(asking(TALK_ON))) as stream:
            await anext(stream)
            begun.set()
            await asyncio.Event().wait()

    listening = asyncio.create_task(listen())
    await begun.wait()
    listening.cancel()
    await asyncio.wait([listening])
    assert listening.cancelled()
    await asyncio.wait_for(server.idle(), 5)


async def test_who_never_listens_makes_no_call(model: ChatModel, server: Upstream) -> None:
    await model.stream(asking(TALK_ON)).aclose()
    assert server.calls == []


async def test_two_streams_at_once_do_not_mix(model: ChatModel) -> None:
    alone = [await pieces_of(model, f"question {number}") for number in range(5)]
    together = await asyncio.gather(
        *(pieces_of(model, f"question {number}") for number in range(5))
    )
    assert [text_of(pieces) for pieces in together] == [text_of(pieces) for pieces in alone]
    for number, pieces in enumerate(together):
        assert f"question {number}" in text_of(pieces)
        assert f"question {(number + 1) % 5}" not in text_of(pieces)


async def test_a_model_answers_any_number_of_times(model: ChatModel) -> None:
    answers = [text_of(await pieces_of(model)) for _ in range(5)]
    assert answers == answers[:1] * 5
