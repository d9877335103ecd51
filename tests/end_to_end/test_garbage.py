"""What is thrown at the port: each piece is refused cleanly, and nobody else notices
(T47, T48)."""

import asyncio
import random
from contextlib import suppress
from pathlib import Path
from typing import Final

from interface.http_protocol import MAX_HEAD_BYTES
from tests.end_to_end.processes import PATIENCE, Process, hear, hear_until, process

_HOST: Final = b"Host: chat\r\nConnection: close\r\n"
_POST: Final = b"POST /api/chat/session HTTP/1.1\r\n" + _HOST
_CHUNKED: Final = _POST + b"Transfer-Encoding: chunked\r\n\r\n"

HTTP: Final[dict[str, bytes]] = {
    "random bytes": random.Random(47).randbytes(5_000),
    "zeros": bytes(1_000),
    "a TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
    "no method": b"/healthz HTTP/1.1\r\n" + _HOST + b"\r\n",
    "an unknown method": b"BREW /healthz HTTP/1.1\r\n" + _HOST + b"\r\n",
    "no such version": b"GET /healthz HTTP/9.9\r\n" + _HOST + b"\r\n",
    "HTTP/0.9": b"GET /nowhere\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9),
    "a chunk without a size": _CHUNKED + b"zz\r\nhi\r\n0\r\n\r\n",
    "a chunk of a negative size": _CHUNKED + b"-5\r\nhello\r\n0\r\n\r\n",
    "a chunk of a huge size": _CHUNKED + b"f" * 40 + b"\r\nhello\r\n",
    "a chunk longer than it says": _CHUNKED + b"1\r\nhello\r\n0\r\n\r\n",
    "two lengths": _POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}x",
    "a negative length": _POST + b"Content-Length: -2\r\n\r\n{}",
    "a length that is no number": _POST + b"Content-Length: two\r\n\r\n{}",
    "a huge length": _POST + b"Content-Length: " + b"9" * 40 + b"\r\n\r\n{}",
    "a length and chunks": (
        _POST + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /"
    ),
    "a coding behind chunks": _POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "NUL in a header": b"GET /nowhere HTTP/1.1\r\n" + _HOST + b"X: a\x00b\r\n\r\n",
    "NUL in a path": b"GET /\x00 HTTP/1.1\r\n" + _HOST + b"\r\n",
    "a header without a colon": b"GET /nowhere HTTP/1.1\r\nHost\r\n\r\n",
    "a header with a space": b"GET /nowhere HTTP/1.1\r\nX Y: z\r\n\r\n",
    "a folded header": b"GET /nowhere HTTP/1.1\r\n" + _HOST + b"X: a\r\n b\r\n\r\n",
    "a whole address": b"GET http://chat/nowhere HTTP/1.1\r\n" + _HOST + b"\r\n",
    "a whole address without a path": b"GET http://chat HTTP/1.1\r\n" + _HOST + b"\r\n",
    "OPTIONS *": b"OPTIONS * HTTP/1.1\r\n" + _HOST + b"\r\n",
    "CONNECT": b"CONNECT example.test:443 HTTP/1.1\r\n" + _HOST + b"\r\n",
    "a huge head": (b"GET /healthz HTTP/1.1\r\n" + b"X: y\r\n" * 12_000)[: MAX_HEAD_BYTES + 1],
    "a percent alone": b"GET /% HTTP/1.1\r\n" + _HOST + b"\r\n",
    "no hexadecimal": b"GET /api/chat/sessions/%zz%c HTTP/1.1\r\n" + _HOST + b"\r\n",
    "NUL in percents": b"GET /api/chat/sessions/%00 HTTP/1.1\r\n" + _HOST + b"\r\n",
    "a path that is no UTF-8": b"GET /api/chat/sessions/%ff%fe HTTP/1.1\r\n" + _HOST + b"\r\n",
    "a surrogate": b"GET /api/chat/sessions/%ed%a0%80 HTTP/1.1\r\n" + _HOST + b"\r\n",
    "a way up": b"GET /page/../../%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\n" + _HOST + b"\r\n",
    "a query that is no UTF-8": (
        b"GET /api/chat/sessions?cursor=%ff%fe&limit=%00 HTTP/1.1\r\n" + _HOST + b"\r\n"
    ),
    "raw bytes in a path": b"GET /api/\xff\xfe HTTP/1.1\r\n" + _HOST + b"\r\n",
    "raw bytes in a query": b"GET /sse?x=\xff\xfe HTTP/1.1\r\n" + _HOST + b"\r\n",
    "a body that is no UTF-8": _POST + b'Content-Length: 14\r\n\r\n{"title":"\xff\xfe"}',
    "NULs as a body": _POST + b"Content-Length: 5\r\n\r\n" + bytes(5),
    "a deep body": _POST + b"Content-Length: 200000\r\n\r\n" + b"[" * 200_000,
}

HALVES: Final[dict[str, bytes]] = {
    "of a head": b"GET /healthz HTTP/1.1\r\nHos",
    "of a body": _POST + b"Content-Length: 50\r\n\r\n{",
    "of a chunk": _CHUNKED + b"50\r\n{",
}

_KEY: Final = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
_VERSION: Final = b"Sec-WebSocket-Version: 13\r\n"
_UPGRADE: Final = b"GET /ws HTTP/1.1\r\nHost: chat\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"

