"""Chat completions as OpenAI's clients ask for them."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest

from application.events import Chunk, Reasoning, Reset, Snapshot, Start
from application.ports import Finish, ReasoningPiece, TextPiece
from domain.errors import InvalidInput, ModelRateLimited, ModelTimedOut
from domain.generation import GenerationStatus
from domain.identifiers import GenerationId
from domain.message import Role, Usage
from domain.prompt import FunctionCall, Options, PromptMessage, ToolCall
from interface.dialects.chat_body import ChatCompletionBody
from interface.heartbeats import HEARTBEAT_SECONDS
from interface.wire.request_bodies import parse_body
from tests.builders import GENERATION, claim
from tests.fakes import says
from tests.interface.clients import EventSource, Json, event_source
from tests.interface.conftest import NothingIsLeft
from tests.interface.doors import Doors, Running

PATH = "/v1/chat/completions"
WHY: list[Json] = [{"role": "user", "content": "why?"}]


def ask(
    http: httpx.AsyncClient, key: str | None = None, **body: Any
) -> "asyncio.Task[httpx.Response]":
    """A request that waits for its answer."""
    headers = {"X-Request-ID": "request-42"} | ({"Idempotency-Key": key} if key else {})
    return asyncio.create_task(http.post(PATH, json={"messages": WHY, **body}, headers=headers))


async def answered(doors: Doors, http: httpx.AsyncClient, **body: Any) -> httpx.Response:
    asking = ask(http, **body)
    await doors.answer(await doors.queue.heard())
    return await asking


@asynccontextmanager
async def streaming(
    doors: Doors, key: str | None = None, **body: object
) -> AsyncIterator[EventSource]:
    headers = {"Idempotency-Key": key} if key else {}
    said: Json = {"messages": WHY, "stream": True, **body}
    async with event_source(doors.app, PATH, "", headers, "POST", body=said) as stream:
        yield stream


def fields(block: str) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in block.split("\n") if line != ":")


async def chunks(stream: EventSource) -> list[Json]:
    """All that is told, up to `[DONE]` or an error; nothing may follow."""
    told: list[Json] = []
    while (block := await stream.block()) is not None:
        said = fields(block)["data"]
        told.append({"done": True} if said == "[DONE]" else json.loads(said))
    return told


def text_of(told: list[Json]) -> str:
    choices = [choice for chunk in told for choice in chunk.get("choices", [])]
    return "".join(choice["delta"].get("content", "") for choice in choices)


def error_of(reply: httpx.Response, status: int) -> Json:
    assert reply.status_code == status
    assert reply.headers["content-type"] == "application/json"
    assert reply.json().keys() == {"error"}
    error: Json = reply.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    return error


async def running(doors: Doors) -> Running:
    """What was asked last, claimed: the test writes its events."""
    generation = await claim(doors.database, await doors.queue.heard())
    assert generation is not None
    return Running(generation.id, doors.stream.writer(generation.session_id, generation.fence))


# Whole


async def test_an_answer_has_the_shape_that_clients_know(
    doors: Doors, http: httpx.AsyncClient
) -> None:
    reply = await answered(doors, http, model="scripted")
    generation_id = reply.headers["x-generation-id"]
    said = reply.json()
    created = doors.database.state.rows[GenerationId(generation_id)].generation.created_at
    assert said == {
        "id": generation_id.replace("gen_", "chatcmpl-"),
        "object": "chat.completion",
        "created": int(created.timestamp()),
        "model": "scripted",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hello there", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
    }


async def test_without_a_model_the_default_one_answers(
    doors: Doors, http: httpx.AsyncClient
) -> None:
    assert (await answered(doors, http)).json()["model"] == "scripted"


async def test_why_it_ended_is_told(doors: Doors, http: httpx.AsyncClient) -> None:
    doors.model.script = says(TextPiece("Hel"), Finish("length", None))
    said = (await answered(doors, http)).json()
    assert (said["choices"][0]["finish_reason"], said["usage"]) == ("length", None)


async def test_the_model_is_given_the_conversation_and_nothing_else(
    doors: Doors, http: httpx.AsyncClient
) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    parts = [{"type": "text", "text": "Wh"}, {"type": "text", "text": "y?", "extra": 1}]
    await answered(
        doors,
        http,
        messages=[
            {"role": "system", "content": "Be brief."},
            {"role": "developer", "content": "Be kind."},
            {"role": "user", "content": parts, "name": "ada"},
            {"role": "assistant", "content": None, "tool_calls": [call], "refusal": None},
            {"role": "tool", "content": "21", "tool_call_id": "call_1"},
            {"role": "assistant", "function_call": {"name": "g", "arguments": "[]"}, "audio": None},
            {"role": "function", "content": "22", "name": "g"},
        ],
    )
    [prompt] = doors.model.prompts
    assert prompt.messages == (
        PromptMessage(Role.SYSTEM, "Be brief."),
        PromptMessage(Role.DEVELOPER, "Be kind."),
        PromptMessage(Role.USER, "Why?", name="ada"),
        PromptMessage(
            Role.ASSISTANT, "", tool_calls=(ToolCall("call_1", FunctionCall("f", "{}")),)
        ),
        PromptMessage(Role.TOOL, "21", tool_call_id="call_1"),
        PromptMessage(Role.ASSISTANT, "", function_call=FunctionCall("g", "[]")),
        PromptMessage(Role.FUNCTION, "22", name="g"),
    )
    assert prompt.question == "Why?"


async def test_options_reach_the_model(doors: Doors, http: httpx.AsyncClient) -> None:
    options = {
        "temperature": 0,
        "top_p": 0.5,
        "max_tokens": 7,
        "max_completion_tokens": 8,
        "seed": -1,
        "presence_penalty": -2,
        "frequency_penalty": 2.0,
        "logit_bias": {"50256": -100},
        "reasoning_effort": "low",
        "verbosity": "high",
        "response_format": {"type": "json_object"},
        "user": "ada",
    }
    await answered(doors, http, **options, stop=["a", "b"])
    await answered(doors, http, stop="a")
    first, second = (prompt.options for prompt in doors.model.prompts)
    assert first.given == {**options, "stop": ("a", "b")}
    assert second == Options(stop=("a",))


async def test_what_clients_send_along_without_meaning_it_is_taken(
    doors: Doors, http: httpx.AsyncClient
) -> None:
    reply = await answered(
        doors,
        http,
        **dict.fromkeys(("temperature", "stop", "stream", "stream_options", "tools", "n", "user")),
        store=True,
        service_tier="auto",
        parallel_tool_calls=True,
        functions=[],
        logprobs=False,
        tool_choice="none",
        modalities=["text"],
        metadata={"run": "7"},
    )
    assert reply.status_code == 200


async def test_it_is_in_no_list_and_takes_no_message(doors: Doors, http: httpx.AsyncClient) -> None:
    generation_id = (await answered(doors, http)).headers["x-generation-id"]
    assert (await http.get("/api/chat/sessions")).json()["items"] == []
    kept = (await http.get(f"/api/chat/generations/{generation_id}")).json()
    assert (kept["status"], kept["text"]) == ("completed", "Hello there")
    session = f"/api/chat/sessions/{kept['session_id']}"
    assert (await http.get(session)).status_code == 200
    refused = await http.post(f"{session}/messages", json={"message": "and how?"})
    assert (refused.status_code, refused.json()["code"]) == (409, "session_closed")
    refused = await http.post(f"{session}/regenerate", json={})
    assert (refused.status_code, refused.json()["code"]) == (409, "session_closed")


async def test_a_repeat_under_its_key_gets_the_same_answer(
    doors: Doors, http: httpx.AsyncClient
) -> None:
    asking = [ask(http, key="key") for _ in range(3)]
    await doors.answer(await doors.queue.heard())
    first, *others = [(await each).json() for each in asking]
    assert others == [first, first]
    assert len(doors.model.prompts) == 1
    other = await ask(http, key="key", temperature=1)
    assert error_of(other, 422)["code"] == "idempotency_conflict"


async def test_a_failure_is_told_and_not_asked_for_again(
    doors: Doors, http: httpx.AsyncClient
) -> None:
    doors.model.script = says(TextPiece("Hel"), then=ModelTimedOut("It took too long."))
    reply = await answered(doors, http)
    assert error_of(reply, 504) == {
        "message": "It took too long.",
        "type": "server_error",
        "param": None,
        "code": "upstream_timeout",
    }
    assert reply.headers["x-should-retry"] == "false"
    assert reply.headers["x-generation-id"].startswith("gen_")


async def test_what_may_go_well_later_is_asked_for_again(
    doors: Doors, http: httpx.AsyncClient
) -> None:
    doors.model.script = says(then=ModelRateLimited("Later."))
    reply = await answered(doors, http)
    assert error_of(reply, 503)["code"] == "upstream_rate_limited"
    assert "x-should-retry" not in reply.headers
    assert int(reply.headers["retry-after"]) > 0


async def test_an_answer_that_takes_too_long_goes_on(http: httpx.AsyncClient) -> None:
    doors = Doors(sync_timeout=0.01)
    transport = httpx.ASGITransport(doors.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://chat") as hasty:
        reply = await ask(hasty)
        assert error_of(reply, 504)["code"] == "answer_pending"
        assert reply.headers["x-should-retry"] == "false"
        await doors.answer(await doors.queue.heard())
        kept = await hasty.get(f"/api/chat/generations/{reply.headers['x-generation-id']}")
        assert kept.json()["text"] == "Hello there"
    doors.stream.close()


async def test_an_answer_that_was_stopped_is_none(doors: Doors, http: httpx.AsyncClient) -> None:
    asking = ask(http)
    generation_id = await doors.queue.heard()
    await http.post(f"/api/chat/generations/{generation_id}/cancel")
    assert error_of(await asking, 409)["code"] == "answer_stopped"


# Refused


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": "why?"}, "messages"),
        ({"messages": [{"role": "user", "content": 7}]}, "messages[0].content"),
        ({"messages": [{"role": "nobody", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": "a\x00b"}]}, "messages[0].content"),
        ({"temperature": 2.1}, "temperature"),
        ({"stop": 7}, "stop"),
        ({"stop": ["a", ""]}, "stop[1]"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
        ({"temperature": "warm"}, "temperature"),
        ({"top_p": -1}, "top_p"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"seed": 2**63}, "seed"),
        ({"n": 2}, "n"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
        ({"functions": [{"name": "f"}]}, "functions"),
        ({"logprobs": True}, "logprobs"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"modalities": ["text", "audio"]}, "modalities[1]"),
        ({"stream_options": {"include_usages": True}}, "stream_options.include_usages"),
        ({"temprature": 1}, "temprature"),
        ({"stream": "yes"}, "stream"),
        ({"metadata": {"a": 1}}, "metadata.a"),
    ],
)
async def test_what_is_wrong_is_named(
    doors: Doors, http: httpx.AsyncClient, body: Json, param: str
) -> None:
    before = doors.database.state
    error = error_of(await ask(http, **body), 400)
    assert (error["type"], error["code"]) == ("invalid_request_error", "invalid_request")
    assert error["param"] == param
    assert error["message"].startswith(f"{param}: ")
    assert doors.database.state.calls == before.calls == {}
    assert doors.queue.requests == []


async def test_pictures_are_refused_and_not_left_out(http: httpx.AsyncClient) -> None:
    picture = {"type": "image_url", "image_url": {"url": "http://127.0.0.1/x.png"}}
    error = error_of(await ask(http, messages=[{"role": "user", "content": [picture]}]), 400)
    assert "messages[0].content" in error["param"]


async def test_a_body_that_is_no_json_is_refused(http: httpx.AsyncClient) -> None:
    reply = await http.post(PATH, content=b"{")
    assert error_of(reply, 400)["code"] == "invalid_request"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"model": ""}, "String should have at least 1 character"),
        ({"user": "x" * 513}, "String should have at most 512 characters"),
        ({"metadata": {"x" * 65: ""}}, "String should have at most 64 characters"),
        ({"stop": ["x"] * 5}, "List should have at most 4 items"),
        ({"messages": []}, "List should have at least 1 item"),
        ({"metadata": {str(n): "" for n in range(17)}}, "Object should have at most 16 fields"),
    ],
)
def test_it_is_said_of_what_there_is_too_much_or_too_little(given: Json, said: str) -> None:
    body = {"messages": WHY, **given}
    with pytest.raises(InvalidInput) as refused:
        parse_body(ChatCompletionBody, json.dumps(body).encode())
    assert [flaw.message for flaw in refused.value.flaws] == [said]


@pytest.mark.parametrize("number", ["1e999", "-1e999", "NaN", "Infinity"])
@pytest.mark.parametrize("field", ["temperature", "top_p", "presence_penalty", "logit_bias"])
def test_no_number_is_taken_that_can_not_be_kept(field: str, number: str) -> None:
    """JSON has no word for it, so no worker could read the call: it would be tried for ever."""
    given = f'{{"50256": {number}}}' if field == "logit_bias" else number
    body = f'{{"messages": [{{"role": "user", "content": "why?"}}], "{field}": {given}}}'
    with pytest.raises(InvalidInput) as refused:
        parse_body(ChatCompletionBody, body.encode())
    assert refused.value.flaws[0].pointer.startswith(f"/{field}")


@pytest.mark.parametrize("stream", [False, True])
async def test_an_unknown_model_is_not_found(http: httpx.AsyncClient, stream: bool) -> None:
    error = error_of(await ask(http, model="gpt-0", stream=stream), 404)
    assert (error["code"], error["param"]) == ("model_not_found", "model")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", PATH, 405, "method_not_allowed"),
        ("POST", "/v1/nothing", 404, "not_found"),
        ("GET", "/v1/", 404, "not_found"),
        ("GET", "/v1", 404, "not_found"),
        ("GET", "/v1/models/nobody", 404, "model_not_found"),
    ],
)
async def test_every_refusal_under_v1_is_in_its_words(
    http: httpx.AsyncClient, method: str, path: str, status: int, code: str
) -> None:
    reply = await http.request(method, path)
    assert error_of(reply, status)["code"] == code
    assert reply.headers["content-length"] == str(len(reply.content))


async def test_a_body_that_is_too_large_is_refused(http: httpx.AsyncClient) -> None:
    reply = await http.post(PATH, content=b"x" * (1024 * 1024 + 1))
    assert error_of(reply, 413)["code"] == "payload_too_large"


async def test_elsewhere_errors_are_problems(http: httpx.AsyncClient) -> None:
    reply = await http.get("/v1x")
    assert reply.headers["content-type"] == "application/problem+json"


# As a stream


async def test_a_stream_has_the_shape_that_clients_know(doors: Doors) -> None:
    async with streaming(doors) as stream:
        assert stream.headers["content-type"] == "text/event-stream; charset=utf-8"
        generation_id = await doors.queue.heard()
        assert stream.headers["x-generation-id"] == generation_id
        await doors.answer(generation_id)
        *told, done = await chunks(stream)
    assert done == {"done": True}
    assert {chunk["id"] for chunk in told} == {generation_id.replace("gen_", "chatcmpl-")}
    assert {chunk["object"] for chunk in told} == {"chat.completion.chunk"}
    assert {chunk["model"] for chunk in told} == {"scripted"}
    assert len({chunk["created"] for chunk in told}) == 1
    assert all("usage" not in chunk for chunk in told)
    [choices] = zip(*(chunk["choices"] for chunk in told), strict=True)
    assert [choice["delta"] for choice in choices] == [
        {"role": "assistant", "content": ""},
        {"content": "Hello"},
        {"content": " there"},
        {},
    ]
    assert [choice["finish_reason"] for choice in choices] == [None, None, None, "stop"]


async def test_why_it_ended_is_told_in_the_last_chunk(doors: Doors) -> None:
    doors.model.script = says(TextPiece("Hel"), Finish("length", None))
    async with streaming(doors) as stream:
        await doors.answer(await doors.queue.heard())
        *_, last, _ = await chunks(stream)
    assert last["choices"][0]["finish_reason"] == "length"


async def test_what_it_cost_is_told_to_who_asks(doors: Doors) -> None:
    async with streaming(doors, stream_options={"include_usage": True}) as stream:
        await doors.answer(await doors.queue.heard())
        *told, counted, _ = await chunks(stream)
    assert {chunk["usage"] for chunk in told} == {None}
    assert counted["choices"] == []
    assert counted["usage"] == {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


async def test_reasoning_is_told_beside_the_text(doors: Doors) -> None:
    doors.model.script = says(ReasoningPiece("Hm"), TextPiece("Hi"), Finish("stop", None))
    async with streaming(doors) as stream:
        await doors.answer(await doors.queue.heard())
        told = await chunks(stream)
    deltas = [chunk["choices"][0]["delta"] for chunk in told[:-1]]
    assert deltas[1:3] == [{"reasoning_content": "Hm"}, {"content": "Hi"}]


async def test_a_stream_that_was_cut_is_taken_up_at_the_generation(doors: Doors) -> None:
    """The last id says how far the client has come, in the protocol's own stream."""
    async with streaming(doors) as stream:
        generation_id = await doors.queue.heard()
        await doors.answer(generation_id)
        said = ""
        last = None
        while "there" not in said:
            block = await stream.block()
            assert block is not None
            read = fields(block)
            last = read.get("id", last)
            if "data" in read:
                said += text_of([json.loads(read["data"])])
            if last is not None and said == "Hello":
                break
    path = f"/api/chat/generations/{generation_id}/stream"
    async with event_source(doors.app, path, headers={"Last-Event-ID": str(last)}) as rest:
        events = await rest.rest()
    assert [event["chunk"] for event in events] == [" there", ""]


