"""Servers that send more than anybody can hold (T25): cut or exact, with memory flat."""

import gzip
import json
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from application.ports import Finish, TextPiece
from infrastructure.upstreams.limits import Limits
from tests.answers import hear
from tests.infrastructure.conftest import MakeModel
from tests.infrastructure.replies import lines
from tests.upstream import Call, Upstream, hello

MIB = 1024 * 1024
QUICK = Limits(first_event=0.15, gap=0.15, total=600)

HI = lines('{"choices":[{"index":0,"delta":{"content":"Hi"}}]}')
END = lines('{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}', "[DONE]")


@contextmanager
def memory() -> Iterator[Callable[[], int]]:
    """The most bytes that are taken meanwhile."""
    tracemalloc.start()
    try:
        yield lambda: tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


class Flood:
    """A server that sends the same again and again, and looks at this process's memory."""

    def __init__(self, part: bytes, first: bytes = b"", most: int = 200 * MIB) -> None:
        self.part = part
        self.first = first
        self.most = most
        self.sent = 0

    async def __call__(self, call: Call) -> None:
        await call.send(self.first)
        while self.sent < self.most:
            await call.send(self.part)
            self.sent += len(self.part)
        await call.hang()


def head(*headers: str, status: int = 200) -> bytes:
    lines = [f"HTTP/1.1 {status} OK", "Content-Type: text/event-stream", *headers, "", ""]
    return "\r\n".join(lines).encode()


@pytest.fixture(autouse=True)
async def warm(server: Upstream, make_model: MakeModel) -> None:
    """What is imported and pooled at the first call counts for no flood."""
    await hear(make_model())


@pytest.mark.parametrize(
    "begin", [b"", b"data: ", b": ", b'data: {"choices":[{"delta":{"content":"']
)
async def test_a_line_without_end_is_cut(
    server: Upstream, make_model: MakeModel, begin: bytes
) -> None:
    flood = Flood(b"x" * 64 * 1024, head() + HI + begin)
    server.answers(flood)
    with memory() as grown_to:
        heard = await hear(make_model())
        grown = grown_to()
    assert (heard.pieces, heard.code) == ([TextPiece("Hi")], "upstream_malformed")
    await server.alone.wait()
    assert flood.sent < 20 * MIB
    assert grown < 30 * MIB


async def test_an_event_of_lines_without_end_is_cut(
    server: Upstream, make_model: MakeModel
) -> None:
    flood = Flood(b"data: x\n" * 8 * 1024, head() + HI)
    server.answers(flood)
    with memory() as grown_to:
        heard = await hear(make_model(limits=Limits(line_bytes=128 * 1024)))
        grown = grown_to()
    assert (heard.pieces, heard.code) == ([TextPiece("Hi")], "upstream_malformed")
    assert flood.sent < 20 * MIB
    assert grown < 15 * MIB


async def test_a_whole_answer_without_end_is_cut(server: Upstream, make_model: MakeModel) -> None:
    flood = Flood(
        b"x" * 64 * 1024,
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"
        b'{"choices":[{"message":{"content":"',
    )
    server.answers(flood)
    limits = Limits(first_event=10, gap=10, total=30, output_bytes=256 * 1024)
    with memory() as grown_to:
        heard = await hear(make_model(limits=limits))
        grown = grown_to()
    assert (heard.pieces, heard.code) == ([], "upstream_overflow")
    assert flood.sent < 20 * MIB
    assert grown < 30 * MIB


