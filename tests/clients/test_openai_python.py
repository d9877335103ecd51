"""OpenAI's own client for Python, as its users write it."""

import asyncio
from typing import Any

import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from tests.browser.chat import Chat
from tests.clients.asked import HELLO, MODEL, PIECES, TEXT, text_of, whole
from tests.end_to_end.processes import PATIENCE
from tests.upstream import Upstream

pytestmark = pytest.mark.asyncio(loop_scope="package")


async def test_a_chat_is_answered(client: AsyncOpenAI, model: Upstream) -> None:
    model.answers(whole)
    completion = await client.chat.completions.create(model=MODEL, messages=HELLO)
    assert completion.id.startswith("chatcmpl-")
    assert (completion.object, completion.model) == ("chat.completion", MODEL)
    [choice] = completion.choices
    assert (choice.message.role, choice.message.content) == ("assistant", TEXT)
    assert (choice.index, choice.finish_reason) == (0, "stop")
    assert completion.usage is not None
    assert completion.usage.to_dict() == {
        "prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8,
    }  # fmt: skip


async def test_a_chat_is_streamed(client: AsyncOpenAI, model: Upstream) -> None:
    model.answers(whole)
    stream = await client.chat.completions.create(model=MODEL, messages=HELLO, stream=True)
    chunks = [chunk async for chunk in stream]
    assert text_of(chunks) == TEXT
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None] * (len(chunks) - 1) + [
        "stop"
    ]
    assert len({chunk.id for chunk in chunks}) == 1
    assert {(chunk.model, chunk.object) for chunk in chunks} == {(MODEL, "chat.completion.chunk")}
    assert all(chunk.usage is None for chunk in chunks)