async def test_each_event_is_heard_whole_before_its_id(doors: Doors) -> None:
    async with streaming(doors, stream_options={"include_usage": True}) as stream:
        await doors.answer(await doors.queue.heard())
        blocks = []
        while (block := await stream.block()) is not None:
            blocks.append(fields(block))
    assert [block.get("id") for block in blocks] == ["1-0", "1-1", "1-2", None, None, "1-3"]
    assert blocks[-1]["data"] == "[DONE]"


async def test_what_is_silent_ends_no_event(doors: Doors) -> None:
    """OpenAI's client for Python takes any empty line for the end of an event once there was an id,
    and fails over one without data."""
    async with streaming(doors) as stream:
        answer = await running(doors)
        answer.writer.write(Chunk(answer.generation_id, "Hello"))
        said: list[str] = []
        while "Hello" not in "".join(said):
            said.append(await stream.block() or "")
        for _ in range(HEARTBEAT_SECONDS):
            await doors.heartbeats.beat()
        assert (await stream.connection.told())["body"] == b":\n"
        answer.writer.write(Chunk(answer.generation_id, " there"))
        after = await stream.block()
    assert after is not None
    assert text_of([json.loads(fields(after)["data"])]) == " there"


async def test_a_repeat_under_its_key_streams_the_same_answer(doors: Doors) -> None:
    async with streaming(doors, key="key") as first, streaming(doors, key="key") as second:
        await doors.answer(await doors.queue.heard())
        told = [await chunks(first), await chunks(second)]
    async with streaming(doors, key="key") as third:
        told.append(await chunks(third))
    assert [text_of(each) for each in told] == ["Hello there"] * 3
    assert [each[-1] for each in told] == [{"done": True}] * 3
    assert len(doors.model.prompts) == 1


