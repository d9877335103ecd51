"""OpenAI's responses, from the outside."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from application.events import Chunk, Reasoning, Reset
from application.ports import Finish, Piece, Request, TextPiece
from domain.call import MAX_PROMPT_BYTES
from domain.errors import ModelRateLimited
from domain.generation import GenerationStatus
from domain.identifiers import GenerationId
from domain.message import Role, Usage
from domain.prompt import FunctionCall, Options, PromptMessage, ToolCall
from interface.heartbeats import HEARTBEAT_SECONDS
from tests.builders import claim
from tests.fakes import FakeDatabase
from tests.interface.clients import PATIENCE_SECONDS, EventSource, Json, event_source
from tests.interface.conftest import client_of
from tests.interface.doors import Doors, HeardQueue

SYSTEM, USER, ASSISTANT = Role.SYSTEM, Role.USER, Role.ASSISTANT


async def ask(doors: Doors, http: httpx.AsyncClient, **body: Any) -> Json:
    """A response, once a worker has answered it."""
    asking = asyncio.create_task(http.post("/v1/responses", json={"input": "why?", **body}))
    await doors.answer(await doors.queue.heard())
    reply = await asking
    assert reply.status_code == 200, reply.text
    said: Json = reply.json()
    return said


async def begin(doors: Doors, http: httpx.AsyncClient, **body: Any) -> tuple[Json, GenerationId]:
    """One in the background, which nobody answers yet."""
    reply = await http.post("/v1/responses", json={"input": "why?", "background": True, **body})
    assert reply.status_code == 200, reply.text
    return reply.json(), await doors.queue.heard()


async def refused(http: httpx.AsyncClient, **body: Any) -> Json:
    reply = await http.post("/v1/responses", json=body)
    assert reply.status_code == 400, reply.text
    error: Json = reply.json()["error"]
    return error


def assert_missing(reply: httpx.Response) -> None:
    assert reply.status_code == 404
    assert reply.json()["error"]["code"] == "generation_not_found"


class Events:
    """Of a stream, by what stands in its blocks."""

    def __init__(self, blocks: EventSource) -> None:
        self.headers = blocks.headers
        self._blocks = blocks

    async def next(self) -> Json | None:
        if (block := await self._blocks.block()) is None:
            return None
        kind, data = [line for line in block.split("\n") if line != ":"]
        said: Json = json.loads(data.removeprefix("data: "))
        assert kind == f"event: {said['type']}"
        return said

    async def bytes(self) -> bytes:
        """The next that are written, with all that was written before read already."""
        told: bytes = (await self._blocks.connection.told())["body"]
        return told

    async def until(self, kind: str) -> list[Json]:
        heard: list[Json] = []
        while (event := await self.next()) is not None:
            heard.append(event)
            if event["type"] == kind:
                break
        return heard

    async def rest(self) -> list[Json]:
        return await self.until("the end")


@asynccontextmanager
async def posted(doors: Doors, **body: Any) -> AsyncIterator[Events]:
    said = {"input": "why?", "stream": True, **body}
    async with event_source(doors.app, "/v1/responses", method="POST", body=said) as blocks:
        yield Events(blocks)


@asynccontextmanager
async def taken_up(
    doors: Doors, response_id: str, after: int | None = None
) -> AsyncIterator[Events]:
    query = "stream=true" if after is None else f"stream=true&starting_after={after}"
    async with event_source(doors.app, f"/v1/responses/{response_id}", query) as blocks:
        yield Events(blocks)


def kinds(events: list[Json]) -> list[str]:
    return [event["type"].removeprefix("response.") for event in events]


def text_of(events: list[Json]) -> str:
    return "".join(event.get("delta", "") for event in events)


# Whole


async def test_a_response_has_all_that_openais_has(doors: Doors, http: httpx.AsyncClient) -> None:
    said = await ask(
        doors,
        http,
        model="other",
        instructions="Be brief.",
        metadata={"a": "b"},
        temperature=0.5,
        top_p=0.25,
        max_output_tokens=7,
        reasoning={"effort": "low"},
        text={"verbosity": "high"},
        user="ada",
    )
    created, completed = said.pop("created_at"), said.pop("completed_at")
    assert isinstance(created, int)
    assert completed >= created
    assert said == {
        "id": "resp_2",
        "object": "response",
        "status": "completed",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": "Be brief.",
        "max_output_tokens": 7,
        "metadata": {"a": "b"},
        "model": "other",
        "output": [
            {
                "id": "msg_2",
                "type": "message",
                "role": "assistant",
                "status": "completed",
                "content": [
                    {
                        "type": "output_text",
                        "text": "Hello there",
                        "annotations": [],
                        "logprobs": [],
                    }
                ],
            }
        ],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": "low", "summary": None},
        "store": True,
        "temperature": 0.5,
        "text": {"format": {"type": "text"}, "verbosity": "high"},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 0.25,
        "truncation": "disabled",
        "usage": {
            "input_tokens": 3,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": 2,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 5,
        },
        "user": "ada",
    }
    (prompt,) = doors.model.prompts
    assert prompt.messages == (PromptMessage(SYSTEM, "Be brief."), PromptMessage(USER, "why?"))
    assert prompt.options == Options(
        temperature=0.5,
        top_p=0.25,
        max_completion_tokens=7,
        reasoning_effort="low",
        verbosity="high",
        user="ada",
    )


async def test_what_is_retrieved_is_what_was_answered(
    doors: Doors, http: httpx.AsyncClient
) -> None:
    said = await ask(doors, http)
    assert (await http.get(f"/v1/responses/{said['id']}")).json() == said


async def test_the_generation_is_named_in_a_header(doors: Doors, http: httpx.AsyncClient) -> None:
    reply = await http.post("/v1/responses", json={"input": "why?", "background": True})
    name = reply.headers["x-generation-id"]
    assert reply.json()["id"] == name.replace("gen_", "resp_")
    assert (await http.get(f"/api/chat/generations/{name}")).status_code == 200


async def test_a_repeat_under_its_key_is_the_same_response(
    doors: Doors, http: httpx.AsyncClient
) -> None:
    headers = {"Idempotency-Key": "key"}
    body = {"input": "why?", "background": True}
    first = await http.post("/v1/responses", json=body, headers=headers)
    again = await http.post("/v1/responses", json=body, headers=headers)
    assert again.json() == first.json()
    assert len(doors.queue.requests) == 1
    other = await http.post("/v1/responses", json={**body, "input": "how?"}, headers=headers)
    assert other.json()["error"]["code"] == "idempotency_conflict"


async def test_a_repeat_needs_not_what_it_went_on_from(
    doors: Doors, http: httpx.AsyncClient
) -> None:
    first, other = (await ask(doors, http))["id"], (await ask(doors, http))["id"]
    headers = {"Idempotency-Key": "key"}
    body = {"input": "how?", "background": True, "previous_response_id": first}
    went_on = await http.post("/v1/responses", json=body, headers=headers)
    await http.delete(f"/v1/responses/{first}")
    again = await http.post("/v1/responses", json=body, headers=headers)
    assert again.json() == went_on.json()
    body["previous_response_id"] = other
    differs = await http.post("/v1/responses", json=body, headers=headers)
    assert differs.json()["error"]["code"] == "idempotency_conflict"


async def test_a_json_schema_is_flat_here_and_nested_for_the_model(
    doors: Doors, http: httpx.AsyncClient
) -> None:
    flat = {"type": "json_schema", "name": "x", "schema": {"type": "object"}, "strict": True}
    said = await ask(doors, http, text={"format": flat})
    assert said["text"] == {"format": flat}
    assert doors.model.prompts[0].options.response_format == {
        "type": "json_schema",
        "json_schema": {"name": "x", "schema": {"type": "object"}, "strict": True},
    }


async def test_items_of_all_kinds_reach_the_model(doors: Doors, http: httpx.AsyncClient) -> None:
    earlier = await ask(doors, http)
    doors.model.prompts.clear()
    await ask(
        doors,
        http,
        input=[
            {"role": "developer", "content": "Be brief."},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "a"}]},
            *earlier["output"],
            {"type": "reasoning", "id": "rs_1", "summary": []},
            {"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}", "id": "fc"},
            {"type": "function_call", "call_id": "2", "name": "g", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "1", "output": "one"},
            {
                "type": "function_call_output",
                "call_id": "2",
                "output": [{"type": "input_text", "text": "two"}],
            },
            {"role": "user", "content": "why?", "type": None},
        ],
    )
    calls = (ToolCall("1", FunctionCall("f", "{}")), ToolCall("2", FunctionCall("g", "{}")))
    assert doors.model.prompts[0].messages == (
        PromptMessage(Role.DEVELOPER, "Be brief."),
        PromptMessage(USER, "a"),
        PromptMessage(ASSISTANT, "Hello there"),
        PromptMessage(ASSISTANT, "", tool_calls=calls),
        PromptMessage(Role.TOOL, "one", tool_call_id="1"),
        PromptMessage(Role.TOOL, "two", tool_call_id="2"),
        PromptMessage(USER, "why?"),
    )


@pytest.mark.parametrize(
    ("reason", "status", "detail"),
    [
        ("length", "incomplete", "max_output_tokens"),
        ("content_filter", "incomplete", "content_filter"),
        ("stop", "completed", None),
        ("tool_calls", "completed", None),
    ],
)
async def test_why_it_finished_is_told_in_openais_words(
    doors: Doors, http: httpx.AsyncClient, reason: str, status: str, detail: str | None
) -> None:
    async def script(_: object) -> AsyncGenerator[Piece, None]:
        yield TextPiece("so")
        yield Finish(reason, Usage(1, 1))

    doors.model.script = script
    said = await ask(doors, http)
    assert said["status"] == said["output"][0]["status"] == status
    assert said["incomplete_details"] == (detail and {"reason": detail})
    assert (said["completed_at"] is None) is (status == "incomplete")


async def test_one_that_failed_is_no_refusal_and_keeps_its_text(
    doors: Doors, http: httpx.AsyncClient
) -> None:
    async def script(_: object) -> AsyncGenerator[Piece, None]:
        yield TextPiece("so")
        raise ModelRateLimited("Later.")

    doors.model.script = script
    said = await ask(doors, http)
    assert said["status"] == "failed"
    assert said["error"] == {
        "code": "rate_limit_exceeded",
        "message": "Later.",
        "param": None,
        "type": "upstream_rate_limited",
    }
    assert said["output"][0]["content"][0]["text"] == "so"
    assert said["output"][0]["status"] == "incomplete"


async def test_an_answer_that_takes_too_long_goes_on() -> None:
    doors = Doors(sync_timeout=0.01)
    async with client_of(doors) as hurried:
        reply = await hurried.post("/v1/responses", json={"input": "why?"})
        assert (reply.status_code, reply.headers["x-should-retry"]) == (504, "false")
        name = reply.headers["x-generation-id"]
        await doors.answer(GenerationId(name))
        later = await hurried.get(f"/v1/responses/{name.replace('gen_', 'resp_')}")
    assert later.json()["status"] == "completed"
    doors.stream.close()


class Blinding(HeardQueue):
    """The database is away for a moment once something was accepted."""

    database: FakeDatabase

    async def put(self, request: Request) -> None:
        await super().put(request)
        self.database.away = 1


@pytest.mark.parametrize("how", [{}, {"background": True}, {"stream": True}])
async def test_what_was_accepted_and_can_not_be_told_now_is_answered_all_the_same(
    how: Json,
) -> None:
    doors = Doors(queue=Blinding())
    assert isinstance(doors.queue, Blinding)
    doors.queue.database = doors.database
    async with client_of(doors) as http:
        reply = await http.post("/v1/responses", json={"input": "why?", **how})
        assert (reply.status_code, reply.json()["error"]["code"]) == (504, "answer_pending")
        name = reply.headers["x-generation-id"]
        await doors.answer(GenerationId(name))
        later = await http.get(f"/v1/responses/{name.replace('gen_', 'resp_')}")
    assert later.json()["status"] == "completed"
    doors.stream.close()


# What is refused


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "input"),
        ({"input": []}, "input"),
        ({"input": 5}, "input"),
        ({"input": [{"type": "reasoning", "id": "rs"}]}, "input"),
        ({"input": [{"role": "tool", "content": "x"}]}, "input[0].role"),
        ({"input": [{"role": "user"}]}, "input[0].content"),
        ({"input": [{"content": "x"}]}, "input[0].role"),
        ({"input": [{"type": "function_call", "name": "f"}]}, "input[0].call_id"),
        ({"input": [{"type": "item_reference", "id": "msg"}]}, "input[0].type"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}]},
            "input[0].content[0].type",
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "x"}]}]},
            "input[0].content[0].type",
        ),
        ({"input": "x", "tools": [{"type": "web_search"}]}, "tools"),
        ({"input": "x", "conversation": "conv_1"}, "conversation"),
        ({"input": "x", "prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"input": "x", "tool_choice": "required"}, "tool_choice"),
        ({"input": "x", "top_logprobs": 3}, "top_logprobs"),
        ({"input": "x", "temperature": 3}, "temperature"),
        ({"input": "x", "temperature": "1"}, "temperature"),
        ({"input": "x", "background": True, "store": False}, "background"),
        ({"input": "x", "text": {"format": {"type": "json_schema"}}}, "text.format.name"),
        ({"input": "x", "text": {"format": {"type": "yaml"}}}, "text.format.type"),
        ({"input": "x", "nonsense": 1}, "nonsense"),
        ({"input": "x", "metadata": {"a": 1}}, "metadata.a"),
        ({"input": "a\x00b"}, "input[0].content[0].text"),
    ],
)
async def test_what_can_not_be_done_is_refused_and_names_the_place(
    doors: Doors, http: httpx.AsyncClient, body: Json, param: str
) -> None:
    error = await refused(http, **body)
    assert error["param"] == param
    assert error["type"] == "invalid_request_error"
    assert doors.database.state.calls == {}


async def test_harmless_things_change_nothing(doors: Doors, http: httpx.AsyncClient) -> None:
    await begin(
        doors,
        http,
        tools=[],
        tool_choice="auto",
        include=["message.output_text.logprobs"],
        parallel_tool_calls=False,
        truncation="auto",
        top_logprobs=0,
        prompt_cache_key="x",
        service_tier="auto",
        stream_options={"include_obfuscation": False},
        reasoning={"summary": "auto"},
    )


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("stream=yes", "stream"),
        ("stream=true&starting_after=-1", "starting_after"),
        ("stream=true&starting_after=x", "starting_after"),
        ("stream=true&starting_after=9007199254740992", "starting_after"),
        ("stream=true&starting_after=" + "9" * 5_000, "starting_after"),
    ],
)
async def test_a_place_that_is_none_is_refused(
    doors: Doors, http: httpx.AsyncClient, query: str, param: str
) -> None:
    said = await ask(doors, http)
    reply = await http.get(f"/v1/responses/{said['id']}?{query}")
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, param)
    assert reply.json()["error"]["message"].startswith(f"{param} must be ")


# Who may see it


async def test_what_is_not_to_be_stored_is_answered_and_then_not_there(
    doors: Doors, http: httpx.AsyncClient
) -> None:
    said = await ask(doors, http, store=False)
    assert said["store"] is False
    assert said["output"]
    where = f"/v1/responses/{said['id']}"
    assert_missing(await http.get(where))
    assert_missing(await http.get(f"{where}?stream=true"))
    assert_missing(await http.get(f"{where}/input_items"))
    assert_missing(await http.post(f"{where}/cancel"))
    assert_missing(await http.delete(where))


async def test_how_long_it_is_kept(doors: Doors, http: httpx.AsyncClient) -> None:
    await ask(doors, http)
    await ask(doors, http, store=False)
    kept = [call.kept_seconds for call in doors.database.state.calls.values()]
    assert kept == [30 * 24 * 3600, 3600]


async def test_what_another_dialect_or_the_chat_answered_is_no_response(
    doors: Doors, http: httpx.AsyncClient
) -> None:
    session_id = await doors.session()
    message = await doors.answered(session_id)
    body = {"messages": [{"role": "user", "content": "why?"}], "store": True}
    await doors.queue.heard()
    asking = asyncio.create_task(http.post("/v1/chat/completions", json=body))
    completion = await doors.queue.heard()
    await doors.answer(completion)
    await asking
    for name in (message, completion):
        assert_missing(await http.get(f"/v1/responses/{name.replace('gen_', 'resp_')}"))


@pytest.mark.parametrize("name", ["resp_", "resp_99", "gen_2", "2", "resp_" + "x" * 60, "resp_é"])
async def test_a_name_of_nothing_is_not_found(
    doors: Doors, http: httpx.AsyncClient, name: str
) -> None:
    await ask(doors, http)
    assert_missing(await http.get(f"/v1/responses/{name}"))


async def test_of_two_who_delete_it_at_once_one_hears_that_it_is_not_there(
    doors: Doors, http: httpx.AsyncClient
) -> None:
    where = f"/v1/responses/{(await ask(doors, http))['id']}"
    before = doors.database.reads
    async with doors.database():  # so that both have found it before either has deleted it
        deleting = [asyncio.create_task(http.delete(where)) for _ in range(2)]
        while (doors.database.reads - before, doors.database.open) != (4, 3):  # noqa: ASYNC110
            await asyncio.sleep(0)
    replies = await asyncio.gather(*deleting)
    deleted, missing = sorted(replies, key=lambda reply: reply.status_code)
    assert deleted.status_code == 200
    assert_missing(missing)


async def test_one_that_is_deleted_is_gone_and_its_worker_is_told(
    doors: Doors, http: httpx.AsyncClient
) -> None:
    said, generation_id = await begin(doors, http)
    reply = await http.delete(f"/v1/responses/{said['id']}")
    assert reply.json() == {"id": said["id"], "object": "response", "deleted": True}
    assert_missing(await http.get(f"/v1/responses/{said['id']}"))
    assert_missing(await http.delete(f"/v1/responses/{said['id']}"))
    assert doors.database.state.rows[generation_id].generation.status is GenerationStatus.STOPPED


# Streams


OPENING = ["created", "in_progress", "output_item.added", "content_part.added"]
CLOSING = ["output_text.done", "content_part.done", "output_item.done"]


async def test_a_stream_has_openais_events_in_openais_order(
    doors: Doors, http: httpx.AsyncClient
) -> None:
    async with posted(doors) as events:
        await doors.answer(await doors.queue.heard())
        heard = await events.rest()
    assert kinds(heard) == [
        *OPENING,
        "output_text.delta",
        "output_text.delta",
        *CLOSING,
        "completed",
    ]
    assert text_of(heard) == "Hello there"
    assert heard[-1]["response"] == (await http.get("/v1/responses/resp_2")).json()
    assert heard[-2]["item"] == heard[-1]["response"]["output"][0]
    assert heard[-3]["part"] == heard[-2]["item"]["content"][0]
    assert heard[-4]["text"] == "Hello there"
    first = heard[0]["response"]
    assert (first["status"], first["output"], first["usage"]) == ("in_progress", [], None)
    places = [{e.get("item_id", "msg_2"), e.get("item", {}).get("id", "msg_2")} for e in heard]
    assert places == [{"msg_2"}] * len(heard)
    assert events.headers["x-generation-id"] == "gen_2"


async def test_one_in_the_background_says_that_it_waits(doors: Doors) -> None:
    async with posted(doors, background=True) as events:
        heard = await events.until("response.queued")
        await doors.answer(await doors.queue.heard())
        heard += await events.rest()
    assert kinds(heard)[:3] == ["created", "queued", "in_progress"]
    statuses = [each["response"]["status"] for each in heard if "response" in each]
    assert statuses == ["queued", "queued", "in_progress", "completed"]


async def test_what_is_silent_ends_no_event(doors: Doors) -> None:
    """Nor is there an empty line by itself: some clients take any for the end of an event."""
    async with posted(doors) as events:
        generation = await claim(doors.database, await doors.queue.heard())
        assert generation is not None
        name = generation.id
        writer = doors.stream.writer(generation.session_id, generation.fence)
        writer.write(Chunk(name, "Hello"))
        await events.until("response.output_text.delta")
        for _ in range(HEARTBEAT_SECONDS):
            await doors.heartbeats.beat()
        assert await events.bytes() == b":\n"
        for untold in (
            Reasoning(name, "Hm."),
            Reset(name, 2, "scripted", "why?", "worker_lost"),
            Chunk(name, "Hel"),
        ):
            writer.write(untold)
            assert await events.bytes() == b":\n"
        writer.write(Chunk(name, "lo there"))
        after = await events.next()
        assert after is not None
        assert after["delta"] == " there"
        # and at a place from which there is nothing to tell yet
        async with taken_up(doors, "resp_2", after["sequence_number"]) as rest:
            assert await rest.bytes() == b":\n"


async def test_a_client_that_leaves_stops_nothing_and_is_told_the_rest(doors: Doors) -> None:
    async with posted(doors) as events:
        (first,) = await events.until("response.created")
    await doors.answer(await doors.queue.heard())
    name, after = first["response"]["id"], first["sequence_number"]
    async with taken_up(doors, name, after) as events:
        rest = await events.rest()
    assert kinds([first, *rest])[:4] == OPENING
    assert text_of(rest) == "Hello there"


@pytest.mark.parametrize("streamed", [True, False])
async def test_after_any_number_exactly_the_rest_is_told_also_by_the_database_alone(
    doors: Doors, streamed: bool
) -> None:
    async with posted(doors) as events:
        generation_id = await doors.queue.heard()
        await doors.answer(generation_id)
        whole = await events.rest()
    if not streamed:
        row = doors.database.state.rows[generation_id]
        await doors.stream.remove(row.generation.session_id)
    for index, event in enumerate(whole):
        async with taken_up(doors, "resp_2", event["sequence_number"]) as events:
            rest = await events.rest()
        seen = whole[: index + 1]
        assert text_of(seen) + text_of(rest) == "Hello there"
        numbers = [each["sequence_number"] for each in [*seen, *rest]]
        assert numbers == sorted(set(numbers))
        assert [e for e in [*seen, *rest] if "delta" not in e] == [
            e for e in whole if "delta" not in e
        ]


@pytest.mark.parametrize("database_is_away", [False, True])
async def test_a_stream_that_ends_before_its_answer_says_so_and_is_taken_up_there(
    doors: Doors, database_is_away: bool
) -> None:
    """Clients would take what came for the whole of it."""
    so_far, go_on = asyncio.Event(), asyncio.Event()

    async def script(_: object) -> AsyncGenerator[Piece, None]:
        yield TextPiece("So far")
        so_far.set()
        await go_on.wait()
        yield TextPiece(", so good")
        yield Finish("stop")

    doors.model.script = script
    async with posted(doors) as events:
        working = asyncio.create_task(doors.answer(await doors.queue.heard()))
        heard = await events.until("response.output_text.delta")
        if database_is_away:
            doors.database.away = 1
            for following in doors.followers:
                following.compare(None)
        else:
            doors.followers.end()
        (error,) = await events.rest()
    assert (error["type"], error["code"]) == ("error", "answer_pending")
    go_on.set()
    await working
    for last in (heard[-1], error):
        async with taken_up(doors, "resp_2", last["sequence_number"]) as events:
            rest = await events.rest()
        assert text_of([*heard, *rest]) == "So far, so good"
        assert rest[-1]["type"] == "response.completed"


async def test_without_a_number_it_is_told_from_its_beginning(
    doors: Doors, http: httpx.AsyncClient
) -> None:
    said = await ask(doors, http)
    async with taken_up(doors, said["id"]) as events:
        heard = await events.rest()
    assert kinds(heard)[:4] == OPENING
    assert text_of(heard) == "Hello there"
    assert heard[-1]["response"] == said


async def test_a_number_of_another_text_is_told_as_an_error(
    doors: Doors, http: httpx.AsyncClient
) -> None:
    said = await ask(doors, http)
    async with taken_up(doors, said["id"], 5 << 24 | 0xABCDEF) as events:
        (error,) = await events.rest()
    assert error.keys() == {"type", "sequence_number", "code", "message", "param"}
    assert (error["type"], error["code"]) == ("error", "answer_restarted")
    assert error["sequence_number"] > 5 << 24 | 0xFFFFFF


async def test_the_text_so_far_is_shown_and_a_stop_keeps_it(
    doors: Doors, http: httpx.AsyncClient
) -> None:
    so_far = asyncio.Event()

    async def script(_: object) -> AsyncGenerator[Piece, None]:
        yield TextPiece("so far")
        so_far.set()
        await asyncio.Event().wait()

    doors.model.script = script
    said, generation_id = await begin(doors, http)
    assert said["status"] == "queued"
    where = f"/v1/responses/{said['id']}"
    working = asyncio.create_task(doors.answer(generation_id))
    await so_far.wait()
    async with taken_up(doors, said["id"]) as events:
        heard = await events.until("response.output_text.delta")
        running = (await http.get(where)).json()
        assert running["status"] == "in_progress"
        assert running["output"][0]["status"] == "in_progress"
        assert running["output"][0]["content"][0]["text"] == "so far"
        woken = doors.wake_ups.woken()
        waking = asyncio.ensure_future(anext(woken))
        await asyncio.sleep(0)
        cancelling = asyncio.create_task(http.post(f"{where}/cancel"))
        await asyncio.wait_for(waking, PATIENCE_SECONDS)
        await woken.aclose()
        await doors.renew()
        await working
        heard += await events.rest()
        cancelled = (await cancelling).json()
    assert cancelled["status"] == "cancelled"
    assert cancelled["error"] is None
    assert cancelled["output"][0]["content"][0]["text"] == "so far"
    assert kinds(heard)[-4:] == [*CLOSING, "failed"]
    assert heard[-1]["response"] == cancelled
    assert (await http.get(where)).json() == cancelled
    assert (await http.post(f"{where}/cancel")).json() == cancelled


async def test_one_that_waits_is_cancelled_at_once(doors: Doors, http: httpx.AsyncClient) -> None:
    said, _ = await begin(doors, http)
    cancelled = (await http.post(f"/v1/responses/{said['id']}/cancel")).json()
    assert (cancelled["status"], cancelled["output"]) == ("cancelled", [])
    async with taken_up(doors, said["id"]) as events:
        heard = await events.rest()
    assert kinds(heard) == ["created", "queued", "failed"]
    assert heard[-1]["response"] == cancelled


async def test_a_cancel_does_not_wait_long_for_a_worker_that_is_lost() -> None:
    doors = Doors(sync_timeout=0.01)
    async with client_of(doors) as http:
        said, generation_id = await begin(doors, http)
        await claim(doors.database, generation_id)
        cancelled = (await http.post(f"/v1/responses/{said['id']}/cancel")).json()
        assert cancelled["status"] == "in_progress"
        assert doors.database.state.rows[generation_id].generation.stop_requested
    doors.stream.close()


# Going on


async def test_a_response_goes_on_from_another_without_its_instructions(
    doors: Doors, http: httpx.AsyncClient
) -> None:
    first = await ask(doors, http, instructions="Be brief.", input="one?")
    second = await ask(
        doors, http, instructions="Be long.", input="two?", previous_response_id=first["id"]
    )
    assert second["previous_response_id"] == first["id"]
    assert second["instructions"] == "Be long."
    third = await ask(doors, http, input="three?", previous_response_id=second["id"])
    assert third["instructions"] is None
    said = [[message.content for message in p.messages] for p in doors.model.prompts]
    assert said == [
        ["Be brief.", "one?"],
        ["Be long.", "one?", "Hello there", "two?"],
        ["one?", "Hello there", "two?", "Hello there", "three?"],
    ]


async def test_many_go_on_from_one_and_outlive_it(doors: Doors, http: httpx.AsyncClient) -> None:
    first = await ask(doors, http, input="one?")
    left = await ask(doors, http, input="left?", previous_response_id=first["id"])
    right = await ask(doors, http, input="right?", previous_response_id=first["id"])
    await http.delete(f"/v1/responses/{first['id']}")
    await http.delete(f"/v1/responses/{left['id']}")
    await ask(doors, http, input="on?", previous_response_id=right["id"])
    said = [message.content for message in doors.model.prompts[-1].messages]
    assert said == ["one?", "Hello there", "right?", "Hello there", "on?"]


async def test_what_it_can_not_go_on_from_is_named(doors: Doors, http: httpx.AsyncClient) -> None:
    running, _ = await begin(doors, http)
    unstored = await ask_unstored(doors, http)
    for name, status, code in [
        ("resp_nothing", 404, "previous_response_not_found"),
        ("nothing", 404, "previous_response_not_found"),
        (unstored, 404, "previous_response_not_found"),
        (running["id"], 409, "previous_call_unanswered"),
    ]:
        body = {"input": "x", "previous_response_id": name}
        reply = await http.post("/v1/responses", json=body)
        error = reply.json()["error"]
        assert (reply.status_code, error["code"]) == (status, code)
        assert error["param"] == "previous_response_id"
        assert reply.headers["x-should-retry"] == "false"


async def ask_unstored(doors: Doors, http: httpx.AsyncClient) -> str:
    name: str = (await ask(doors, http, store=False))["id"]
    return name


async def test_a_conversation_that_grows_too_long_is_refused(
    doors: Doors, http: httpx.AsyncClient
) -> None:
    body: Json = {"input": "x" * 1_000_000}
    previous = await ask(doors, http, **body)
    for _ in range(MAX_PROMPT_BYTES // 1_000_000 - 1):
        previous = await ask(doors, http, **body, previous_response_id=previous["id"])
    error = await refused(http, **body, previous_response_id=previous["id"])
    assert (error["code"], error["param"]) == ("context_length_exceeded", "input")


# What it was asked


async def test_input_items_are_all_that_was_said_before_the_answer(
    doors: Doors, http: httpx.AsyncClient
) -> None:
    first = await ask(doors, http, input="one?", instructions="Be brief.")
    items = [
        {"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "1", "output": "x"},
        {"role": "user", "content": "two?"},
    ]
    second = await ask(doors, http, input=items, previous_response_id=first["id"])
    where = f"/v1/responses/{second['id']}/input_items"
    listed = (await http.get(f"{where}?order=asc")).json()
    assert [(item["type"], item.get("role")) for item in listed["data"]] == [
        ("message", "user"),
        ("message", "assistant"),
        ("function_call", None),
        ("function_call_output", None),
        ("message", "user"),
    ]
    assert (listed["object"], listed["has_more"]) == ("list", False)
    ids = [item["id"] for item in listed["data"]]
    assert len(set(ids)) == 5
    assert (listed["first_id"], listed["last_id"]) == (ids[0], ids[-1])
    newest = (await http.get(f"{where}?limit=2")).json()
    assert [item["id"] for item in newest["data"]] == [ids[4], ids[3]]
    assert newest["has_more"]
    rest = (await http.get(f"{where}?limit=3&after={ids[3]}")).json()
    assert [item["id"] for item in rest["data"]] == [ids[2], ids[1], ids[0]]
    assert not rest["has_more"]
    # What was listed can be sent again.
    await ask(doors, http, input=listed["data"])
    before, again = doors.model.prompts[-2:]
    assert again.messages == before.messages


@pytest.mark.parametrize(
    ("query", "param"), [("limit=0", "limit"), ("order=up", "order"), ("after=x", "after")]
)
async def test_a_bad_list_is_refused(
    doors: Doors, http: httpx.AsyncClient, query: str, param: str
) -> None:
    said = await ask(doors, http)
    reply = await http.get(f"/v1/responses/{said['id']}/input_items?{query}")
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, param)
