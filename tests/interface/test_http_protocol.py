"""How long a client may take, and how it is refused: the protocol between transport and loop."""

import asyncio
import json
from typing import Any

import pytest
from uvicorn.config import Config
from uvicorn.server import ServerState

from interface.http_protocol import MAX_HEAD_BYTES, HttpProtocol
from interface.websocket_protocol import WebSocketProtocol
from tests.interface.test_websocket_protocol import UPGRADE, FakeTransport

HEAD = b"POST / HTTP/1.1\r\nHost: chat\r\n%b\r\n"
BODY_OF_5 = HEAD % b"Content-Length: 5\r\n"
CHUNKED = HEAD % b"Transfer-Encoding: chunked\r\n"


class HastyProtocol(HttpProtocol):
    """Its clock stands still until a test lets it ring."""

    head_seconds = 3_600.0
    body_seconds = 7_200.0

    def rings(self) -> bool:
        return self._clock is not None

    def ring(self) -> None:
        assert self._clock is not None
        self._stop_clock()
        self._due = self.loop.time()
        self._look()


class Switchable(FakeTransport):
    protocol: Any = None

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        protocol: asyncio.BaseProtocol = self.protocol
        return protocol


async def reads_then_answers(scope: Any, receive: Any, send: Any) -> None:
    scope["request_id"] = "request-1"
    while (await receive()).get("more_body"):
        pass
    await answers(scope, receive, send)


