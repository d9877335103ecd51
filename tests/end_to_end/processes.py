"""Real processes, real sockets."""

import asyncio
import base64
import os
import re
import signal
import ssl
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec
from websockets.asyncio.client import ClientConnection, connect

ROOT: Final = Path(__file__).parents[2]
PATIENCE: Final = 60.0
"""Seconds after which a test gives up; nothing in the suite asserts a shorter time."""
ENCRYPTION_KEY: Final = base64.b64encode(bytes(32)).decode()
SECRET_KEY: Final = "a secret of a server that nobody knows"
"""What only `dev` makes for itself, as the key above."""

_NO_TLS: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Nothing here is reached over it. Left to itself each client would spend 30 ms on authorities."""

KEYS: Final = {"ENCRYPTION_KEYS": ENCRYPTION_KEY, "SECRET_KEY": SECRET_KEY}

Json = dict[str, Any]


@dataclass
class Process:
    """One process of the product, in a folder of its own."""

    folder: Path
    command: str = "dev"
    environment: dict[str, str] = field(default_factory=dict)
    program: Sequence[str] = (str(ROOT / "main.py"),)
    """What Python is to run, before the command."""
    running: asyncio.subprocess.Process | None = None
    log: str = ""
    address: str = ""
    _reading: "asyncio.Task[None] | None" = None
    _written: asyncio.Event = field(default_factory=asyncio.Event)

    async def start(self) -> "Process":
        """Returns once it listens, or for a worker once it takes requests."""
        self.address = ""
        self.running = await asyncio.create_subprocess_exec(
            sys.executable,
            *self.program,
            self.command,
            cwd=self.folder,
            env={
                "PATH": os.environ["PATH"],
                "PORT": "0",
                "PERSONAS_FILE": str(ROOT / "style.yaml"),
                **({} if self.command == "dev" else KEYS),
                **self.environment,
            },
            stderr=asyncio.subprocess.PIPE,
        )
        seen = len(self.log)
        self._reading = asyncio.create_task(self._read())
        await self.says(r"llm-chat is on http://[^\s\"]+|takes requests", seen)
        found = re.search(r"llm-chat is on http://([^\s\"]+)", self.log[seen:])
        self.address = found[1] if found else ""
        return self

    async def _read(self) -> None:
        assert self.running is not None
        assert self.running.stderr is not None
        while line := await self.running.stderr.readline():
            self.log += line.decode()
            self._written.set()
        self._written.set()

    async def says(self, pattern: str, since: int = 0) -> None:
        """Wait for a line in the log."""
        assert self.running is not None
        async with asyncio.timeout(PATIENCE):
            while not re.search(pattern, self.log[since:]):
                assert self._reading is not None
                assert not self._reading.done(), f"it ended without saying {pattern}:\n{self.log}"
                self._written.clear()
                await self._written.wait()

    def told(self) -> list[Json]:
        """The log, line by line; a crash may have cut the last one."""
        lines = self.log.split("\n")[:-1]
        return [msgspec.json.decode(line, type=Json) for line in lines]

    async def kill(self) -> None:
        """As a crash does: at once, without a word."""
        await self._end(signal.SIGKILL)

    async def terminate(self) -> int:
        """As an operator does; returns the exit code."""
        return await self._end(signal.SIGTERM)

    async def _end(self, how: signal.Signals) -> int:
        assert self.running is not None
        if self.running.returncode is None:
            self.running.send_signal(how)
        async with asyncio.timeout(PATIENCE):
            code = await self.running.wait()
        assert self._reading is not None
        await self._reading
        return code

    def http(self, token: str | None = None) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            base_url=f"http://{self.address}",
            timeout=PATIENCE,
            headers=_bearer(token),
            verify=_NO_TLS,
        )

    def websocket(self, query: str = "", token: str | None = None) -> connect:
        return connect(
            f"ws://{self.address}/ws{query}",
            max_size=None,
            open_timeout=PATIENCE,
            additional_headers=_bearer(token),
        )


def _bearer(token: str | None) -> dict[str, str]:
    return {} if token is None else {"Authorization": f"Bearer {token}"}


@asynccontextmanager
async def process(folder: Path, command: str = "dev", **environment: str) -> AsyncIterator[Process]:
    """Started, and gone at the end; its log holds no traceback, and nothing but JSON."""
    made = await Process(folder, command, environment).start()
    try:
        yield made
    finally:
        await made.kill()
    assert "Traceback" not in made.log, made.log
    if "LOG_FORMAT" not in environment:
        assert all(told.keys() >= {"timestamp", "level", "event"} for told in made.told())


async def hear(socket: ClientConnection) -> Json:
    async with asyncio.timeout(PATIENCE):
        heard: Json = msgspec.json.decode(await socket.recv())
    return heard


async def hear_until(socket: ClientConnection, *kinds: str) -> list[Json]:
    """Frames up to the first of these types."""
    frames = [await hear(socket)]
    while frames[-1]["type"] not in kinds:
        frames.append(await hear(socket))
    return frames


async def say(socket: ClientConnection, **frame: Any) -> None:
    await socket.send(msgspec.json.encode(frame).decode())


async def sse(
    process: Process,
    path: str,
    cursor: str | None = None,
    token: str | None = None,
    **query: str,
) -> AsyncGenerator[Json, None]:
    """The events of a stream; each has its `id`, as a frame has."""
    headers = {"Last-Event-ID": cursor} if cursor else {}
    async with (
        process.http(token) as http,
        http.stream("GET", path, headers=headers, params=query) as reply,
    ):
        assert reply.status_code == 200, await reply.aread()
        assert reply.headers["content-type"].startswith("text/event-stream")
        event_id = ""
        async for line in reply.aiter_lines():
            if line.startswith("id: "):
                event_id = line[4:]
            elif line.startswith("data: "):
                yield {"id": event_id, **msgspec.json.decode(line[6:])}


async def sse_until_last(events: AsyncIterator[Json]) -> list[Json]:
    """Events up to the next terminal one."""
    heard = []
    async with asyncio.timeout(PATIENCE):
        async for event in events:
            heard.append(event)
            if event.get("is_last"):
                break
    return heard


def text_of(events: list[Json]) -> str:
    """The text as a client shows it, by the rules of the protocol."""
    text = ""
    for event in events:
        match event["type"]:
            case "start" | "reset":
                text = ""
            case "snapshot":
                text = event["text"]
            case "chunk":
                text += event["chunk"]
    return text