@pytest.mark.parametrize("part", [b": " + b"x" * 1_000 + b"\n\n", b"\n", b"id: 1\n", b"event:\n"])
async def test_lines_that_say_nothing_without_end_take_no_memory(
    server: Upstream, make_model: MakeModel, part: bytes
) -> None:
    flood = Flood(part * (64 * 1024 // len(part)), head() + HI)
    server.answers(flood)
    limits = Limits(gap=0.15, silent_bytes=1024 * MIB, reply_bytes=1024 * MIB)
    with memory() as grown_to:
        heard = await hear(make_model(limits=limits))
        grown = grown_to()
    assert heard.pieces == [TextPiece("Hi")]
    assert heard.code == "upstream_timeout"
    assert grown < 30 * MIB


async def test_only_so_much_may_come_that_says_nothing(
    server: Upstream, make_model: MakeModel
) -> None:
    flood = Flood(b": hm\n" * 10_000, head() + HI)
    server.answers(flood)
    heard = await hear(make_model(limits=Limits(silent_bytes=MIB)))
    assert (heard.pieces, heard.code) == ([TextPiece("Hi")], "upstream_overflow")


async def test_much_may_come_between_many_pieces(server: Upstream, make_model: MakeModel) -> None:
    async def says_little(call: Call) -> None:
        await call.begin()
        for _ in range(20):
            await call.chunk("x")
            await call.write(b": hm\n" * 1_000)
        await call.finish()
        await call.done()

    server.answers(says_little)
    heard = await hear(make_model(limits=Limits(silent_bytes=8_000)))
    assert (heard.text, heard.code) == ("x" * 20, None)


async def test_empty_events_without_end_are_cut(server: Upstream, make_model: MakeModel) -> None:
    part = lines('{"choices":[]}')
    flood = Flood(part * 2_000, head() + HI)
    server.answers(flood)
    limits = Limits(first_event=10, gap=10, total=30, reply_bytes=2 * MIB)
    with memory() as grown_to:
        heard = await hear(make_model(limits=limits))
        grown = grown_to()
    assert (heard.pieces, heard.code) == ([TextPiece("Hi")], "upstream_overflow")
    assert grown < 30 * MIB


async def test_text_beyond_the_limit_is_cut_and_what_fits_is_kept(
    server: Upstream, make_model: MakeModel
) -> None:
    said = "x" * 10_000
    part = lines(json.dumps({"choices": [{"index": 0, "delta": {"content": said}}]}))
    flood = Flood(part * 6, head())
    server.answers(flood)
    heard = await hear(make_model())
    assert heard.code == "upstream_overflow"
    assert heard.text == said * (MIB // len(said))
    assert flood.sent < 20 * MIB


async def test_a_hundred_thousand_pieces_of_one_character_are_exact(
    server: Upstream, make_model: MakeModel
) -> None:
    text = "".join(chr(0x4E00 + number % 5_000) for number in range(100_000))

    async def many(call: Call) -> None:
        await call.begin()
        for start in range(0, len(text), 1_000):
            said = [
                json.dumps({"choices": [{"index": 0, "delta": {"content": character}}]})
                for character in text[start : start + 1_000]
            ]
            await call.write(lines(*said))
        await call.write(END)
        await call.end()

    server.answers(many)
    heard = await hear(make_model())
    assert len(heard.pieces) == len(text) + 1
    assert heard.text == text
    assert heard.finish == Finish("stop")


async def test_a_body_in_chunks_of_one_byte_is_exact(
    server: Upstream, make_model: MakeModel
) -> None:
    text = "Grüße, 漢字, 😀\x00 " * 500
    body = lines(json.dumps({"choices": [{"delta": {"content": text}}]}, ensure_ascii=False)) + END

    async def bytewise(call: Call) -> None:
        await call.begin()
        await call.send(b"".join(b"1\r\n%c\r\n" % byte for byte in body))
        await call.end()

    server.answers(bytewise)
    heard = await hear(make_model())
    assert heard.text == text
    assert heard.finish == Finish("stop")


BOMB = gzip.compress(gzip.compress(bytes(100 * MIB)))


@pytest.mark.parametrize(
    "headers",
    [
        ["Content-Encoding: gzip, gzip"],
        ["Content-Encoding: GZIP, GZIP"],
        ["Content-Encoding: identity, gzip, gzip"],
        ["Content-Encoding: identity", "Content-Encoding: gzip, gzip"],
        ["Content-Encoding: ", "Content-Encoding: gzip, gzip"],
        ["Transfer-Encoding: gzip"],
    ],
)
@pytest.mark.parametrize("status", [200, 400, 500])
@pytest.mark.usefixtures("no_waiting")
async def test_a_packed_answer_is_not_unpacked(
    server: Upstream, make_model: MakeModel, headers: list[str], status: int
) -> None:
    async def packs(call: Call) -> None:
        await call.send(head(*headers, f"Content-Length: {len(BOMB)}", status=status) + BOMB)

    server.answers(packs)
    with memory() as grown_to:
        heard = await hear(make_model())
        grown = grown_to()
    assert heard.pieces == []
    assert heard.failure is not None
    assert grown < 30 * MIB


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "x"])
@pytest.mark.parametrize("whole", [False, True])
async def test_an_answer_that_is_called_packed_is_none(
    server: Upstream, make_model: MakeModel, encoding: str, whole: bool
) -> None:
    async def packs(call: Call) -> None:
        kind = "application/json" if whole else "text/event-stream"
        await call.begin(200, kind, content_encoding=encoding)
        await call.write(HI + END)
        await call.end()

    server.answers(packs)
    heard = await hear(make_model())
    assert (heard.pieces, heard.code) == ([], "upstream_malformed")


@pytest.mark.parametrize("status", [400, 500, 302])
@pytest.mark.usefixtures("no_waiting")
async def test_an_errors_body_without_end_is_cut(
    server: Upstream, make_model: MakeModel, status: int
) -> None:
    flood = Flood(b"x" * 64 * 1024, head(status=status))
    server.answers(flood)
    with memory() as grown_to:
        heard = await hear(make_model())
        grown = grown_to()
    assert heard.failure is not None
    assert heard.code != "upstream_timeout"
    await server.alone.wait()
    assert flood.sent < 60 * MIB
    assert grown < 30 * MIB


@pytest.mark.parametrize(
    ("first", "part"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"X-Y: " + b"z" * 1_000 + b"\r\n"),
        (b"HTTP/1.1 200 OK\r\nX: ", b"z" * 1_000),
        (b"HTTP/1.1 200 ", b"z" * 1_000),
        (b"", b"z" * 1_000),
        (b"", b"\r\n" * 500),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 50),
        (head("Transfer-Encoding: chunked") + b"1;", b"z" * 1_000),
        (head("Transfer-Encoding: chunked") + b"0\r\n", b"X-Y: " + b"z" * 1_000 + b"\r\n"),
        (head("Transfer-Encoding: chunked"), b"0" * 1_000),
    ],
)
@pytest.mark.usefixtures("no_waiting")
async def test_heads_without_end_are_cut(
    server: Upstream, make_model: MakeModel, first: bytes, part: bytes
) -> None:
    flood = Flood(part * 50, first)
    server.answers(flood)
    with memory() as grown_to:
        heard = await hear(make_model(limits=QUICK))
        grown = grown_to()
    assert heard.pieces == []
    assert heard.failure is not None
    assert grown < 30 * MIB


async def test_a_few_informational_replies_may_come_first(
    server: Upstream, make_model: MakeModel
) -> None:
    """They are counted anew for each reply of a connection."""

    async def hesitates(call: Call) -> None:
        for _ in range(10):
            await call.send(b"HTTP/1.1 102 Processing\r\n\r\n")
        await hello(call)

    server.answers(hesitates)
    before = server.connections
    heard = [await hear(make_model()) for _ in range(3)]
    assert [(each.text, each.code) for each in heard] == [("Hello", None)] * 3
    assert server.connections == before


@pytest.mark.usefixtures("no_waiting")
async def test_informational_replies_without_end_are_cut_before_the_time_is_over(
    server: Upstream, make_model: MakeModel
) -> None:
    server.answers(Flood(b"HTTP/1.1 102 Processing\r\n\r\n" * 50))
    heard = await hear(make_model(limits=Limits(first_event=60)))
    assert heard.code == "upstream_malformed"
    assert "HTTP" in str(heard.failure)