async def test_a_stream_counts_if_it_is_told_to(client: AsyncOpenAI, model: Upstream) -> None:
    model.answers(whole)
    stream = await client.chat.completions.create(
        model=MODEL, messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    *chunks, last = [chunk async for chunk in stream]
    assert text_of(chunks) == TEXT
    assert (last.choices, last.usage is not None) == ([], True)
    assert last.usage is not None
    assert (last.usage.prompt_tokens, last.usage.completion_tokens) == (3, 5)
    assert last.usage.total_tokens == 8


async def test_the_helper_for_streams_puts_the_answer_together(
    client: AsyncOpenAI, model: Upstream
) -> None:
    model.answers(whole)
    async with client.chat.completions.stream(
        model=MODEL, messages=HELLO, stream_options={"include_usage": True}
    ) as stream:
        events = [event async for event in stream]
        completion = await stream.get_final_completion()
    assert "".join(event.delta for event in events if event.type == "content.delta") == TEXT
    assert [event.content for event in events if event.type == "content.done"] == [TEXT]
    assert completion.choices[0].message.content == TEXT
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage is not None
    assert completion.usage.total_tokens == 8


async def test_the_client_that_blocks_does_the_same(chat: Chat, model: Upstream) -> None:
    model.answers(whole)

    def ask() -> tuple[ChatCompletion, list[ChatCompletionChunk], list[str]]:
        with OpenAI(api_key="unused", base_url=f"{chat.url}/v1", timeout=PATIENCE) as client:
            completion = client.chat.completions.create(model=MODEL, messages=HELLO)
            with client.chat.completions.create(model=MODEL, messages=HELLO, stream=True) as stream:
                chunks = list(stream)
            return completion, chunks, [each.id for each in client.models.list()]

    completion, chunks, names = await asyncio.to_thread(ask)
    assert completion.choices[0].message.content == text_of(chunks) == TEXT
    assert MODEL in names


async def test_models_are_listed_and_found_whatever_their_names(
    chat: Chat, client: AsyncOpenAI
) -> None:
    name = "org/model 1:7b"
    api = {"name": "mine", "model_name": name, "base_url": chat.model.base_url, "api_key": ""}
    await chat.call("POST", "/api/user/apis", json=api)
    names = [each.id async for each in client.models.list()]
    assert {name, MODEL, "simulated"} <= set(names)
    for each in names:
        found = await client.models.retrieve(each)
        assert (found.id, found.object) == (each, "model")
    completion = await client.chat.completions.create(model=name, messages=HELLO)
    assert completion.model == name


@pytest.mark.parametrize("streams", [False, True])
async def test_the_headers_say_which_generation_and_which_request(
    chat: Chat, client: AsyncOpenAI, streams: bool
) -> None:
    create: Any = client.chat.completions.with_raw_response.create
    reply = await create(
        model=MODEL, messages=HELLO, stream=streams, extra_headers={"X-Request-ID": "my-request-1"}
    )
    assert (reply.request_id, reply.headers["x-request-id"]) == ("my-request-1", "my-request-1")
    parsed = reply.parse()
    completion_id = (await anext(parsed) if streams else parsed).id
    generation_id = reply.headers["X-Generation-Id"]
    assert completion_id == "chatcmpl-" + generation_id.removeprefix("gen_")
    if streams:
        assert [chunk async for chunk in parsed]
    else:
        assert parsed._request_id == "my-request-1"
    assert (await chat.get(f"/api/chat/generations/{generation_id}"))["status"] == "completed"


async def test_all_roles_and_a_history_of_tools_reach_the_model_as_they_were_sent(
    client: AsyncOpenAI, model: Upstream
) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1'}}
    messages: Any = [
        {"role": "system", "content": "Be brief. ½😀"},
        {"role": "developer", "content": "Be kind.", "name": "us"},
        {"role": "user", "content": "Add.", "name": "ada"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": "2", "tool_call_id": "call_1"},
        {"role": "assistant", "content": "It is 2.", "tool_calls": [{**call, "id": "call_2"}]},
        {"role": "tool", "content": "", "tool_call_id": "call_2"},
        {
            "role": "assistant",
            "content": None,
            "function_call": {"name": "add", "arguments": "{}"},
        },
        {"role": "function", "content": "4", "name": "add"},
        {"role": "user", "content": "  And now?\n"},
    ]
    await client.chat.completions.create(model=MODEL, messages=messages)
    [asked] = model.calls
    assert asked.body["messages"] == messages


async def test_parts_of_a_content_reach_the_model_as_its_text(
    client: AsyncOpenAI, model: Upstream
) -> None:
    messages: Any = [
        {"role": "system", "content": [{"type": "text", "text": "Be brief."}]},
        {"role": "user", "content": [{"type": "text", "text": each} for each in PIECES]},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
        {"role": "user", "content": [{"type": "text", "text": "Why?"}]},
    ]
    await client.chat.completions.create(model=MODEL, messages=messages)
    [asked] = model.calls
    assert [each["content"] for each in asked.body["messages"]] == [
        "Be brief.", TEXT, "No.", "Why?",
    ]  # fmt: skip


async def test_what_shapes_an_answer_reaches_the_model(
    client: AsyncOpenAI, model: Upstream
) -> None:
    wishes: dict[str, Any] = {
        "temperature": 0.5,
        "top_p": 0.9,
        "max_tokens": 100,
        "max_completion_tokens": 90,
        "stop": ["\n\n", "END"],
        "seed": -7,
        "presence_penalty": 1.5,
        "frequency_penalty": -1.5,
        "logit_bias": {"50256": -100},
        "reasoning_effort": "low",
        "verbosity": "low",
        "response_format": {"type": "json_object"},
        "user": "ada",
    }
    aside: dict[str, Any] = {"metadata": {"for": "a test"}, "store": False, "n": 1}
    await client.chat.completions.create(model=MODEL, messages=HELLO, **wishes, **aside)
    [asked] = model.calls
    assert {name: asked.body[name] for name in wishes} == wishes
    assert asked.body.keys() & aside.keys() == set()


async def test_an_answer_is_parsed_into_the_type_that_the_client_wants(
    client: AsyncOpenAI, model: Upstream
) -> None:
    """The one helper that sends a schema."""
    from pydantic import BaseModel

    class Sum(BaseModel):
        total: int

    async def answer(call: Any) -> None:
        await call.begin()
        await call.chunk('{"total": 3}')
        await call.finish()
        await call.done()

    model.answers(answer)
    completion = await client.chat.completions.parse(
        model=MODEL, messages=HELLO, response_format=Sum
    )
    assert completion.choices[0].message.parsed == Sum(total=3)
    assert model.calls[0].body["response_format"]["json_schema"]["name"] == "Sum"
