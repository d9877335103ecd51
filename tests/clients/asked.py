"""What clients ask, and how the model answers."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Final

from openai import AsyncOpenAI, AsyncStream
from openai.types.chat import ChatCompletionChunk

from tests.browser.chat import Chat, Server, server, until
from tests.end_to_end.processes import PATIENCE, Json
from tests.upstream import Call, Script

MODEL: Final = "gpt-real"
HELLO: Final[Any] = [{"role": "user", "content": "Hello, LLM!"}]
PIECES: Final = ("One ", "½ two ", "😀 three ", "四 ", "five")
TEXT: Final = "".join(PIECES)

LEASE: Final = {"LEASE_SECONDS": "3"}
"""Calls of the model are counted here: no busy machine is to make a takeover by itself."""


def started(folder: Path, **settings: str) -> AbstractAsyncContextManager[Server]:
    return server(folder, **LEASE, **settings)


def sdk(url: str, key: str = "unused", **options: Any) -> AsyncOpenAI:
    """Of the server at this address."""
    return AsyncOpenAI(**{"api_key": key, "base_url": f"{url}/v1", "timeout": PATIENCE, **options})


async def whole(call: Call) -> None:
    await tell(call, PIECES)
    await finish(call)


def held(go_on: asyncio.Event, after: int = 2) -> Script:
    """After so many pieces the model waits, until it may go on."""

    async def script(call: Call) -> None:
        await tell(call, PIECES[:after])
        await go_on.wait()
        for piece in PIECES[after:]:
            await call.chunk(piece)
        await finish(call)

    return script


async def lost(call: Call) -> None:
    """Two pieces, and no word more to this caller."""
    await tell(call, PIECES[:2])
    await call.hang()


async def broken(call: Call) -> None:
    await tell(call, PIECES[:2])
    call.cut()


async def tell(call: Call, pieces: tuple[str, ...]) -> None:
    await call.begin()
    for piece in pieces:
        await call.chunk(piece)


async def finish(call: Call) -> None:
    await call.finish()
    await call.usage(3, 5)
    await call.done()


def stream_of(client: AsyncOpenAI, **more: Any) -> Any:
    """To be awaited: the head of the reply, whose `parse` is the stream."""
    return client.chat.completions.with_raw_response.create(
        model=MODEL, messages=HELLO, stream=True, **more
    )


def text_of(chunks: list[ChatCompletionChunk]) -> str:
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


async def read(stream: AsyncStream[ChatCompletionChunk], characters: int) -> str:
    """As much of the text at least; the rest stays to be read."""
    text = ""
    async with asyncio.timeout(PATIENCE):
        while len(text) < characters:
            text += text_of([await anext(stream)])
    return text


async def blocks(lines: AsyncIterator[str]) -> AsyncIterator[tuple[str, Any]]:
    """The id that holds at each event, and what its data say."""
    event_id = ""
    async for line in lines:
        if line.startswith("id: "):
            event_id = line[4:]
        elif line.startswith("data: "):
            yield event_id, None if line[6:] == "[DONE]" else json.loads(line[6:])


async def ended(chat: Chat, generation_id: str) -> Json:
    """A generation once it has ended."""
    found: Json = {}

    async def has_ended() -> bool:
        found.update(await chat.get(f"/api/chat/generations/{generation_id}"))
        return found["status"] not in ("queued", "running")

    await until(has_ended)
    return found


def generations_in(log: str) -> set[str]:
    """All that were ever answered, or begun."""
    return set(re.findall(r"answering (gen_\w+), attempt", log))