async def test_a_failure_ends_the_stream_with_an_error(doors: Doors) -> None:
    doors.model.script = says(TextPiece("Hel"), then=ModelTimedOut("It took too long."))
    async with streaming(doors) as stream:
        await doors.answer(await doors.queue.heard())
        told = await chunks(stream)
    assert text_of(told[:-1]) == "Hel"
    assert told[-1]["error"]["code"] == "upstream_timeout"


@pytest.mark.parametrize("database_is_away", [False, True])
async def test_a_stream_that_ends_before_its_answer_says_so(
    doors: Doors, nothing_is_left: NothingIsLeft, database_is_away: bool
) -> None:
    """Clients would take what came for the whole of it."""
    async with streaming(doors) as stream:
        await doors.queue.heard()
        if database_is_away:
            doors.database.away = 1
            for following in doors.followers:
                following.compare(None)
        else:
            doors.followers.end()
        told = await chunks(stream)
    assert [each["error"]["code"] for each in told] == ["answer_pending"]
    await nothing_is_left()


async def test_a_stop_ends_the_stream_with_an_error(doors: Doors, http: httpx.AsyncClient) -> None:
    async with streaming(doors) as stream:
        generation_id = await doors.queue.heard()
        await http.post(f"/api/chat/generations/{generation_id}/cancel")
        told = await chunks(stream)
    assert [each["error"]["code"] for each in told] == ["answer_stopped"]


