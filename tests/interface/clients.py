"""Clients of the streaming doors, which speak ASGI to the application as a server would."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
from starlette.types import ASGIApp, Message, Scope

from domain.secret import Secret

Json = dict[str, Any]

PATIENCE_SECONDS: Final = 10
"""How long a test waits for what should come at once, before it fails."""


def bearer(token: Secret) -> dict[str, str]:
    return {"Authorization": f"Bearer {token.reveal()}"}


def problem_keys(*, flaws: bool = False) -> set[str]:
    keys = {"type", "title", "status", "detail", "instance", "code", "request_id"}
    return keys | {"errors"} if flaws else keys


def assert_problem(reply: httpx.Response, status: int, code: str, *, flaws: bool = False) -> None:
    assert reply.status_code == status
    assert reply.headers["content-type"] == "application/problem+json"
    shown = reply.json()
    soon = {"retry_after"} if status == 429 else set()
    assert shown.keys() == problem_keys(flaws=flaws) | soon
    assert (shown["status"], shown["code"]) == (status, code)
    assert shown["instance"] == reply.request.url.path
    assert shown["request_id"] == reply.headers["x-request-id"]


@dataclass(eq=False)
class Connection:
    """One ASGI call, and both directions of it. Once the client has left, what is sent to it fails
    as ASGI has it, or goes nowhere, as some servers do. It may leave by itself after a number of
    messages, or stop reading until `reading` is set."""

    fails_once_left: bool = True
    leaves_after: int | None = None
    stalls_after: int | None = None
    reading: asyncio.Event = field(default_factory=asyncio.Event)
    stalled: asyncio.Event = field(default_factory=asyncio.Event)
    _to_app: "asyncio.Queue[Message]" = field(default_factory=asyncio.Queue)
    _from_app: "asyncio.Queue[Message]" = field(default_factory=asyncio.Queue)
    _left: bool = False
    _closed: bool = False
    _call: "asyncio.Task[None] | None" = None

    def call(self, app: ASGIApp, scope: Scope) -> None:
        async def run() -> None:
            await app(scope, self._to_app.get, self._deliver)

        self._call = asyncio.create_task(run())

    async def ended(self) -> None:
        """Waits until the application has returned; raises what it raised."""
        assert self._call is not None
        await asyncio.wait_for(asyncio.shield(self._call), PATIENCE_SECONDS)

    async def cut(self) -> None:
        """As the server does at its end, with who does not read; raises what came of it."""
        assert self._call is not None
        self._call.cancel()
        await self._call

    async def close(self) -> None:
        if self._call is not None:
            self._call.cancel()
            await asyncio.wait((self._call,))

    def tell(self, message: Message) -> None:
        self._to_app.put_nowait(message)

    def leave(self, message: Message) -> None:
        self._left = True
        self.tell(message)

    async def told(self) -> Message:
        return await asyncio.wait_for(self._from_app.get(), PATIENCE_SECONDS)

    def rest(self) -> list[Message]:
        """What has been told and not been asked for."""
        return [self._from_app.get_nowait() for _ in range(self._from_app.qsize())]

    async def _deliver(self, message: Message) -> None:
        if self.leaves_after == 0:
            self._left = True
        elif self.leaves_after is not None:
            self.leaves_after -= 1
        if self.stalls_after == 0 and not self.reading.is_set():
            self.stalled.set()
            await self.reading.wait()
        elif self.stalls_after:
            self.stalls_after -= 1
        if self._closed:
            raise RuntimeError("the application has closed this connection before")
        if message["type"] == "websocket.close":
            self._closed = True
            self.tell({"type": "websocket.disconnect", "code": message["code"]})
        if not self._left:
            self._from_app.put_nowait(message)
        elif self.fails_once_left:
            raise OSError("the client is gone")


def http_scope(
    path: str, query: str = "", headers: Mapping[str, str] | None = None, method: str = "GET"
) -> Scope:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": _encoded(headers or {}),
        "client": ("127.0.0.1", 50_000),
        "server": ("chat", 80),
    }


def websocket_scope(query: str = "", headers: Mapping[str, str] | None = None) -> Scope:
    """Of a server that can refuse it by an answer, as ours can."""
    scope = http_scope("/ws", query, headers)
    extensions: Json = {"websocket.http.response": {}}
    return {**scope, "type": "websocket", "scheme": "ws", "extensions": extensions}


def _encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]


@dataclass(eq=False)
class EventSource:
    """Reads a stream block by block: what stands between two empty lines."""

    connection: Connection
    status: int
    headers: dict[str, str]
    ended: bool = False
    _read: bytes = b""

    async def block(self) -> str | None:
        """The next block; None once the stream has ended in good order."""
        while b"\n\n" not in self._read and not self.ended:
            message = await self.connection.told()
            assert message["type"] == "http.response.body"
            self._read += message.get("body", b"")
            self.ended = not message.get("more_body", False)
        if b"\n\n" not in self._read:
            assert self._read.replace(b":\n", b"") == b""
            return None
        block, _, self._read = self._read.partition(b"\n\n")
        return block.decode()

    async def event(self) -> Json | None:
        """The next event, with its id, past all comments; None at the end."""
        while (block := await self.block()) is not None:
            fields = dict(line.split(": ", 1) for line in block.split("\n") if line != ":")
            if "data" in fields:
                assert fields.keys() <= {"id", "data"}
                shown: Json = json.loads(fields["data"])
                return {"id": fields.get("id"), **shown}
        return None

    async def events(self, count: int) -> Sequence[Json]:
        return [event for _ in range(count) if (event := await self.event()) is not None]

    async def rest(self) -> Sequence[Json]:
        events = []
        while (event := await self.event()) is not None:
            events.append(event)
        return events

    def leave(self) -> None:
        self.connection.leave({"type": "http.disconnect"})


@dataclass(frozen=True)
class Reply:
    """The beginning of an answer; all of it, if it is a refusal."""

    status: int
    headers: dict[str, str]
    text: str

    def json(self) -> Json:
        said: Json = json.loads(self.text)
        return said


async def ask(
    app: ASGIApp,
    method: str,
    path: str,
    query: str,
    headers: Mapping[str, str],
    body: Json | bytes,
) -> Reply:
    """One request of any kind; the client does not wait for the end of a stream."""
    connection = Connection(fails_once_left=False)
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    connection.tell({"type": "http.request", "body": content, "more_body": False})
    connection.call(app, http_scope(path, query, headers, method))
    try:
        start = await connection.told()
        names = {name.decode(): value.decode() for name, value in start["headers"]}
        stays = names.get("content-type", "").startswith("text/event-stream")
        text = "" if stays else (await connection.told()).get("body", b"").decode()
        return Reply(start["status"], names, text)
    finally:
        await connection.close()


@asynccontextmanager
async def event_source(
    app: ASGIApp,
    path: str,
    query: str = "",
    headers: Mapping[str, str] | None = None,
    method: str = "GET",
    stalls_after: int | None = None,
    body: Json | None = None,
) -> AsyncIterator[EventSource]:
    connection = Connection(fails_once_left=False, stalls_after=stalls_after)
    said = b"" if body is None else json.dumps(body).encode()
    connection.tell({"type": "http.request", "body": said, "more_body": False})
    connection.call(app, http_scope(path, query, headers, method))
    try:
        start = await connection.told()
        assert start["type"] == "http.response.start"
        names = {name.decode(): value.decode() for name, value in start["headers"]}
        yield EventSource(connection, start["status"], names)
    finally:
        await connection.close()


@dataclass(eq=False)
class Socket:
    connection: Connection

    def say(self, said: "str | bytes | Json") -> None:
        """A text as it is, an object as JSON, bytes as a binary frame."""
        message: dict[str, Any] = {"type": "websocket.receive"}
        if isinstance(said, bytes):
            message["bytes"] = said
        else:
            message["text"] = said if isinstance(said, str) else json.dumps(said)
        self.connection.tell(message)

    async def hear(self) -> Json:
        message = await self.connection.told()
        assert message["type"] == "websocket.send"
        heard: Json = json.loads(message["text"])
        return heard

    async def hear_many(self, count: int) -> Sequence[Json]:
        return [await self.hear() for _ in range(count)]

    async def ask(self, said: "str | bytes | Json") -> Json:
        self.say(said)
        return await self.hear()

    async def closed(self) -> int:
        """Waits for the server's close; its code."""
        message = await self.connection.told()
        assert message["type"] == "websocket.close"
        code: int = message["code"]
        return code

    def leave(self) -> None:
        self.connection.leave({"type": "websocket.disconnect", "code": 1001})


@asynccontextmanager
async def websocket(
    app: ASGIApp,
    query: str = "",
    headers: Mapping[str, str] | None = None,
    leaves_after: int | None = None,
    stalls_after: int | None = None,
) -> AsyncIterator[Socket]:
    """`leaves_after` so many messages the client is gone, the first of which is the accept; it
    reads no more after `stalls_after` of them."""
    connection = Connection(leaves_after=leaves_after, stalls_after=stalls_after)
    connection.tell({"type": "websocket.connect"})
    connection.call(app, websocket_scope(query, headers))
    try:
        assert (await connection.told())["type"] == "websocket.accept"
        yield Socket(connection)
    finally:
        await connection.close()
