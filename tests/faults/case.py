"""One run of a case: what is asked, who follows, and what the oracle says in the end."""

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from tests.end_to_end.processes import PATIENCE, Json
from tests.faults.oracle import Oracle, Question, Rule, Violation, until
from tests.faults.readers import Reader
from tests.faults.scripted_model import Hold, Script
from tests.faults.stack import Stack

FULL: Final = os.environ.get("FAULTS") == "full"
"""All seeds, and as long as the cases are meant to be."""

CHUNKS: Final = 8
"""Of an answer in whose midst something happens."""


@dataclass(eq=False, repr=False)
class Case:
    stack: Stack
    seed: int
    dice: random.Random
    questions: list[Question] = field(default_factory=list)
    readers: list[Reader] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """For the table."""
    worst: float = 0.0
    """Seconds, of what the case limits."""
    _reading: list["asyncio.Task[None]"] = field(default_factory=list)

    async def session(self, *, readers: bool = True) -> str:
        """A new one; with four readers, who are there before anything is asked. Two of them stay,
        one comes to each web process; two leave and come back all the time."""
        async with self.stack.web.http() as http:
            reply = await http.post("/api/chat/session", json={})
        session_id: str = reply.json()["session_id"]
        if readers:
            dice = [random.Random(f"{self.seed}-{session_id}-{number}") for number in range(2)]
            for reader in (
                Reader("live ws", self.stack.up_webs, session_id, "ws", 0),
                Reader("live sse", self.stack.up_webs, session_id, "sse", 1),
                Reader("resuming 1", self.stack.up_webs, session_id, "ws", 0, dice[0]),
                Reader("resuming 2", self.stack.up_webs, session_id, "sse", 1, dice[1]),
            ):
                await self.follow(reader)
        return session_id

    async def follow(self, reader: Reader) -> Reader:
        """Returns once it is there."""
        self.readers.append(reader)
        self._reading.append(asyncio.create_task(reader.read()))
        async with asyncio.timeout(PATIENCE):
            await reader.connected.wait()
        return reader

    def script(self, **script: float) -> tuple[str, Script]:
        """A new prompt, and how it is going to be answered."""
        prompt = f"question {len(self.stack.model.scripts)} of seed {self.seed}"
        made = Script(**script)  # type: ignore[arg-type]
        self.stack.model.scripts[prompt] = made
        return prompt, made

    async def ask(
        self, session_id: str | None = None, *, prompt: tuple[str, Script] | None = None
    ) -> Question:
        """Returns once it is accepted. In a session of its own, unless one is given."""
        session_id = session_id or await self.session()
        text, script = prompt or self.script()
        async with self.dice.choice(self.stack.up_webs()).http() as http:
            reply = await http.post(
                f"/api/chat/sessions/{session_id}/messages", json={"message": text}
            )
        assert reply.status_code == 202, reply.text
        return self.accepted(session_id, reply.json()["generation_id"], text, script)

    def accepted(
        self, session_id: str, generation_id: str, prompt: str, script: Script
    ) -> Question:
        question = Question(session_id, generation_id, prompt, script)
        self.questions.append(question)
        return question

    async def in_mid_answer(
        self, after: int, *, readers: bool = True, **script: float
    ) -> tuple[Question, Hold]:
        """Asked, and the model waits after so many chunks."""
        text, made = self.script(chunks=CHUNKS, **script)
        hold = made.hold(1, after)
        question = await self.ask(await self.session(readers=readers), prompt=(text, made))
        async with asyncio.timeout(PATIENCE):
            await hold.reached.wait()
        return question, hold

    async def stored(self, question: Question) -> Json:
        """As the database has it."""
        async with self.stack.web.http() as http:
            reply = await http.get(f"/api/chat/generations/{question.generation_id}")
        found: Json = reply.json()
        return found

    async def is_stored(self, question: Question, status: str) -> None:
        """Returns once the database says so."""

        async def is_so() -> bool:
            return bool((await self.stored(question))["status"] == status)

        assert await until(is_so)

    def live(self, question: Question) -> Sequence[Reader]:
        """The readers who stay."""
        return [
            reader
            for reader in self.readers
            if reader.session_id == question.session_id and reader.dice is None
        ]

    async def all_hear(self, question: Question, enough: Callable[[Reader], bool]) -> None:
        """Returns once each reader who stays was told enough."""
        async with asyncio.timeout(PATIENCE):
            for reader in self.live(question):
                await reader.hears(enough)

    async def violations(self, within: float = PATIENCE, *, timed: bool = True) -> list[Violation]:
        """If `timed`, what the case limits is the time until all have ended, from now on."""
        oracle = Oracle(self.stack, self.questions, self.readers, within)
        found = await oracle()
        _show(found)
        if timed:
            self.worst = max(self.worst, oracle.took)
        return found

    async def broken(self, *, within: float) -> set[Rule]:
        """For negative controls: the rules that do not hold."""
        oracle = Oracle(self.stack, self.questions, self.readers, within, settle=0.5)
        found = await oracle()
        _show(found)
        return {violation.rule for violation in found}

    @asynccontextmanager
    async def timed(self) -> AsyncIterator[None]:
        """What the case limits; given up after a while."""
        began = time.monotonic()
        async with asyncio.timeout(PATIENCE):
            yield
        self.worst = max(self.worst, time.monotonic() - began)

    async def close(self) -> None:
        for task in self._reading:
            task.cancel()
        self.stack.heal()
        await self.stack.forget_all()
        results = await asyncio.gather(*self._reading, return_exceptions=True)
        faults = [each for each in results if isinstance(each, Exception)]
        if faults:
            raise ExceptionGroup("a reader failed", faults)


def _show(violations: Sequence[Violation]) -> None:
    for violation in violations:
        print(f"{violation.rule}: {violation.what}")  # noqa: T201 - pytest shows it


@asynccontextmanager
async def case(stack: Stack, seed: int) -> AsyncIterator[Case]:
    stack.heal()
    for place in stack.places:
        place.forget_log()
    made = Case(stack, seed, random.Random(seed))
    try:
        yield made
    finally:
        await made.close()
