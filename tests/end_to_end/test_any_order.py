"""Whatever people do to a conversation, in whatever order: who follows sees what is kept."""

import asyncio
import random
from collections import defaultdict
from contextlib import suppress
from pathlib import Path

import httpx
from websockets.exceptions import ConnectionClosed

from tests.end_to_end.kept import Kept
from tests.end_to_end.processes import (
    PATIENCE,
    Json,
    Process,
    hear,
    process,
    sse,
    sse_until_last,
    text_of,
)

SEED = 7
SESSIONS = 12
STEPS = 25
ENDS = ("done", "stopped", "failed")


class Reader:
    """One who follows a session over `/ws`, and now and then leaves and comes back."""

    def __init__(self, server: Process, session_id: str, dice: random.Random) -> None:
        self.server, self.session_id, self.dice = server, session_id, dice
        self.seen: list[Json] = []
        self.cursor = "0-0"

    @property
    def ended(self) -> set[str]:
        return {event["generation_id"] for event in self.seen if event["type"] in ENDS}

    async def read(self) -> None:
        while True:
            query = f"?session_id={self.session_id}&last_event_id={self.cursor}"
            with suppress(ConnectionClosed):
                async with self.server.websocket(query) as socket:
                    await hear(socket)
                    for _ in range(self.dice.randint(3, 60)):
                        event = await hear(socket)
                        self.cursor = event["id"]
                        self.seen.append(event)


class Talk:
    """One session, and all generations that it has had."""

    def __init__(self, server: Process, http: httpx.AsyncClient, number: int) -> None:
        self.server, self.http = server, http
        self.dice = random.Random(f"{SEED}-{number}")
        self.session_id = f"talk-{number}"
        self.path = f"/api/chat/sessions/{self.session_id}"
        self.made: list[str] = []
        self.readers = [
            Reader(server, self.session_id, random.Random(f"{SEED}-{number}-{n}")) for n in range(2)
        ]

    async def step(self) -> None:
        match self.dice.choice(("send", "send", "send", "stop", "stop", "regenerate", "rest")):
            case "send":
                model = self.dice.choice(("simulated", "simulated-long"))
                body = {"message": f"number {len(self.made)}", "model_name": model}
                await self.accept(await self.http.post(f"{self.path}/messages", json=body))
            case "regenerate":
                await self.accept(await self.http.post(f"{self.path}/regenerate"))
            case "stop" if self.made:
                one = self.dice.choice(self.made[-4:])
                reply = await self.http.post(f"/api/chat/generations/{one}/cancel")
                assert reply.status_code in (200, 202)
            case _:
                await asyncio.sleep(self.dice.uniform(0, 0.15))

    async def accept(self, reply: httpx.Response) -> None:
        if reply.status_code == 202:
            self.made.append(reply.json()["generation_id"])
        else:
            assert reply.json()["code"] in ("session_busy", "nothing_to_regenerate"), reply.text

    async def run(self) -> None:
        created = await self.http.post("/api/chat/session", json={"session_id": self.session_id})
        assert created.status_code == 201
        reading = [asyncio.create_task(reader.read()) for reader in self.readers]
        try:
            for _ in range(STEPS):
                await self.step()
            async with asyncio.timeout(PATIENCE):
                for one in self.made:
                    await self.http.post(f"/api/chat/generations/{one}/cancel")
                while any(reader.ended != set(self.made) for reader in self.readers):
                    assert not any(task.done() for task in reading)
                    await asyncio.sleep(0.05)
        finally:
            for task in reading:
                task.cancel()
            await asyncio.gather(*reading, return_exceptions=True)
        await self.check()

    async def check(self) -> None:
        stored = {one: await self.generation(one) for one in self.made}
        for reader in self.readers:
            ids = [tuple(map(int, event["id"].split("-"))) for event in reader.seen]
            assert ids == sorted(set(ids))
            events = defaultdict(list)
            for event in reader.seen:
                events[event["generation_id"]].append(event)
            for one in self.made:
                kinds = [event["type"] for event in events[one]]
                assert [kind in ENDS for kind in kinds].count(True) == 1, kinds
                assert kinds[-1] == {"completed": "done"}.get(stored[one]["status"], "stopped")
                assert text_of(events[one]) == stored[one]["text"], (one, kinds)
        for one in self.made:
            late = await sse_until_last(sse(self.server, f"/api/chat/generations/{one}/stream"))
            assert text_of(late) == stored[one]["text"]
        session = (await self.http.get(self.path)).json()
        history = (await self.http.get(f"{self.path}/messages?limit=100")).json()["items"]
        assert session["message_count"] == len(history)
        assert session["active_generation"] is None
        for message in history:
            if message["role"] == "assistant":
                assert message["content"] == stored[message["generation_id"]]["text"]

    async def generation(self, one: str) -> Json:
        found: Json = (await self.http.get(f"/api/chat/generations/{one}")).json()
        assert found["status"] in ("completed", "stopped")
        return found


async def test_talks_of_any_order_are_shown_as_they_are_kept(tmp_path: Path, kept: Kept) -> None:
    env = {"SIMULATED_DELAY": "0.01", "SIMULATED_CHUNKS": "30", **kept.settings}
    async with process(tmp_path, **env) as server, server.http() as http:
        talks = [Talk(server, http, number) for number in range(SESSIONS)]
        await asyncio.gather(*(talk.run() for talk in talks))