async def answers(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def streams(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await asyncio.Event().wait()


async def waits(_scope: Any, _receive: Any, _send: Any) -> None:
    await asyncio.Event().wait()


def connected(app: Any = reads_then_answers) -> tuple[HastyProtocol, Switchable]:
    config = Config(app, ws=WebSocketProtocol, log_config=None)
    protocol = HastyProtocol(config, ServerState(), {})
    transport = Switchable()
    transport.protocol = protocol
    protocol.connection_made(transport)
    return protocol, transport


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def stop(protocol: HastyProtocol) -> None:
    for task in protocol.tasks:
        task.cancel()
    protocol.connection_lost(None)
    await turns()
    assert not protocol.rings()


def problem_in(written: bytes) -> Any:
    """The only answer."""
    head, _, body = written.partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json\r\n" in head
    assert b"content-length: %d\r\n" % len(body) in head
    assert b"x-content-type-options: nosniff\r\n" in head
    assert head.endswith(b"connection: close")
    shown = json.loads(body)
    assert head.startswith(b"HTTP/1.1 %d " % shown["status"])
    return shown


@pytest.mark.parametrize("begun", [b"G", b"\r\n", BODY_OF_5 + b"12345" + b"GET / HT"])
async def test_who_does_not_complete_a_head_is_let_go(begun: bytes) -> None:
    protocol, transport = connected()
    protocol.data_received(begun)
    await turns()
    answered = transport.written
    protocol.ring()
    assert transport.closed
    assert transport.written == answered
    await stop(protocol)


async def test_a_slow_head_gets_no_more_time_by_further_bytes() -> None:
    protocol, _ = connected()
    protocol.data_received(b"GET / HTTP/1.1\r\n")
    due = protocol._due
    for _ in range(3):
        protocol.data_received(b"X: y\r\n")
    assert protocol._due == due
    await stop(protocol)


@pytest.mark.parametrize("begun", [BODY_OF_5, BODY_OF_5 + b"1234", CHUNKED + b"1\r\nx\r\n"])
async def test_a_body_of_which_nothing_more_comes_is_refused(begun: bytes) -> None:
    protocol, transport = connected()
    protocol.data_received(begun)
    await turns()
    protocol.ring()
    assert transport.closed
    await turns()  # what the application says of it is not heard any more
    shown = problem_in(transport.written)
    assert (shown["code"], shown["status"]) == ("request_timeout", 408)
    assert shown["request_id"] == "request-1"
    await stop(protocol)


async def test_each_piece_of_a_body_gives_more_time() -> None:
    protocol, transport = connected()
    protocol.data_received(BODY_OF_5)
    first, clock = protocol._due, protocol._clock
    await turns()
    protocol.data_received(b"1")
    assert first is not None
    assert protocol._due is not None
    assert protocol._due > first
    assert protocol._clock is clock  # no timer for each byte
    protocol.data_received(b"2345")
    await turns()
    protocol._look()
    assert not transport.closed
    assert transport.written.startswith(b"HTTP/1.1 204 ")
    await stop(protocol)


async def test_who_waits_between_requests_costs_no_clock() -> None:
    protocol, _ = connected()
    for _ in range(2):
        protocol.data_received(BODY_OF_5 + b"12345")
        await turns()
        assert not protocol.rings()
    await stop(protocol)


async def test_who_connects_and_says_nothing_is_let_go_as_between_requests() -> None:
    protocol, transport = connected()
    assert protocol.timeout_keep_alive_task is not None
    protocol.timeout_keep_alive_handler()
    assert transport.closed
    await stop(protocol)
    assert protocol.timeout_keep_alive_task is None


@pytest.mark.parametrize(
    ("app", "begun"),
    [
        (streams, BODY_OF_5),  # an answer is under way
        (waits, HEAD % b"Content-Length: 5\r\nExpect: 100-continue\r\n"),  # nobody asked for it
        (waits, CHUNKED + b"20000\r\n" + b"x" * 100_000),  # nobody took what is there
        (waits, HEAD % b"" + b"GET / HT"),  # an answer is due to what came before
    ],
)
async def test_who_waits_for_us_is_not_let_go(app: Any, begun: bytes) -> None:
    protocol, transport = connected(app)
    protocol.data_received(begun)
    await turns()
    protocol.ring()
    assert not transport.closed
    assert protocol.rings()
    await stop(protocol)


async def test_an_upgraded_connection_is_not_measured_as_a_request() -> None:
    protocol, transport = connected()
    half = len(UPGRADE % b"") // 2
    protocol.data_received((UPGRADE % b"")[:half])
    assert protocol.rings()
    protocol.data_received((UPGRADE % b"")[half:])
    assert transport.protocol is not protocol
    assert not protocol.rings()
    for task in transport.protocol.tasks:
        task.cancel()
    await turns()


@pytest.mark.parametrize("garbage", [b"\x00\x01\x02 nonsense\r\n\r\n", CHUNKED + b"zz\r\n"])
async def test_what_is_no_http_is_told_so_once(garbage: bytes) -> None:
    protocol, transport = connected()
    protocol.data_received(garbage)
    await turns()
    assert transport.closed
    assert problem_in(transport.written)["code"] == "bad_request"
    await stop(protocol)


async def test_a_refusal_does_not_break_into_an_answer() -> None:
    protocol, transport = connected(streams)
    protocol.data_received(CHUNKED)
    await turns()
    protocol.data_received(b"zz\r\n")
    assert transport.closed
    assert transport.written.count(b"HTTP/1.1") == 1
    await stop(protocol)


async def test_an_answer_does_not_follow_a_refusal() -> None:
    ready = asyncio.Event()

    async def answers_later(scope: Any, receive: Any, send: Any) -> None:
        await ready.wait()
        await answers(scope, receive, send)

    protocol, transport = connected(answers_later)
    protocol.data_received(CHUNKED)
    await turns()
    protocol.data_received(b"zz\r\n")
    ready.set()
    await turns()
    assert problem_in(transport.written)["code"] == "bad_request"
    await stop(protocol)


async def test_a_head_that_is_too_large_is_told_so() -> None:
    protocol, transport = connected()
    protocol.data_received(b"GET / HTTP/1.1\r\nX: " + b"x" * MAX_HEAD_BYTES)
    assert transport.closed
    assert problem_in(transport.written)["code"] == "headers_too_large"
    await stop(protocol)


async def test_who_left_is_gone_for_the_request_that_is_answered_whatever_was_sent_ahead() -> None:
    heard: list[str] = []

    async def listens(_scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await receive()
        heard.append((await receive())["type"])

    protocol, transport = connected(listens)
    protocol.data_received(b"GET / HTTP/1.1\r\nHost: chat\r\n\r\n" * 3)
    await turns()
    written = len(transport.written)
    protocol.connection_lost(None)
    await turns()
    assert heard == ["http.disconnect"]
    assert len(transport.written) == written
    await stop(protocol)
