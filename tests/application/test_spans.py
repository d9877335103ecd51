"""What is told of a message on its way, and which part of it hangs on which."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from application.accepting import Wished
from application.claims import Interruption
from application.ports import Piece, TextPiece
from application.spans import ACCEPT, ANSWER, CHAT, OUTCOME
from domain.errors import ModelFailed
from domain.prompt import Prompt
from tests.application.conftest import Chat
from tests.fakes import says


async def wait_for_ever(_: Prompt) -> AsyncGenerator[Piece, None]:
    yield TextPiece("so far")
    await asyncio.Event().wait()


@pytest.fixture
def traced(chat: Chat) -> Chat:
    chat.spans.on = True
    return chat


async def test_an_answer_is_part_of_what_accepted_its_question(traced: Chat) -> None:
    accepted = await traced.ask()
    request = await traced.queue.take()
    assert request.traceparent == ACCEPT
    claimed = await traced.claim(request.generation_id)
    assert claimed is not None
    await traced.answer(claimed, request.traceparent)
    assert [(span.name, span.parent) for span in traced.spans.ended] == [
        (ACCEPT, None),
        (CHAT, ANSWER),
        (ANSWER, ACCEPT),
    ]
    asked, heard, answered = (span.told for span in traced.spans.ended)
    which = {
        "llm_chat.session_id": traced.session_id,
        "llm_chat.generation_id": accepted.generation_id,
    }
    assert asked == which
    assert answered == {**which, "llm_chat.attempt": 1, OUTCOME: "completed"}
    assert heard == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "simulated",
        "gen_ai.request.model": "scripted",
        "gen_ai.usage.input_tokens": 1,
        "gen_ai.usage.output_tokens": 2,
    }


async def test_so_is_one_that_is_made_again(traced: Chat) -> None:
    await traced.ask_and_answer()
    await traced.regenerate(traced.user, traced.session_id, Wished())
    assert (await traced.queue.take()).traceparent == ACCEPT


async def test_a_failure_is_told_by_its_code(traced: Chat) -> None:
    traced.scripted(says(TextPiece("secret"), then=ModelFailed("secret")))
    await traced.ask_and_answer()
    failed = {span.name: span.failed for span in traced.spans.ended}
    assert failed == {ACCEPT: None, CHAT: "upstream_error", ANSWER: "upstream_error"}
    assert "secret" not in str(traced.spans.ended)


@pytest.mark.parametrize(
    ("why", "outcome"),
    [
        (Interruption.STOP, "stopped"),
        (Interruption.RELEASE, "given back"),
        (Interruption.FENCED, "lost"),
    ],
)
async def test_an_answer_that_is_cut_short_did_not_fail(
    traced: Chat, why: Interruption, outcome: str
) -> None:
    traced.scripted(wait_for_ever)
    await traced.ask()
    claimed = await traced.take()
    claimed.claim.interrupt(why)
    await traced.answer(claimed)
    answered = traced.spans.ended[-1]
    assert (answered.name, answered.told[OUTCOME]) == (ANSWER, outcome)
    assert {span.failed for span in traced.spans.ended} == {None}


async def test_who_gets_an_answer_that_was_given_back_goes_on_in_its_trace(traced: Chat) -> None:
    traced.scripted(wait_for_ever)
    await traced.ask()
    claimed = await traced.take()
    claimed.claim.interrupt(Interruption.RELEASE)
    await traced.answer(claimed)
    assert (await traced.queue.take()).traceparent == ANSWER


async def test_what_waited_behind_an_answer_is_no_part_of_it(traced: Chat) -> None:
    await traced.ask("why?")
    await traced.ask("and then?")
    claimed = await traced.take()
    await traced.queue.take()
    await traced.answer(claimed, ACCEPT)
    assert (await traced.queue.take()).traceparent is None