async def test_a_session_that_is_deleted_ends_the_stream_with_an_error(doors: Doors) -> None:
    async with streaming(doors) as stream:
        generation_id = await doors.queue.heard()
        doors.delete(doors.database.state.rows[generation_id].generation.session_id)
        await doors.watch()
        assert [each["error"]["code"] for each in await chunks(stream)] == ["session_not_found"]


async def test_who_leaves_does_not_stop_the_answer(
    doors: Doors, nothing_is_left: NothingIsLeft
) -> None:
    async with streaming(doors) as stream:
        generation_id = await doors.queue.heard()
        stream.leave()
        await stream.connection.ended()
    await doors.answer(generation_id)
    row = doors.database.state.rows[generation_id]
    assert row.generation.status is GenerationStatus.COMPLETED
    await nothing_is_left()


# Begun again


async def test_an_answer_that_is_begun_again_is_told_once(doors: Doors) -> None:
    async with streaming(doors) as stream:
        answer = await running(doors)
        which = answer.generation_id
        events: list[Any] = [
            Start(which, 1, "scripted", "why?"),
            Reasoning(which, "Hm"),
            Chunk(which, "Hello"),
            Reset(which, 2, "scripted", "why?", "worker_lost"),
            Reasoning(which, "Hmm"),
            Chunk(which, "Hel"),
            Chunk(which, "lo there"),
            Snapshot(which, 2, "Hello there, you", "Hmm"),
        ]
        for event in events:
            answer.writer.write(event)
        said = ""
        while not said.endswith("you"):
            block = await stream.block()
            assert block is not None
            said += text_of([json.loads(fields(block)["data"])])
    assert said == "Hello there, you"


