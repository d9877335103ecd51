"""The product as people reach it: a process, a way to it that can be cut, a server of models."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.end_to_end.processes import PATIENCE, Json, Process, process
from tests.faults.fault_proxy import FaultProxy, fault_proxy
from tests.upstream import Upstream, hello, upstream

SETTINGS: Final = {
    "OPENAI_MODEL": "gpt-real",
    "LEASE_SECONDS": "1",
    "SWEEP_SECONDS": "0.5",
    "WATCHDOG_SECONDS": "1",
    "SHUTDOWN_GRACE": "1",
    "SIMULATED_DELAY": "0",
}


@dataclass(frozen=True)
class Server:
    process: Process
    model: Upstream


@dataclass(frozen=True)
class Chat:
    process: Process
    way: FaultProxy
    model: Upstream

    @property
    def url(self) -> str:
        """The same for ever, whichever port the process behind it has got."""
        return f"http://127.0.0.1:{self.way.port}"

    async def kill(self) -> None:
        await self.process.kill()

    async def start(self) -> None:
        await self.process.start()
        self.way.target = _port(self.process)

    async def get(self, path: str, **query: Any) -> Json:
        return await self.call("GET", path, params=query)

    async def call(self, method: str, path: str, **more: Any) -> Json:
        """As another program of the same user does, past the way."""
        async with self.process.http() as http:
            reply = await http.request(method, path, **more)
        assert reply.status_code < 300, reply.text
        said: Json = reply.json() if reply.content else {}
        return said

    async def sessions(self) -> list[Json]:
        found: list[Json] = (await self.get("/api/chat/sessions"))["items"]
        return found

    async def session(self, session_id: str) -> Json:
        return await self.get(f"/api/chat/sessions/{session_id}")

    async def messages(self, session_id: str) -> list[Json]:
        found: list[Json] = (await self.get(f"/api/chat/sessions/{session_id}/messages"))["items"]
        return found

    async def add_session(self, title: str, *questions: str) -> str:
        """With those questions and their answers."""
        made = await self.call("POST", "/api/chat/session", json={"title": title})
        session_id: str = made["session_id"]
        for question in questions:
            body = {"session_id": session_id, "message": question}
            await self.call("POST", "/api/chat/message", json=body)
        return session_id

    async def forget_all(self) -> None:
        """What there is of the user, and what the model was told to say."""
        self.model.answers(hello)
        while sessions := await self.sessions():
            for session in sessions:
                await self.call("DELETE", f"/api/chat/sessions/{session['session_id']}")
        for api in (await self.get("/api/user/apis"))["items"]:
            await self.call("DELETE", f"/api/user/apis/{api['id']}")
        self.model.calls.clear()


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """For what tells nobody that it has changed."""
    async with asyncio.timeout(PATIENCE):
        while True:
            if await holds():
                return
            await asyncio.sleep(0.02)


def _port(process: Process) -> int:
    return int(process.address.rpartition(":")[2])


@asynccontextmanager
async def server(folder: Path, **settings: str) -> AsyncIterator[Server]:
    async with upstream() as model:
        env = {"OPENAI_BASE_URL": model.base_url, **SETTINGS, **settings}
        async with process(folder, **env) as running:
            yield Server(running, model)


@asynccontextmanager
async def reached(server: Server) -> AsyncIterator[Chat]:
    async with fault_proxy(_port(server.process)) as way:
        yield Chat(server.process, way, server.model)
