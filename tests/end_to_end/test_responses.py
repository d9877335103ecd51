"""Responses as OpenAI's own client has them, from a real process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI, BadRequestError, ConflictError, NotFoundError
from openai.types.responses import Response, ResponseStreamEvent

from tests.end_to_end.processes import PATIENCE, Process, process
from tests.upstream import upstream

QUICK = {"LEASE_SECONDS": "2", "SWEEP_SECONDS": "0.5"}
LONG = {"SIMULATED_DELAY": "0.03", "SIMULATED_CHUNKS": "80", **QUICK}
TERMINAL = ("response.completed", "response.failed", "response.incomplete", "error")


async def token_of(server: Process) -> str:
    async with server.http() as http:
        token: str = (await http.post("/api/user/tokens", json={"name": "mine"})).json()["token"]
    return token


@asynccontextmanager
async def openai(server: Process, token: str | None = None) -> AsyncIterator[AsyncOpenAI]:
    """The client, which tries nothing twice: what goes wrong is seen."""
    key = token or await token_of(server)
    async with AsyncOpenAI(
        base_url=f"http://{server.address}/v1", api_key=key, max_retries=0, timeout=PATIENCE
    ) as client:
        yield client


def text_of(events: list[ResponseStreamEvent]) -> str:
    return "".join(e.delta for e in events if e.type == "response.output_text.delta")


def others(events: list[ResponseStreamEvent]) -> list[Any]:
    return [each for each in events if each.type != "response.output_text.delta"]


def assert_sound(events: list[ResponseStreamEvent]) -> None:
    """Each is what its type says, field by field, which the client itself does not look at."""
    for event in events:
        assert type(event).model_validate(event.model_dump(warnings="error")) == event
    numbers = [each.sequence_number for each in events]
    assert numbers == sorted(set(numbers))


async def some(client: AsyncOpenAI, deltas: int, **body: Any) -> list[ResponseStreamEvent]:
    """The beginning of a stream, whose connection is closed then."""
    heard: list[ResponseStreamEvent] = []
    async with await client.responses.create(
        model="simulated-long", input="why?", background=True, stream=True, **body
    ) as stream:
        async for event in stream:
            heard.append(event)
            deltas -= event.type == "response.output_text.delta"
            if deltas == 0:
                break
    return heard


async def rest(client: AsyncOpenAI, name: str, after: int) -> list[ResponseStreamEvent]:
    async with asyncio.timeout(PATIENCE):
        stream = await client.responses.retrieve(name, stream=True, starting_after=after)
        return [event async for event in stream]


def name_of(events: list[ResponseStreamEvent]) -> str:
    first = events[0]
    assert first.type == "response.created"
    return first.response.id


def whole_of(events: list[ResponseStreamEvent]) -> Response:
    last = events[-1]
    assert last.type == "response.completed", last
    return last.response


async def test_one_is_created_whole_and_streamed(tmp_path: Path) -> None:
    async with process(tmp_path, SIMULATED_DELAY="0.01") as server, openai(server) as client:
        response = await client.responses.create(
            model="simulated", input="why?", instructions="Be brief.", metadata={"a": "b"}
        )
        assert Response.model_validate(response.model_dump(warnings="error")) == response
        assert response.output_text.startswith("chunk 1: why?")
        assert (response.status, response.instructions) == ("completed", "Be brief.")
        assert response.usage is not None
        assert await client.responses.retrieve(response.id) == response
        stream = await client.responses.create(model="simulated", input="why?", stream=True)
        events = [event async for event in stream]
        assert_sound(events)
        assert text_of(events) == whole_of(events).output_text == response.output_text
        assert await client.responses.retrieve(name_of(events)) == whole_of(events)
        items = [item async for item in await client.responses.input_items.list(response.id)]
        assert [item.type for item in items] == ["message"]


async def test_openais_helper_puts_a_stream_together(tmp_path: Path) -> None:
    async with (
        process(tmp_path, SIMULATED_DELAY="0.01") as server,
        openai(server) as client,
        client.responses.stream(model="simulated", input="why?") as stream,
    ):
        kinds = [event.type async for event in stream]
        response = await stream.get_final_response()
    assert kinds[-1] == "response.completed"
    assert response.output_text.startswith("chunk 1: why?")


async def test_a_stream_that_was_cut_is_taken_up_exactly_there(tmp_path: Path) -> None:
    async with process(tmp_path, **LONG) as server, openai(server) as client:
        seen = await some(client, deltas=5)
        name = name_of(seen)
        more = await rest(client, name, seen[-1].sequence_number)
        assert_sound(seen + more)
        whole = whole_of(more)
        assert text_of(seen) + text_of(more) == whole.output_text
        assert await client.responses.retrieve(name) == whole
        # at each place once more, when it is over
        all_of_it = seen + more
        for index in range(0, len(all_of_it), 7):
            again = await rest(client, name, all_of_it[index].sequence_number)
            before = all_of_it[: index + 1]
            assert_sound(before + again)
            assert text_of(before) + text_of(again) == whole.output_text
            assert others(before) + others(again) == others(all_of_it)


async def test_also_when_the_process_was_killed_in_mid_answer(tmp_path: Path) -> None:
    async with process(tmp_path, **LONG) as server:
        token = await token_of(server)
        async with openai(server, token) as client:
            seen = await some(client, deltas=20)
        await server.kill()
        await server.start()
        name, after = name_of(seen), seen[-1].sequence_number
        async with openai(server, token) as client:
            more = await rest(client, name, after)
            whole = whole_of(more)
            assert_sound(seen + more)
            assert text_of(seen) + text_of(more) == whole.output_text
        assert "attempt 2" in server.log
        # and once more when nothing but the database is left
        await server.kill()
        await server.start()
        async with openai(server, token) as client:
            again = await rest(client, name, after)
    assert text_of(again) == text_of(more)
    assert others(again) == others(more)


async def test_one_is_cancelled_and_deleted(tmp_path: Path) -> None:
    async with process(tmp_path, **LONG) as server, openai(server) as client:
        seen = await some(client, deltas=3)
        name = name_of(seen)
        cancelled = await client.responses.cancel(name)
        assert cancelled.status == "cancelled"
        assert cancelled.output_text.startswith(text_of(seen))
        last = (await rest(client, name, seen[-1].sequence_number))[-1]
        assert last.type == "response.failed"
        assert last.response == cancelled == await client.responses.retrieve(name)
        await client.responses.delete(name)
        with pytest.raises(NotFoundError):
            await client.responses.retrieve(name)


async def test_one_in_the_background_is_there_when_it_is_asked_for(tmp_path: Path) -> None:
    async with process(tmp_path, SIMULATED_DELAY="0.01") as server, openai(server) as client:
        begun = await client.responses.create(model="simulated", input="why?", background=True)
        assert begun.status in ("queued", "in_progress")
        last = (await rest(client, begun.id, 0))[-1]
        assert last.type == "response.completed"
        assert (await client.responses.retrieve(begun.id)).status == "completed"


async def test_one_remembers_what_it_goes_on_from(tmp_path: Path) -> None:
    async with upstream() as model:
        settings = {
            "OPENAI_API_KEY": "sk-seeded",
            "OPENAI_BASE_URL": model.base_url,
            "OPENAI_MODEL": "gpt-real",
        }
        async with process(tmp_path, **settings) as server, openai(server) as client:
            first = await client.responses.create(
                model="gpt-real", input="I am Ada.", instructions="Be brief."
            )
            await client.responses.create(
                model="gpt-real",
                input="Who am I?",
                previous_response_id=first.id,
                text={"format": {"type": "json_object"}},
                max_output_tokens=50,
            )
        asked = [call.body for call in model.calls]
    assert [message["content"] for message in asked[0]["messages"]] == ["Be brief.", "I am Ada."]
    assert [(each["role"], each["content"]) for each in asked[1]["messages"]] == [
        ("user", "I am Ada."),
        ("assistant", "Hello"),
        ("user", "Who am I?"),
    ]
    assert asked[1]["response_format"] == {"type": "json_object"}


async def test_errors_are_those_that_the_client_knows(tmp_path: Path) -> None:
    async with process(tmp_path, **LONG) as server, openai(server) as client:
        with pytest.raises(NotFoundError):
            await client.responses.retrieve("resp_nothing")
        with pytest.raises(NotFoundError) as unknown:
            await client.responses.create(input="why?", previous_response_id="resp_nothing")
        assert (unknown.value.code, unknown.value.param) == (
            "previous_response_not_found",
            "previous_response_id",
        )
        with pytest.raises(NotFoundError) as no_model:
            await client.responses.create(model="nobody", input="why?")
        assert no_model.value.param == "model"
        with pytest.raises(BadRequestError) as no_tools:
            await client.responses.create(input="why?", tools=[{"type": "web_search"}])
        assert no_tools.value.param == "tools"
        running = name_of(await some(client, deltas=1))
        with pytest.raises(ConflictError):
            await client.responses.create(input="why?", previous_response_id=running)
        await client.responses.cancel(running)
