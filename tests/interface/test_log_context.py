"""What the lines of the log are about, and what is about nothing."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from contextvars import Context, copy_context
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from application import log_context
from application.log_context import also_about, begin_apart, lines_are_about, only_about
from application.ports import Finish, Piece, TextPiece
from application.ports import Request as Hint
from domain.identifiers import SessionId
from domain.prompt import ContextWindow, Prompt
from infrastructure.memory.cache import MemoryCache
from infrastructure.memory.event_stream import MemoryEventStream
from infrastructure.memory.rate_limiter import MemoryRateLimiter
from infrastructure.memory.request_queue import MemoryRequestQueue
from infrastructure.memory.seats import MemorySeats
from interface.app import build_app
from interface.http_protocol import HttpProtocol
from interface.request_id import RequestIds
from interface.server import Server
from tests.fakes import CountingIds, FakeDocumentReader
from tests.interface.clients import PATIENCE_SECONDS, websocket
from tests.interface.doors import Doors
from tests.interface.test_http_protocol import Switchable, turns
from wiring.given import Ports
from wiring.worker import build_worker

GET = b"GET /%b HTTP/1.1\r\nHost: chat\r\nX-Request-ID: %b\r\n\r\n"


class Lines(logging.Handler):
    """Each line, and what it is about."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[tuple[str, Mapping[str, Any]]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.written.append((record.getMessage(), lines_are_about()))

    def about(self, start: str) -> Mapping[str, Any]:
        """Of the only line that starts so."""
        ((_, found),) = [line for line in self.written if line[0].startswith(start)]
        return found


@pytest.fixture
def lines() -> Iterator[Lines]:
    made, root = Lines(), logging.getLogger()
    before = root.level
    root.addHandler(made)
    root.setLevel(logging.INFO)
    yield made
    root.removeHandler(made)
    root.setLevel(before)


@asynccontextmanager
async def connection(app: Any) -> AsyncIterator[tuple[HttpProtocol, Switchable]]:
    """One of the server's, as it is set."""
    protocol = HttpProtocol(Server(app, lambda: None).config, ServerState(), {})
    transport = Switchable()
    transport.protocol = protocol
    protocol.connection_made(transport)
    yield protocol, transport
    for task in protocol.tasks:
        task.cancel()
    protocol.connection_lost(None)
    await turns()


async def test_a_line_is_about_its_request_and_who_asks(
    doors: Doors, http: httpx.AsyncClient, lines: Lines
) -> None:
    await http.get("/api/chat/sessions", headers={"X-Request-ID": "request-42"})
    about = lines.about("GET '/api/chat/sessions' 200")
    assert about == {"request_id": "request-42", "user_id": await doors.local()}


async def test_a_request_on_the_same_connection_is_about_nothing_of_the_one_before(
    lines: Lines,
) -> None:
    seen: list[Mapping[str, Any]] = []
    inner = RequestIds(PlainTextResponse("it is well"))

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(lines_are_about())
        await inner(scope, receive, send)
        seen.append(lines_are_about())
        only_about(request_id=scope["request_id"])  # as after a fault

    async with connection(app) as (protocol, transport):
        protocol.data_received(GET % (b"one", b"request-01") + GET % (b"two", b"request-02"))
        await turns()
        protocol.data_received(GET % (b"three", b"request-03"))
        await turns()
    assert transport.written.count(b"it is well") == 3
    assert seen == [{}] * 6
    told = [(line.split()[1], about) for line, about in lines.written]
    assert told == [
        ("'/one'", {"request_id": "request-01"}),
        ("'/two'", {"request_id": "request-02"}),
        ("'/three'", {"request_id": "request-03"}),
    ]
    assert lines_are_about() == {}


async def test_the_traceback_of_a_fault_is_about_its_request(lines: Lines) -> None:
    async def fail(_: Request) -> Response:
        also_about(user_id=3)
        raise ZeroDivisionError

    async with connection(build_app([Route("/fault", fail)])) as (protocol, _):
        protocol.data_received(GET % (b"fault", b"request-01"))
        await turns()
        await turns()
    assert lines.about("Exception in ASGI application") == {
        "request_id": "request-01",
        "user_id": 3,
    }


async def test_a_message_over_a_socket_has_an_id_of_its_own_while_it_is_accepted(
    doors: Doors, session: SessionId
) -> None:
    seen: list[Mapping[str, Any]] = []
    put = doors.queue.put

    async def noting(request: Hint) -> None:
        seen.append(lines_are_about())
        assert request.request_id == lines_are_about()["request_id"]
        await put(request)

    doors.queue.put = noting  # type: ignore[method-assign]
    headers = {"X-Request-ID": "request-42"}
    async with websocket(doors.app, f"session_id={session}", headers) as socket:
        await socket.hear()
        for _ in range(2):
            assert (await socket.ask("why?"))["type"] == "accepted"
    assert [about["request_id"] for about in seen] == ["request-42.1", "request-42.2"]


async def test_what_a_worker_says_is_about_what_it_answers(
    doors: Doors, session: SessionId, lines: Lines
) -> None:
    seen: list[Mapping[str, Any]] = []
    asked = asyncio.Event()

    async def model(_: Prompt) -> AsyncGenerator[Piece, None]:
        seen.append(lines_are_about())
        asked.set()
        yield TextPiece("because")
        yield Finish("stop")

    queue = MemoryRequestQueue()
    ports = Ports(
        doors.database,
        queue,
        doors.stream,
        doors.wake_ups,
        MemoryCache(),
        doors.models,
        doors.personas,
        CountingIds(),
        doors.files,
        FakeDocumentReader(),
        MemoryRateLimiter(),
        MemorySeats(),
    )
    worker = build_worker(ports, ContextWindow(20, 1_000, len), 10, 3_600, 3_600)
    worker.start()
    doors.model.script = model
    generation_id = await doors.ask(session)
    await queue.put(Hint(generation_id))
    async with asyncio.timeout(PATIENCE_SECONDS):
        await asked.wait()
    await worker.drain(PATIENCE_SECONDS)
    about = {
        "generation_id": generation_id,
        "request_id": "request-1",
        "session_id": session,
        "attempt": 1,
    }
    assert seen == [about]
    assert lines.about("answering") == about
    assert lines_are_about() == {}


async def test_what_is_begun_apart_is_about_nothing_and_keeps_nothing() -> None:
    async def look() -> Context:
        return copy_context()

    only_about(request_id="request-01")
    within = await asyncio.create_task(look())
    assert within[log_context._about] == {"request_id": "request-01"}
    assert log_context._about not in await begin_apart(look())
    only_about()


async def test_what_a_stream_does_again_and_again_is_about_no_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("infrastructure.memory.event_stream._EXPIRY_SECONDS", 0.001)
    stream, seen, looked = MemoryEventStream(alone=True), [lines_are_about()], asyncio.Event()

    def look() -> None:
        seen.append(lines_are_about())
        looked.set()

    monkeypatch.setattr(stream, "expire", look)
    only_about(request_id="request-01")
    await stream.remove(SessionId("s"))
    only_about()
    async with asyncio.timeout(PATIENCE_SECONDS):
        await looked.wait()
    stream.close()
    assert seen == [{}, {}]
