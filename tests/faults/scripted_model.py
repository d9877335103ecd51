"""What the model's server says to each question, and what it has said."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.upstream import Call


@dataclass(eq=False)
class Hold:
    """A place in an answer where the model waits until the test lets it go on."""

    reached: asyncio.Event = field(default_factory=asyncio.Event)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(eq=False, repr=False)
class Telling:
    """One call that came for a question, and what it was told so far."""

    call: Call
    text: str = ""
    whole: bool = False


@dataclass(eq=False, repr=False)
class Script:
    """How a question is answered. Each call for it is told another text, so that nobody can mistake
    one for the other: the first call's chunks are `1.0 `, `1.1 `, … with something beside ASCII."""

    chunks: int = 8
    pace: float = 0.02
    """Seconds after each chunk."""
    size: int = 0
    """Characters that each chunk is made longer by."""
    holds: dict[tuple[int, int], Hold] = field(default_factory=dict)
    """By call, from 1, and by how many chunks were told before."""
    tellings: list[Telling] = field(default_factory=list)

    def hold(self, call: int, chunks: int) -> Hold:
        return self.holds.setdefault((call, chunks), Hold())

    def pieces(self, call: int) -> Iterator[str]:
        for number in range(self.chunks):
            yield f"{call}.{number} ½😀 " + "x" * self.size


@dataclass(eq=False, repr=False)
class ScriptedModel:
    """A script for an upstream: by the last message of the prompt it knows which one to follow."""

    scripts: dict[str, Script] = field(default_factory=dict)

    async def __call__(self, call: Call) -> None:
        script = self.scripts[call.body["messages"][-1]["content"]]
        telling = Telling(call)
        script.tellings.append(telling)
        number = len(script.tellings)
        await call.begin()
        for told, piece in enumerate(script.pieces(number)):
            await self._wait(script, number, told, call)
            await call.chunk(piece)
            telling.text += piece
            await asyncio.sleep(script.pace)
        await self._wait(script, number, script.chunks, call)
        telling.whole = True
        await call.finish()
        await call.usage(3, script.chunks)
        await call.done()

    async def _wait(self, script: Script, number: int, told: int, call: Call) -> None:
        hold = script.holds.get((number, told))
        if hold is None:
            return
        hold.reached.set()
        waiting = [asyncio.create_task(event.wait()) for event in (hold.go_on, call.left)]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()
        if call.left.is_set():
            raise ConnectionResetError