UPGRADES: Final[dict[str, bytes]] = {
    "no key": _UPGRADE + _VERSION + b"\r\n",
    "a short key": _UPGRADE + _VERSION + b"Sec-WebSocket-Key: c2hvcnQ=\r\n\r\n",
    "a key that is no base64": _UPGRADE + _VERSION + b"Sec-WebSocket-Key: \xff!\r\n\r\n",
    "two keys": _UPGRADE + _VERSION + _KEY + _KEY + b"\r\n",
    "no version": _UPGRADE + _KEY + b"\r\n",
    "an old version": _UPGRADE + _KEY + b"Sec-WebSocket-Version: 8\r\n\r\n",
    "a version that is no number": _UPGRADE + _KEY + b"Sec-WebSocket-Version: x\r\n\r\n",
    "a POST": _UPGRADE.replace(b"GET", b"POST") + _KEY + _VERSION + b"\r\n",
    "a body": _UPGRADE + _KEY + _VERSION + b"Content-Length: 5\r\n\r\nhello",
    "another path": _UPGRADE.replace(b"/ws", b"/%ff") + _KEY + _VERSION + b"\r\n",
    "raw bytes in the path": _UPGRADE.replace(b"/ws", b"/ws?\xff") + _KEY + _VERSION + b"\r\n",
}


def frame(first: int, payload: bytes = b"") -> bytes:
    """Masked by zeros."""
    assert len(payload) < 126
    return bytes((first, 0x80 | len(payload))) + bytes(4) + payload


FRAMES: Final[dict[str, bytes]] = {
    "random bytes": b"\xff" + random.Random(48).randbytes(5_000),
    "not masked": b"\x81\x02hi",
    "a reserved opcode": frame(0x83),
    "a reserved opcode of control": frame(0x8B),
    "a reserved bit": frame(0xC1, b"hi"),
    "a huge length": b"\x81\xff" + (2**62).to_bytes(8) + bytes(4),
    "a length beyond all": b"\x81\xff" + b"\xff" * 8 + bytes(4),
    "no UTF-8": frame(0x81, b"\xff\xfe"),
    "no UTF-8 in two fragments": frame(0x01, b"\xe4") + frame(0x80, b"\xff"),
    "a fragmented ping": frame(0x09, b"hi"),
    "a long ping": b"\x89\xfe\x01\x00" + bytes(4) + bytes(256),
    "a continuation of nothing": frame(0x80, b"hi"),
    "a message within a message": frame(0x01, b"a") + frame(0x81, b"b"),
    "pings without end, then a close": frame(0x89, b"x" * 100) * 20_000 + frame(0x88),
    "a close of one byte": frame(0x88, b"\x03"),
    "a close with a code that is none": frame(0x88, (0).to_bytes(2)),
    "a close with a reserved code": frame(0x88, (1005).to_bytes(2)),
    "a close with a code beyond all": frame(0x88, (65_535).to_bytes(2)),
    "a close that is no UTF-8": frame(0x88, (1000).to_bytes(2) + b"\xff\xfe"),
}


async def answer_to(server: Process, thrown: bytes, *, leaves: bool = False) -> bytes:
    """All that the server says until it hangs up; or the client does so first."""
    reader, writer = await asyncio.open_connection(*server.address.split(":"))
    async with asyncio.timeout(PATIENCE):
        listening = asyncio.create_task(all_of(reader))
        with suppress(ConnectionError):
            writer.write(thrown)
            if leaves:
                writer.write_eof()
            await writer.drain()
        said = await listening
    writer.close()
    return said


async def answer_to_frames(server: Process, thrown: bytes) -> bytes:
    """Likewise, of what comes behind the handshake."""
    reader, writer = await asyncio.open_connection(*server.address.split(":"))
    async with asyncio.timeout(PATIENCE):
        writer.write(_UPGRADE + _KEY + _VERSION + b"\r\n")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        listening = asyncio.create_task(all_of(reader))
        with suppress(ConnectionError):
            writer.write(thrown)
            await writer.drain()
        said = await listening
    writer.close()
    return said


async def all_of(reader: asyncio.StreamReader) -> bytes:
    said = bytearray()
    with suppress(ConnectionError):  # closed while more was on its way
        while piece := await reader.read(65_536):
            said.extend(piece)
    return bytes(said)


async def assert_well(server: Process) -> None:
    async with server.http() as http:
        assert (await http.get("/healthz")).status_code == 200
    async with server.websocket() as socket:
        await hear(socket)
        await socket.send("Hello, LLM!")
        assert (await hear_until(socket, "done"))[-1]["is_last"]


async def test_http_garbage_is_refused_and_nobody_else_notices(tmp_path: Path) -> None:
    """The fixture looks for tracebacks."""
    async with process(tmp_path, SIMULATED_DELAY="0") as server:
        for name, thrown in HTTP.items():
            said = await answer_to(server, thrown)
            assert said.startswith(b"HTTP/1.1 4"), (name, said)
            assert said.count(b"HTTP/1.1 ") == 1, (name, said)
        for name, thrown in HALVES.items():
            assert await answer_to(server, thrown, leaves=True) == b"", name
        await assert_well(server)


async def test_websocket_garbage_is_refused_and_nobody_else_notices(tmp_path: Path) -> None:
    async with process(tmp_path, SIMULATED_DELAY="0") as server:
        for name, thrown in UPGRADES.items():
            said = await answer_to(server, thrown)
            assert said.startswith(b"HTTP/1.1 4"), (name, said)
        for name, thrown in FRAMES.items():
            said = await answer_to_frames(server, thrown)
            assert b"\x88" in said, (name, said)  # a close frame
        await assert_well(server)