@pytest.mark.parametrize(
    ("again", "told"),
    [
        ([Reasoning(GENERATION, "Hm"), Reasoning(GENERATION, "m")], "Hmm"),
        ([Reasoning(GENERATION, "Oh"), Reasoning(GENERATION, "m")], "Hm"),
        ([Snapshot(GENERATION, 2, "", "Hmm"), Reasoning(GENERATION, "!")], "Hmm!"),
        ([Snapshot(GENERATION, 2, "", "Oh"), Reasoning(GENERATION, "!")], "Hm"),
    ],
)
async def test_reasoning_that_is_begun_again_is_told_as_far_as_it_fits(
    doors: Doors, again: list[Any], told: str
) -> None:
    async with streaming(doors) as stream:
        answer = await running(doors)
        which = answer.generation_id
        for event in (
            Start(which, 1, "scripted", "why?"),
            Reasoning(which, "Hm"),
            Reset(which, 2, "scripted", "why?", "worker_lost"),
            *(replace(event, generation_id=which) for event in again),
            Chunk(which, "Hi"),
        ):
            answer.writer.write(event)
        reasoned, said = "", ""
        while said != "Hi":
            block = await stream.block()
            assert block is not None
            read = fields(block)
            deltas = [json.loads(read["data"])["choices"][0]["delta"]] if "data" in read else []
            reasoned += "".join(delta.get("reasoning_content", "") for delta in deltas)
            said += "".join(delta.get("content", "") for delta in deltas)
    assert reasoned == told


