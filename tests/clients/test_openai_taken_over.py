"""A worker that is killed in mid-answer, among processes that share Redis and Postgres."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import openai
import pytest
import pytest_asyncio
from openai.types.responses import ResponseStreamEvent

from tests import servers
from tests.browser.chat import SETTINGS
from tests.clients.asked import (
    HELLO,
    LEASE,
    MODEL,
    PIECES,
    TEXT,
    finish,
    generations_in,
    lost,
    read,
    sdk,
    stream_of,
    tell,
    text_of,
    whole,
)
from tests.end_to_end.processes import PATIENCE, Process, process
from tests.upstream import Call, Upstream, upstream

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass(frozen=True)
class Many:
    doors: Process
    workers: list[Process]
    model: Upstream
    seen: set[str] = field(default_factory=set)
    """Generations of the tests before."""

    @property
    def url(self) -> str:
        return f"http://{self.doors.address}"

    @asynccontextmanager
    async def without_who_answers(self) -> AsyncIterator[None]:
        """That worker is killed, and there again for the next test."""
        before = len(self.model.calls)
        worker = await self._who_answers()
        await worker.kill()
        try:
            yield
        finally:
            self.seen.update(generations_in(worker.log))
            await worker.start()
        assert len(self.model.calls) == before + 1

    async def _who_answers(self) -> Process:
        """Once it says so: that may reach us after the model was called. Who only takes over what
        another one began says another number."""
        begins = rf"answering (?!{'|'.join(['none', *self.seen])})gen_\w+, attempt 1\b"
        saying = {asyncio.create_task(each.says(begins)): each for each in self.workers}
        said, silent = await asyncio.wait(saying, return_when=asyncio.FIRST_COMPLETED)
        for each in silent:
            each.cancel()
        [first] = said
        await first
        return saying[first]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def many(
    tmp_path_factory: pytest.TempPathFactory, postgres_server: servers.Postgres
) -> AsyncIterator[Many]:
    folder = tmp_path_factory.mktemp("many")
    with servers.redis() as redis:
        async with AsyncExitStack() as closing:
            model = await closing.enter_async_context(upstream())
            database = await closing.enter_async_context(postgres_server.database())
            shared = {"DATABASE_URL": database, "REDIS_URL": redis.url}
            env: Any = {**SETTINGS, **LEASE, **shared, "OPENAI_BASE_URL": model.base_url}
            places = [
                closing.enter_async_context(process(folder, command, **env))
                for command in ("serve", "work", "work")
            ]
            doors, *workers = await asyncio.gather(*places)
            yield Many(doors, workers, model)


async def test_a_stream_tells_the_whole_answer_once_although_its_worker_is_killed(
    many: Many,
) -> None:
    many.model.answers(lost, whole)
    async with sdk(many.url) as client:
        reply = await stream_of(client, stream_options={"include_usage": True})
        stream = reply.parse()
        begun = await read(stream, len("".join(PIECES[:2])))
        async with many.without_who_answers():
            rest = [chunk async for chunk in stream]
    assert begun + text_of(rest) == TEXT
    assert [
        each.finish_reason for chunk in rest for each in chunk.choices if each.finish_reason
    ] == ["stop"]
    assert rest[-1].usage is not None
    assert rest[-1].usage.total_tokens == 8


async def test_a_stream_whose_answer_comes_out_differently_says_so(many: Many) -> None:
    """What was told can't be taken back; nobody is to take two halves for one answer."""

    async def other(call: Call) -> None:
        await tell(call, ("Something else altogether.",))
        await finish(call)

    many.model.answers(lost, other)
    async with sdk(many.url) as client:
        reply = await stream_of(client)
        stream = reply.parse()
        await read(stream, len("".join(PIECES[:2])))
        async with many.without_who_answers():
            with pytest.raises(openai.APIError) as caught:
                await read(stream, 10_000)
    generation_id = reply.headers["X-Generation-Id"]
    assert caught.value.code == "answer_restarted"
    assert generation_id in caught.value.message


async def test_a_response_is_streamed_once_although_its_model_thinks_and_its_worker_is_killed(
    many: Many,
) -> None:
    """What it thinks and what the next worker repeats is not told: only silence comes of it."""

    async def thinking(call: Call) -> None:
        await tell(call, PIECES[:2])
        await think(call)
        await call.hang()

    async def repeating(call: Call) -> None:
        await tell(call, PIECES[:1])
        await think(call)
        for piece in PIECES[1:]:
            await call.chunk(piece)
        await finish(call)

    many.model.answers(thinking, repeating)
    heard: list[ResponseStreamEvent] = []
    async with sdk(many.url) as client, asyncio.timeout(PATIENCE):
        stream = await client.responses.create(model=MODEL, input="Hello, LLM!", stream=True)
        while said_in(heard) != "".join(PIECES[:2]):
            heard.append(await anext(stream))
        async with many.without_who_answers():
            heard += [event async for event in stream]
    last = heard[-1]
    assert last.type == "response.completed"
    assert said_in(heard) == last.response.output_text == TEXT
    numbers = [event.sequence_number for event in heard]
    assert numbers == sorted(set(numbers))
    kinds = [event.type for event in heard if event.type != "response.output_text.delta"]
    assert len(kinds) == len(set(kinds)) == 8


async def think(call: Call) -> None:
    thought = {"index": 0, "delta": {"reasoning_content": "Hm."}, "finish_reason": None}
    await call.say(object="chat.completion.chunk", choices=[thought])


def said_in(events: list[ResponseStreamEvent]) -> str:
    return "".join(each.delta for each in events if each.type == "response.output_text.delta")


async def test_who_waits_gets_the_whole_answer_although_its_worker_is_killed(many: Many) -> None:
    many.model.answers(lost, whole)
    many.model.called.clear()
    async with sdk(many.url) as client:
        asked = asyncio.create_task(client.chat.completions.create(model=MODEL, messages=HELLO))
        await many.model.called.wait()
        async with many.without_who_answers():
            completion = await asked
    assert completion.choices[0].message.content == TEXT
