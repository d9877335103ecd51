"""How the protocol takes turns with other clients, at its two edges: transport and loop."""

import asyncio
from typing import Any

import pytest
from uvicorn.config import Config
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.server import ServerState

from interface.websocket_protocol import WebSocketProtocol

UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: chat\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n%b"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
PING = b"\x89\x80\0\0\0\0"
NO_SUCH_OPCODE = b"\x83\x80\0\0\0\0"
TEXT = b"\x81\x82\0\0\0\0hi"


class FakeTransport(asyncio.Transport):
    """Notes what is asked of it."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self._reading = True
        self.closed = False

    def reads(self) -> bool:
        return self._reading

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def pause_reading(self) -> None:
        self._reading = False

    def resume_reading(self) -> None:
        self._reading = True

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def can_write_eof(self) -> bool:
        return False


async def app(_scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    await asyncio.Event().wait()


def connected(app: Any = app) -> tuple[WebSocketProtocol, FakeTransport]:
    protocol = WebSocketProtocol(Config(app, log_config=None), ServerState(), {})
    transport = FakeTransport()
    protocol.connection_made(transport)
    return protocol, transport


async def upgraded() -> tuple[WebSocketProtocol, FakeTransport]:
    protocol, transport = connected()
    protocol.data_received(UPGRADE % b"")
    for _ in range(5):
        await asyncio.sleep(0)
    assert b"101 Switching Protocols" in transport.written
    assert transport.reads()
    return protocol, transport


async def stop(protocol: WebSocketProtocol) -> None:
    for task in protocol.tasks:
        task.cancel()
    protocol.connection_lost(None)
    await asyncio.sleep(0)


async def test_after_each_piece_the_others_have_their_turn() -> None:
    protocol, transport = await upgraded()
    protocol.data_received(PING * 100)
    assert not transport.reads()
    await asyncio.sleep(0)
    assert transport.reads()
    await stop(protocol)


async def test_who_does_not_read_pongs_is_not_read_from() -> None:
    protocol, transport = await upgraded()
    protocol.pause_writing()
    protocol.data_received(PING)
    await asyncio.sleep(0)
    assert not transport.reads()
    protocol.resume_writing()
    assert transport.reads()
    await stop(protocol)


async def test_a_message_that_was_not_taken_yet_stays_the_last_one_read() -> None:
    protocol, transport = await upgraded()
    protocol.data_received(TEXT)
    await asyncio.sleep(0)
    assert not transport.reads()
    protocol.resume_writing()
    assert not transport.reads()
    await stop(protocol)


async def test_empty_fragments_are_not_collected() -> None:
    protocol, _ = await upgraded()
    protocol.data_received(b"\x01\x81\0\0\0\0h" + b"\x00\x80\0\0\0\0" * 100)
    assert len(protocol.frames) == 1
    protocol.data_received(b"\x80\x81\0\0\0\0i")
    heard: Any = protocol.queue.get_nowait()
    assert heard["text"] == "hi"
    await stop(protocol)


@pytest.mark.parametrize(
    ("header", "status", "code"),
    [
        (b"Cookie: " + b"y" * 9_000, 431, b"headers_too_large"),
        (b"no header", 400, b"bad_request"),
    ],
)
async def test_a_refused_upgrade_is_answered(header: bytes, status: int, code: bytes) -> None:
    protocol, transport = connected()
    protocol.data_received(UPGRADE % (header + b"\r\n"))
    assert transport.written.startswith(b"HTTP/1.1 %d " % status)
    assert b'"code":"%b"' % code in transport.written
    assert transport.closed
    protocol.connection_lost(None)


async def test_an_upgrade_that_the_application_refuses_is_no_fault_of_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def refuse(_scope: Any, _receive: Any, send: Any) -> None:
        kind = "websocket.http.response"
        await send({"type": f"{kind}.start", "status": 403, "headers": []})
        await send({"type": f"{kind}.body", "body": b"Not you", "more_body": False})

    protocol, transport = connected(refuse)
    protocol.data_received(UPGRADE % b"")
    await asyncio.gather(*protocol.tasks)
    assert transport.written.startswith(b"HTTP/1.1 403 ")
    assert transport.written.endswith(b"\r\n\r\nNot you")
    assert transport.closed
    assert caplog.messages == []
    protocol.shutdown()
    protocol.connection_lost(None)


async def test_sending_to_who_was_refused_or_is_silent_is_sending_to_who_is_gone() -> None:
    """And no fault of the application, with a traceback in the log."""
    message: Any = {"type": "websocket.send", "text": "hi"}
    refused, _ = await upgraded()
    refused.data_received(NO_SUCH_OPCODE)
    silent, _ = await upgraded()
    silent.keepalive_timeout()
    for protocol in (refused, silent):
        with pytest.raises(ClientDisconnected):
            await protocol.send(message)
        await stop(protocol)