async def test_another_text_can_not_be_told_after_it(doors: Doors) -> None:
    async with streaming(doors) as stream:
        answer = await running(doors)
        which = answer.generation_id
        for event in (
            Start(which, 1, "scripted", "why?"),
            Chunk(which, "Hello"),
            Reset(which, 2, "scripted", "why?", "worker_lost"),
            Chunk(which, "Help"),
        ):
            answer.writer.write(event)
        told = await chunks(stream)
    assert text_of(told[:-1]) == "Hello"
    assert told[-1]["error"]["code"] == "answer_restarted"
    assert which in told[-1]["error"]["message"]


# Models


async def test_models_are_listed_as_clients_know_them(http: httpx.AsyncClient) -> None:
    said = (await http.get("/v1/models")).json()
    assert said["object"] == "list"
    scripted = {"id": "scripted", "object": "model", "created": 0, "owned_by": "simulated"}
    assert scripted in said["data"]
    assert (await http.get("/v1/models/scripted")).json() == scripted


async def test_a_models_name_may_have_slashes(doors: Doors, http: httpx.AsyncClient) -> None:
    new = {"name": "x", "model_name": "meta/llama/3", "base_url": "http://x", "api_key": ""}
    await http.post("/api/user/apis", json=new)
    assert (await http.get("/v1/models/meta/llama/3")).json()["id"] == "meta/llama/3"
    await answered(doors, http, model="meta/llama/3")


async def test_usage_counts_what_the_model_counted(doors: Doors, http: httpx.AsyncClient) -> None:
    doors.model.script = says(Finish("stop", Usage(11, 0)))
    said = (await answered(doors, http)).json()
    assert said["usage"] == {"prompt_tokens": 11, "completion_tokens": 0, "total_tokens": 11}
    assert said["choices"][0]["message"]["content"] == ""
