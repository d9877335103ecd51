"""A server of models on a real socket, which does as it is scripted."""

import asyncio
import json
import socket
import ssl
import struct
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, cast

Json = dict[str, Any]


@dataclass(eq=False)
class Call:
    """One request that has come, and the pen for its reply."""

    path: str
    headers: Mapping[str, str]
    body: Json
    connection: "_Connection"
    left: asyncio.Event = field(default_factory=asyncio.Event)
    """The caller is gone, and did not wait for the end."""

    async def send(self, data: bytes) -> None:
        """Bytes as they are, with no framing around them."""
        await self.connection.send(data)

    async def begin(
        self,
        status: int = 200,
        content_type: str = "text/event-stream",
        reason: str = "So",
        **headers: str,
    ) -> None:
        """The head of a chunked reply."""
        lines = [f"HTTP/1.1 {status} {reason}", "Transfer-Encoding: chunked"]
        if content_type:
            lines.append(f"Content-Type: {content_type}")
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        await self.send("\r\n".join([*lines, "", ""]).encode())

    async def write(self, data: bytes) -> None:
        """A piece of the chunked reply."""
        await self.send(b"%x\r\n%b\r\n" % (len(data), data))

    async def say(self, **said: Any) -> None:
        """An event."""
        await self.write(b"data: " + json.dumps(said).encode() + b"\n\n")

    async def chunk(self, text: str, **more: Any) -> None:
        choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
        await self.say(object="chat.completion.chunk", choices=[choice], **more)

    async def finish(self, reason: str | None = "stop") -> None:
        choice = {"index": 0, "delta": {}, "finish_reason": reason}
        await self.say(object="chat.completion.chunk", choices=[choice])

    async def usage(self, prompt: int, completion: int) -> None:
        counted = {"prompt_tokens": prompt, "completion_tokens": completion}
        await self.say(object="chat.completion.chunk", choices=[], usage=counted)

    async def done(self) -> None:
        await self.write(b"data: [DONE]\n\n")
        await self.end()

    async def end(self) -> None:
        """The end of the chunked reply; the connection stays."""
        await self.send(b"0\r\n\r\n")

    async def reply(
        self,
        status: int,
        said: object = None,
        content_type: str = "application/json",
        **headers: str,
    ) -> None:
        """A whole reply: bytes as they are, anything else as JSON."""
        body = said if isinstance(said, bytes) else json.dumps(said).encode()
        await self.begin(status, content_type, **headers)
        await self.write(body)
        await self.end()

    def cut(self) -> None:
        """Close the connection, whatever was promised."""
        self.connection.transport.close()

    def reset(self) -> None:
        made = self.connection.transport.get_extra_info("socket")
        made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.transport.abort()

    async def hang(self) -> None:
        """Say no more, until the caller leaves."""
        await self.left.wait()


Script = Callable[[Call], Awaitable[None]]


async def hello(call: Call) -> None:
    """An ordinary answer."""
    await call.begin()
    await call.chunk("Hel")
    await call.chunk("lo")
    await call.finish()
    await call.usage(3, 2)
    await call.done()


@dataclass(eq=False)
class Upstream:
    """Each call is answered by the next script, the last of which stays."""

    port: int = 0
    scripts: deque[Script] = field(default_factory=lambda: deque([hello]))
    calls: list[Call] = field(default_factory=list)
    connections: int = 0
    """How many were made."""
    called: asyncio.Event = field(default_factory=asyncio.Event)
    connected: asyncio.Event = field(default_factory=asyncio.Event)
    alone: asyncio.Event = field(default_factory=asyncio.Event)
    """No connection is open."""
    transports: set[asyncio.Transport] = field(default_factory=set)
    """Of the open connections."""
    _tasks: set["asyncio.Task[None]"] = field(default_factory=set)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def answers(self, *scripts: Script) -> None:
        self.scripts = deque(scripts)

    def take(self, call: Call) -> "asyncio.Task[None]":
        self.calls.append(call)
        self.called.set()
        script = self.scripts.popleft() if len(self.scripts) > 1 else self.scripts[0]
        task = asyncio.ensure_future(_run(script, call))
        self._tasks.add(task)
        return task

    def begin_after(self, begins: asyncio.Event, server: asyncio.Server) -> None:
        async def begin() -> None:
            await begins.wait()
            await server.start_serving()

        self._tasks.add(asyncio.ensure_future(begin()))

    async def idle(self) -> None:
        """Returns once no script is at work."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        for transport in self.transports:
            transport.abort()
        results = await asyncio.gather(*self._tasks, return_exceptions=True)
        failed = [each for each in results if isinstance(each, Exception)]
        if failed:
            raise ExceptionGroup("a script failed", failed)


async def _run(script: Script, call: Call) -> None:
    with suppress(ConnectionError):  # the caller left while it was answered
        await script(call)


class _Connection(asyncio.Protocol):
    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._received = b""
        self._call: Call | None = None
        self._lost = False
        self._writable = asyncio.Event()
        self._writable.set()
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._upstream.connections += 1
        self._upstream.transports.add(self.transport)
        self._upstream.alone.clear()
        self._upstream.connected.set()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, rest = self._received.partition(b"\r\n\r\n")
        if not found:
            return
        first, *lines = head.decode("latin-1").split("\r\n")
        pairs = (line.split(": ", 1) for line in lines)
        headers = {name.lower(): value for name, value in pairs}
        length = int(headers.get("content-length", 0))
        if len(rest) < length:
            return
        self._received = rest[length:]
        body = json.loads(rest[:length]) if length else {}
        self._call = call = Call(first.split(" ")[1], headers, body, self)

        def ended(_: "asyncio.Task[None]") -> None:
            if self._call is call:
                self._call = None

        self._upstream.take(call).add_done_callback(ended)

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        self._writable.set()
        self._upstream.transports.discard(self.transport)
        if not self._upstream.transports:
            self._upstream.alone.set()
        if self._call is not None:
            self._call.left.set()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    async def send(self, data: bytes) -> None:
        if self._lost or self.transport.is_closing():
            raise ConnectionResetError
        self.transport.write(data)
        await asyncio.sleep(0)  # for the loop to see who has left
        await self._writable.wait()


@asynccontextmanager
async def upstream(
    host: str = "127.0.0.1",
    tls: ssl.SSLContext | None = None,
    begins: asyncio.Event | None = None,
) -> AsyncIterator[Upstream]:
    """If it `begins` later, connections are refused until then."""
    made = Upstream()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: _Connection(made), host, 0, ssl=tls, start_serving=begins is None
    )
    if begins is not None:
        made.begin_after(begins, server)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        await made.close()
