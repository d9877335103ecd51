"""CPU time to read a paced chunk of an upstream's stream, transport included.

The same server, the same streams, the same process and event loop, one way after the other: the
`openai` client iterated as its documentation shows it, and this product's model.
"""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from openai import AsyncOpenAI

from application.ports import TextPiece
from bench.pace import CHUNKS, STREAMS
from bench.server_process import paced_server
from domain.message import Role
from domain.prompt import Prompt, PromptMessage
from domain.secret import Secret
from infrastructure.models.openai_compatible import OpenAICompatibleModel
from infrastructure.upstreams.breaker import Breaker
from infrastructure.upstreams.connections import Connections
from infrastructure.upstreams.limits import Limits
from infrastructure.upstreams.model_server import ModelServer

RUNS: Final = 3
Read = Callable[["Window", int], Awaitable[None]]


async def measure() -> tuple[list[float], list[float]]:
    """Microseconds a chunk, run by run: of the client's own iteration, and of the product."""
    async with paced_server() as base_url:
        client = AsyncOpenAI(api_key="sk-bench", base_url=base_url, max_retries=0)
        connections = Connections(5, frozenset())
        server = ModelServer(base_url, Secret("sk-bench"), trusted=True)
        model = OpenAICompatibleModel(server, "bench", True, connections, Breaker(5, 10), Limits())
        prompt = Prompt((PromptMessage(Role.USER, "Hello"),))

        async def iterate(window: "Window", stream: int) -> None:
            chunks = await client.chat.completions.create(
                model="bench", messages=[{"role": "user", "content": "Hello"}], stream=True
            )
            async for chunk in chunks:
                if chunk.choices and chunk.choices[0].delta.content:
                    window.seen(stream)
            window.ended()

        async def answer(window: "Window", stream: int) -> None:
            async for piece in model.stream(prompt):
                if isinstance(piece, TextPiece):
                    window.seen(stream)
            window.ended()

        theirs, ours = [], []
        for _ in range(RUNS):
            theirs.append(await _cost(iterate))
            ours.append(await _cost(answer))
        await connections.close()
        await client.close()
    return theirs, ours


@dataclass(slots=True)
class Window:
    """CPU time and chunks from where all streams have begun to where the first one ends: what a
    request costs is not counted as the cost of its chunks."""

    chunks: int = 0
    begun: set[int] = field(default_factory=set)
    first: tuple[float, int] | None = None
    last: tuple[float, int] | None = None

    def seen(self, stream: int) -> None:
        self.chunks += 1
        if self.first is None:
            self.begun.add(stream)
            if len(self.begun) == STREAMS:
                self.first = (time.process_time(), self.chunks)

    def ended(self) -> None:
        if self.last is None:
            self.last = (time.process_time(), self.chunks)

    def cost(self) -> float:
        """Microseconds a chunk."""
        if self.chunks != STREAMS * CHUNKS or self.first is None or self.last is None:
            raise RuntimeError(f"{self.chunks} chunks came instead of {STREAMS * CHUNKS}")
        (begin, before), (end, after) = self.first, self.last
        return (end - begin) / (after - before) * 1e6


async def _cost(read: Read) -> float:
    window = Window()
    await asyncio.gather(*(read(window, stream) for stream in range(STREAMS)))
    return window.cost()


def ratio(theirs: list[float], ours: list[float]) -> float:
    return statistics.median(ours) / statistics.median(theirs)
