"""What is cut, left, killed and begun again: to OpenAI's client it is one answer all the same."""

import asyncio
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI

from tests.browser.chat import Chat
from tests.clients.asked import (
    HELLO,
    MODEL,
    PIECES,
    TEXT,
    blocks,
    ended,
    generations_in,
    held,
    lost,
    read,
    sdk,
    stream_of,
    text_of,
    whole,
)
from tests.end_to_end.processes import PATIENCE, sse, sse_until_last
from tests.end_to_end.processes import text_of as text_of_events
from tests.faults.fault_proxy import FaultProxy
from tests.upstream import Upstream

pytestmark = pytest.mark.asyncio(loop_scope="package")

KEYED: Any = {"extra_headers": {"Idempotency-Key": "7f3a"}}


async def called(model: Upstream) -> None:
    async with asyncio.timeout(PATIENCE):
        await model.called.wait()
    model.called.clear()


async def connected(way: FaultProxy) -> None:
    async with asyncio.timeout(PATIENCE):
        await way.made.wait()


async def cut_in_mid_answer(chat: Chat, **more: Any) -> tuple[str | None, int]:
    """The text that comes although the connection is cut, and how many answers were made of it."""
    go_on = asyncio.Event()
    chat.model.called.clear()
    chat.model.answers(held(go_on))
    async with sdk(chat.url) as client:
        asked = asyncio.create_task(
            client.chat.completions.create(model=MODEL, messages=HELLO, **more)
        )
        await called(chat.model)
        chat.way.made.clear()
        chat.way.reset_all()
        await connected(chat.way)  # it has come again by itself
        go_on.set()
        completion: Any = await asked
    return completion.choices[0].message.content, len(chat.model.calls)


async def test_a_retry_under_a_key_makes_no_second_answer(chat: Chat) -> None:
    assert await cut_in_mid_answer(chat, **KEYED) == (TEXT, 1)


async def test_a_retry_without_a_key_makes_another(chat: Chat) -> None:
    """The client brings no key by itself."""
    assert await cut_in_mid_answer(chat) == (TEXT, 2)


async def test_an_answer_goes_on_when_its_reader_leaves(chat: Chat, model: Upstream) -> None:
    go_on = asyncio.Event()
    model.answers(held(go_on))
    async with sdk(chat.url) as client:
        reply = await stream_of(client)
        stream = reply.parse()
        assert await read(stream, len(PIECES[0]))
        await stream.close()
    go_on.set()
    generation = await ended(chat, reply.headers["X-Generation-Id"])
    assert (generation["status"], generation["text"]) == ("completed", TEXT)


@pytest.mark.own_process
async def test_an_answer_goes_on_when_who_waits_for_it_leaves(chat: Chat, model: Upstream) -> None:
    go_on = asyncio.Event()
    model.answers(held(go_on))
    async with sdk(chat.url) as client:
        asked = asyncio.create_task(client.chat.completions.create(model=MODEL, messages=HELLO))
        await called(model)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
    await chat.process.says("POST '/v1/chat/completions' 499")
    go_on.set()
    [generation_id] = generations_in(chat.process.log)
    generation = await ended(chat, generation_id)
    assert (generation["status"], generation["text"]) == ("completed", TEXT)


async def test_a_stream_that_was_cut_is_taken_up_where_it_was(
    chat: Chat, client: AsyncOpenAI, model: Upstream
) -> None:
    go_on = asyncio.Event()
    model.answers(held(go_on))
    heard, cursor = "", ""
    create = client.chat.completions.with_streaming_response.create
    async with create(model=MODEL, messages=HELLO, stream=True) as reply:
        generation_id = reply.headers["X-Generation-Id"]
        async for event_id, said in blocks(reply.iter_lines()):
            heard += said["choices"][0]["delta"].get("content") or ""
            cursor = event_id
            if heard == "".join(PIECES[:2]):
                break
        chat.way.reset_all()
    go_on.set()
    path = f"/api/chat/generations/{generation_id}/stream"
    rest = await sse_until_last(sse(chat.process, path, cursor))
    assert {event["type"] for event in rest} == {"chunk", "done"}
    assert heard + text_of_events(rest) == TEXT


async def test_after_any_event_exactly_the_rest_can_be_had(
    chat: Chat, client: AsyncOpenAI, model: Upstream
) -> None:
    model.answers(whole)
    create = client.chat.completions.with_streaming_response.create
    async with create(
        model=MODEL, messages=HELLO, stream=True, stream_options={"include_usage": True}
    ) as reply:
        path = f"/api/chat/generations/{reply.headers['X-Generation-Id']}/stream"
        heard, told = "", {}
        async for cursor, said in blocks(reply.iter_lines()):
            for choice in (said or {}).get("choices", []):
                heard += choice["delta"].get("content") or ""
            told[cursor] = heard
    assert heard == TEXT
    assert len(told) >= 3
    for cursor, text in list(told.items())[:-1]:
        rest = await sse_until_last(sse(chat.process, path, cursor))
        assert text + text_of_events(rest) == TEXT
        assert rest[-1]["type"] == "done"
        assert {event["type"] for event in rest[:-1]} <= {"chunk"}


@pytest.mark.own_process
async def test_who_waits_gets_the_answer_of_the_next_process(chat: Chat, model: Upstream) -> None:
    """All of it is killed in mid-answer and started again: the client, which asks again under its
    key, notices nothing."""
    model.answers(lost, whole)
    async with sdk(chat.url, max_retries=30) as client:
        asked = asyncio.create_task(
            client.chat.completions.create(model=MODEL, messages=HELLO, **KEYED)
        )
        await called(model)
        await chat.kill()
        await chat.start()
        completion = await asked
    assert completion.choices[0].message.content == TEXT
    assert len(model.calls) == 2
    [generation_id] = generations_in(chat.process.log)
    assert completion.id == "chatcmpl-" + generation_id.removeprefix("gen_")


@pytest.mark.own_process
async def test_what_is_asked_again_after_a_restart_is_the_same_completion(
    chat: Chat, client: AsyncOpenAI, model: Upstream
) -> None:
    model.answers(whole)
    first = await client.chat.completions.create(model=MODEL, messages=HELLO, **KEYED)
    await chat.kill()
    await chat.start()
    again = await client.chat.completions.create(model=MODEL, messages=HELLO, **KEYED)
    assert again == first
    assert len(model.calls) == 1


@pytest.mark.own_process
async def test_a_stream_that_no_restart_can_mend_says_so(chat: Chat, model: Upstream) -> None:
    """Its process is gone. Under its key the whole of it is streamed by the next one."""
    model.answers(lost, whole)
    async with sdk(chat.url, max_retries=30) as client:
        stream = (await stream_of(client, **KEYED)).parse()
        await read(stream, len("".join(PIECES[:2])))
        await chat.kill()
        with pytest.raises(openai.APIConnectionError):
            await anext(stream)
        await chat.start()
        reply = await stream_of(client, **KEYED)
        chunks = [chunk async for chunk in reply.parse()]
    assert text_of(chunks) == TEXT
    assert generations_in(chat.process.log) == {reply.headers["X-Generation-Id"]}


async def test_no_call_is_in_the_list_of_sessions(chat: Chat, client: AsyncOpenAI) -> None:
    await client.chat.completions.create(model=MODEL, messages=HELLO)
    assert await chat.sessions() == []
