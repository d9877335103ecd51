"""What no well-meant client sends: each gets its close code, and nobody else notices."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from tests.end_to_end.processes import PATIENCE, Process, hear, hear_until, process

MOST_BYTES = 256 * 1024

UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: chat\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Process]:
    async with process(tmp_path, SIMULATED_DELAY="0.05") as made:
        yield made


async def close_code(server: Process, frame: bytes) -> int:
    """How the server closes after these bytes of a client; it is read to its end."""
    host, port = server.address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    async with asyncio.timeout(PATIENCE):
        writer.write(UPGRADE)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        writer.write(frame)
        await writer.drain()
        while True:
            opcode, length = await reader.readexactly(2)
            if length == 126:
                length = int.from_bytes(await reader.readexactly(2))
            payload = await reader.readexactly(length)
            if opcode == 0x88:
                writer.close()
                return int.from_bytes(payload[:2])


@pytest.mark.parametrize("size", [MOST_BYTES + 1, 1_000_000, 20_000_000])
async def test_a_frame_that_is_too_large_is_told_so_however_large_it_is(
    server: Process, size: int
) -> None:
    head = b"\x81\xff" + size.to_bytes(8) + b"\0\0\0\0"
    assert await close_code(server, head + b"x" * size) == 1009


async def test_the_largest_frame_is_read_and_answered(server: Process) -> None:
    async with server.websocket() as socket:
        await hear(socket)
        await socket.send("x" * MOST_BYTES)
        refused = await hear(socket)
        assert refused["error"]["errors"][0]["pointer"] == "/message"
        await socket.send("Hello, LLM!")
        assert (await hear_until(socket, "done"))[-1]["is_last"]


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"\x81\x83\0\0\0\0\xff\xfe\xfd", 1007),  # no UTF-8
        (b"\x83\x80\0\0\0\0", 1002),  # no such opcode
        (b"\xc1\x80\0\0\0\0", 1002),  # a reserved bit
        (b"\x81\x02hi", 1002),  # not masked
    ],
)
async def test_a_malformed_frame_ends_its_own_connection_only(
    server: Process, frame: bytes, code: int
) -> None:
    async with server.websocket() as neighbour:
        await hear(neighbour)
        await neighbour.send("Hello, LLM!")
        await hear_until(neighbour, "chunk")
        assert await close_code(server, frame) == code
        assert (await hear_until(neighbour, "done"))[-1]["is_last"]


async def test_an_unknown_session_is_told_and_closed(server: Process) -> None:
    async with server.websocket("?session_id=nobodys") as socket:
        refused = await hear(socket)
        assert refused["error"]["code"] == "session_not_found"
        with pytest.raises(ConnectionClosed):
            await hear(socket)
        assert socket.close_code == 4404
