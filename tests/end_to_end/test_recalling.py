"""Two doors and two workers over one Postgres and one Redis: what is kept in Redis saves reads, and
changes nothing else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from infrastructure.redis.client import close_client, open_client
from tests import servers
from tests.end_to_end.processes import Json, Process, hear, hear_until, process, text_of
from tests.upstream import Upstream, upstream

FIRST_KEY = "sk-seeded-5e7d1c0a9b8f7e6d"
SECOND_KEY = "sk-seeded-9f3a77bc1d2e4f50"
TERMINAL = ("done", "failed", "stopped", "error")


@dataclass
class Stack:
    doors: list[Process]
    workers: list[Process]
    redis: servers.Redis
    models: tuple[Upstream, Upstream]
    session_id: str = ""

    async def ask(self, text: str, door: int = 1) -> str:
        """In the one conversation, over a new socket; the answer. Nothing but it may be heard."""
        query = f"?session_id={self.session_id}" if self.session_id else ""
        async with self.doors[door].websocket(query) as socket:
            self.session_id = (await hear(socket))["session_id"]
            await socket.send(text)
            heard = await hear_until(socket, *TERMINAL)
        assert heard[-1]["type"] == "done", heard[-1]
        return text_of(heard[1:])

    async def configure(self, method: str, path: str = "", **body: Any) -> Json:
        """At the first door."""
        async with self.doors[0].http() as http:
            reply = await http.request(method, f"/api/user/apis{path}", json=body or None)
            assert reply.is_success, reply.text
            return dict(reply.json()) if reply.content else {}

    def told(self, model: int) -> list[str]:
        """What that model was told last, and with which key."""
        call = self.models[model].calls[-1]
        said = [each["content"] for each in call.body["messages"] if each["role"] != "system"]
        return [call.headers.get("authorization", ""), *said]

    async def held(self) -> dict[str, bytes]:
        """All that Redis holds that is not a queue or a stream of events; all of it expires."""
        client = open_client(self.redis.url, timeout=10)
        found: dict[str, bytes] = {}
        for key in await client.execute_command("KEYS", "*"):
            if await client.execute_command("TYPE", key) == b"string":
                assert await client.execute_command("PTTL", key) > 0
                found[key.decode()] = await client.execute_command("GET", key)
        await close_client(client)
        return found

    async def all_of_redis(self) -> bytes:
        client = open_client(self.redis.url, timeout=10)
        read = {
            b"string": ("GET",),
            b"hash": ("HGETALL",),
            b"stream": ("XRANGE", "-", "+"),
        }
        found = []
        for key in await client.execute_command("KEYS", "*"):
            command, *more = read[await client.execute_command("TYPE", key)]
            found.append(key + repr(await client.execute_command(command, key, *more)).encode())
        await close_client(client)
        return b"\n".join(found)


@pytest.fixture
async def stack(
    tmp_path: Path, postgres_url: str, redis_server: servers.Redis
) -> AsyncIterator[Stack]:
    settings = {
        "DATABASE_URL": postgres_url,
        "REDIS_URL": redis_server.url,
        "SIMULATED_DELAY": "0",
        "UPSTREAM_PRIVATE": "allowed",
        "SWEEP_SECONDS": "0.5",
        "WATCHDOG_SECONDS": "1",
    }
    async with AsyncExitStack() as closing:
        places = []
        for name in ("door-0", "door-1", "worker-0", "worker-1"):
            (folder := tmp_path / name).mkdir()
            command = "serve" if name.startswith("door") else "work"
            places.append(closing.enter_async_context(process(folder, command, **settings)))
        made = await asyncio.gather(*places)
        models = [await closing.enter_async_context(upstream()) for _ in range(2)]
        yield Stack(made[:2], made[2:], redis_server, (models[0], models[1]))


async def test_a_configuration_changed_at_one_door_is_what_answers_behind_the_other(
    stack: Stack,
) -> None:
    config = await stack.configure(
        "POST",
        name="mine",
        model_name="gpt-mine",
        base_url=stack.models[0].base_url,
        provider="openai",
        api_key=FIRST_KEY,
    )
    path = f"/{config['id']}"
    for number in range(4):  # more than there are workers, so that one recalls what another kept
        assert await stack.ask(f"question {number}") == "Hello"
    said = [text for number in range(4) for text in (f"question {number}", "Hello")]
    assert stack.told(0) == [f"Bearer {FIRST_KEY}", *said[:-1]]
    held = await stack.held()
    assert held.keys() == {
        f"llmchat:{{{stack.session_id}}}:conversation",
        f"llmchat:config:{config['id']}",
    }

    changes = {"base_url": stack.models[1].base_url, "api_key": SECOND_KEY}
    await stack.configure("PUT", path, **changes)
    assert f"llmchat:config:{config['id']}" not in await stack.held()
    assert await stack.ask("question 4") == "Hello"
    assert stack.told(1) == [f"Bearer {SECOND_KEY}", *said, "question 4"]
    assert len(stack.models[0].calls) == 4

    everything = await stack.all_of_redis()
    for secret in (FIRST_KEY, SECOND_KEY):
        assert secret.encode() not in everything
        assert secret.encode()[::-1] not in everything

    await stack.configure("DELETE", path)
    assert list(await stack.held()) == [f"llmchat:{{{stack.session_id}}}:conversation"]
    assert (await stack.ask("question 5")).startswith("chunk 1: question 5")
    assert len(stack.models[1].calls) == 1


async def test_without_redis_everything_is_answered_as_before_and_nobody_is_told(
    stack: Stack,
) -> None:
    config = await stack.configure(
        "POST",
        name="mine",
        model_name="gpt-mine",
        base_url=stack.models[0].base_url,
        provider="openai",
        api_key=FIRST_KEY,
    )
    said = []
    for number in range(2):
        said += [f"question {number}", await stack.ask(f"question {number}")]
    stack.redis.kill()
    for number in range(2, 4):
        said += [f"question {number}", await stack.ask(f"question {number}")]
    assert stack.told(0) == [f"Bearer {FIRST_KEY}", *said[:-1]]
    # Nobody can be told to forget it, and what is recalled later is not what it was.
    changes = {"base_url": stack.models[1].base_url, "api_key": SECOND_KEY}
    await stack.configure("PUT", f"/{config['id']}", **changes)
    said += ["question 4", await stack.ask("question 4")]
    assert stack.told(1) == [f"Bearer {SECOND_KEY}", *said[:-1]]
    stack.redis.start()
    logs = [place.log for place in (*stack.doors, *stack.workers)]
    async with asyncio.timeout(60):
        for place in (*stack.doors, *stack.workers):
            await place.says("(?s)Redis is there.*Redis is there")
    said += ["question 5", await stack.ask("question 5")]
    assert stack.told(1) == [f"Bearer {SECOND_KEY}", *said[:-1]]
    assert not [line for log in logs for line in log.splitlines() if "cache" in line]
