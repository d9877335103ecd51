"""What becomes of answers of servers of all kinds, over real sockets."""

import asyncio
import gc
import json
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest
from stamina import instrumentation

from application.ports import Finish, Piece, TextPiece
from domain.message import Usage
from infrastructure.upstreams.connections import Connections
from infrastructure.upstreams.limits import Limits
from tests.answers import HELLO, PATIENCE_SECONDS, Heard, hear
from tests.infrastructure.conftest import MakeModel
from tests.upstream import Call, Script, Upstream, hello, upstream

QUICK = Limits(first_event=0.2, gap=0.2, total=600)
UNHURRIED_START = Limits(first_event=60, gap=0.2, total=600)
SHORT = Limits(first_event=600, gap=600, total=0.3)

HI = b'data: {"choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n'
FINISHED = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
DONE = b"data: [DONE]\n\n"

WHOLE = {
    "object": "chat.completion",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Hi", "reasoning_content": "Hm"},
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2},
}


async def hi(call: Call) -> None:
    await call.begin()
    await call.write(HI)


async def hi_and_no_more(call: Call) -> None:
    await hi(call)
    await call.hang()


def refuse(status: int, said: object = None, **headers: str) -> Script:
    async def script(call: Call) -> None:
        await call.reply(status, said, **headers)

    return script


# Ordinary answers


async def test_an_answer_is_streamed(server: Upstream, make_model: MakeModel) -> None:
    heard = await hear(make_model())
    assert heard.pieces == [TextPiece("Hel"), TextPiece("lo"), Finish("stop", Usage(3, 2))]


async def test_each_piece_is_given_as_soon_as_it_came(
    server: Upstream, make_model: MakeModel
) -> None:
    heard = asyncio.Event()

    async def waits(call: Call) -> None:
        await hi(call)
        await heard.wait()
        await call.finish()
        await call.done()

    server.answers(waits)
    async with aclosing(make_model().stream(HELLO)) as pieces:
        assert await anext(pieces) == TextPiece("Hi")
        heard.set()
        assert await anext(pieces) == Finish("stop")


async def test_a_model_that_does_not_stream_answers_in_one_piece(
    server: Upstream, make_model: MakeModel
) -> None:
    server.answers(refuse(200, WHOLE))
    heard = await hear(make_model(streams=False))
    assert heard.text == "Hi"
    assert heard.reasoning == "Hm"
    assert heard.finish == Finish("stop", Usage(3, 2))
    assert server.calls[0].body.get("stream", False) is False
    assert "stream_options" not in server.calls[0].body


async def test_a_server_may_answer_whole_although_it_was_asked_to_stream(
    server: Upstream, make_model: MakeModel
) -> None:
    server.answers(refuse(200, WHOLE, content_type="application/json; charset=utf-8"))
    assert (await hear(make_model())).text == "Hi"


async def test_a_server_may_stream_although_it_was_not_asked_to(
    server: Upstream, make_model: MakeModel
) -> None:
    assert (await hear(make_model(streams=False))).text == "Hello"


async def test_a_model_that_does_not_stream_has_all_the_time_for_its_answer(
    server: Upstream, make_model: MakeModel
) -> None:
    async def thinks(call: Call) -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(call.hang(), 2 * QUICK.first_event)
        await call.reply(200, WHOLE)

    server.answers(thinks)
    assert (await hear(make_model(streams=False, limits=QUICK))).text == "Hi"


# Servers that hang (T20)


async def test_a_server_that_hangs_before_there_is_a_connection_times_out(
    server: Upstream, make_model: MakeModel
) -> None:
    tls = f"https://127.0.0.1:{server.port}/v1"  # nobody shakes hands there
    hasty = Connections(connect_seconds=0.2, allowed_hosts=frozenset())
    heard = await hear(make_model(base_url=tls, connections=hasty))
    await hasty.close()
    assert (heard.pieces, heard.code) == ([], "upstream_timeout")
    assert "connection" in str(heard.failure)
    await server.alone.wait()
    heard = await hear(make_model(base_url=tls, limits=QUICK))
    assert (heard.pieces, heard.code) == ([], "upstream_timeout")
    await server.alone.wait()


async def test_a_server_that_hangs_before_its_head_times_out(
    server: Upstream, make_model: MakeModel
) -> None:
    server.answers(Call.hang)
    heard = await hear(make_model(limits=QUICK))
    assert (heard.pieces, heard.code) == ([], "upstream_timeout")
    await server.alone.wait()
    assert len(server.calls) == 1


async def test_a_server_that_hangs_after_its_head_times_out(
    server: Upstream, make_model: MakeModel
) -> None:
    async def hangs(call: Call) -> None:
        await call.begin()
        await call.hang()

    server.answers(hangs)
    heard = await hear(make_model(limits=QUICK))
    assert (heard.pieces, heard.code) == ([], "upstream_timeout")
    await server.alone.wait()
    assert len(server.calls) == 1


@pytest.mark.parametrize(
    "limits", [UNHURRIED_START, SHORT, Limits(first_event=0.3, gap=600, total=0.5)]
)
async def test_a_server_that_hangs_between_two_pieces_times_out_and_the_text_is_kept(
    server: Upstream, make_model: MakeModel, limits: Limits
) -> None:
    server.answers(hi_and_no_more)
    heard = await hear(make_model(limits=limits))
    assert (heard.pieces, heard.code) == ([TextPiece("Hi")], "upstream_timeout")
    await server.alone.wait()
    assert len(server.calls) == 1


async def test_a_server_that_hangs_in_an_errors_body_times_out(
    server: Upstream, make_model: MakeModel
) -> None:
    async def hangs(call: Call) -> None:
        await call.begin(500, "application/json")
        await call.hang()

    server.answers(hangs)
    heard = await hear(make_model(limits=QUICK))
    assert (heard.pieces, heard.code) == ([], "upstream_timeout")
    await server.alone.wait()


@pytest.mark.parametrize("noise", [b": still here\n\n", b": ", b"event: x\n"])
@pytest.mark.parametrize("first", [b"", HI])
async def test_noise_does_not_make_a_server_seem_alive(
    server: Upstream, make_model: MakeModel, first: bytes, noise: bytes
) -> None:
    async def makes_noise(call: Call) -> None:
        await call.begin()
        if first:
            await call.write(first)
        while True:
            await call.write(noise)
            await asyncio.sleep(0.01)

    server.answers(makes_noise)
    heard = await hear(make_model(limits=UNHURRIED_START if first else QUICK))
    assert heard.text == ("Hi" if first else "")
    assert heard.code == "upstream_timeout"
    await server.alone.wait()


async def test_a_server_that_goes_on_and_on_times_out_in_the_end(
    server: Upstream, make_model: MakeModel
) -> None:
    async def goes_on(call: Call) -> None:
        await call.begin()
        while True:
            await call.write(HI)
            await asyncio.sleep(0.01)

    server.answers(goes_on)
    heard = await hear(make_model(limits=SHORT))
    assert heard.text.startswith("HiHi")
    assert (heard.finish, heard.code) == (None, "upstream_timeout")
    await server.alone.wait()


SLOW = Limits(first_event=0.5, gap=0.5, total=600)


async def test_a_slow_server_has_time_for_each_piece(
    server: Upstream, make_model: MakeModel
) -> None:
    async def slow(call: Call) -> None:
        await call.begin()
        for _ in range(5):
            await call.write(HI)
            await asyncio.sleep(0.12)
        await call.write(DONE)
        await call.end()

    server.answers(slow)
    assert (await hear(make_model(limits=SLOW))).text == "Hi" * 5


async def test_a_whole_answer_may_come_slowly_but_not_stop(
    server: Upstream, make_model: MakeModel
) -> None:
    async def slow(call: Call) -> None:
        body = json.dumps(WHOLE).encode()
        await call.begin(200, "application/json")
        for start in range(0, 50, 10):
            await call.write(body[start : start + 10])
            await asyncio.sleep(0.12)
        if len(server.calls) > 1:
            await call.hang()
        await call.write(body[50:])
        await call.end()

    server.answers(slow)
    assert (await hear(make_model(limits=SLOW))).text == "Hi"
    heard = await hear(make_model(limits=SLOW))
    assert (heard.pieces, heard.code) == ([], "upstream_timeout")
    await server.alone.wait()


@pytest.mark.parametrize("end", [FINISHED, FINISHED + DONE, DONE])
async def test_a_server_that_hangs_after_the_answer_does_not_keep_it_from_being_whole(
    server: Upstream, make_model: MakeModel, end: bytes
) -> None:
    async def hangs(call: Call) -> None:
        await call.begin()
        await call.write(HI + end)
        await call.hang()

    server.answers(hangs)
    heard = await hear(make_model(limits=UNHURRIED_START))
    assert heard.failure is None
    assert heard.text == "Hi"
    assert heard.finish is not None
    await server.alone.wait()


async def test_time_that_runs_out_after_the_answer_does_not_harm_it(
    server: Upstream, make_model: MakeModel
) -> None:
    async def hangs(call: Call) -> None:
        await call.begin()
        await call.write(HI + FINISHED)
        await call.hang()

    server.answers(hangs)
    assert (await hear(make_model(limits=SHORT))).finish == Finish("stop")


async def test_the_usage_may_come_late(server: Upstream, make_model: MakeModel) -> None:
    async def counts(call: Call) -> None:
        await call.begin()
        await call.write(HI + FINISHED)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(call.hang(), 0.2)
        await call.usage(3, 2)
        await call.done()

    server.answers(counts)
    assert (await hear(make_model())).finish == Finish("stop", Usage(3, 2))


async def test_all_calls_of_an_answer_share_its_time(
    server: Upstream, make_model: MakeModel, no_waiting: None
) -> None:
    async def fails_late(call: Call) -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(call.hang(), 0.2)
        await call.reply(500)

    server.answers(fails_late)
    heard = await hear(make_model(limits=SHORT))
    assert (heard.pieces, heard.code) == ([], "upstream_timeout")
    assert len(server.calls) == 2


# Servers that refuse, and calling again (T21)


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize("status", [500, 502, 503, 529, 408, 429])
async def test_a_server_that_failed_twice_is_called_a_third_time(
    server: Upstream, make_model: MakeModel, status: int
) -> None:
    server.answers(refuse(status), refuse(status), hello)
    assert (await hear(make_model())).text == "Hello"
    assert len(server.calls) == 3


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize(
    ("status", "code"),
    [(500, "upstream_error"), (503, "upstream_error"), (429, "upstream_rate_limited")],
)
async def test_a_server_that_fails_again_and_again_is_called_three_times(
    server: Upstream, make_model: MakeModel, status: int, code: str
) -> None:
    server.answers(refuse(status))
    heard = await hear(make_model())
    assert (heard.pieces, heard.code) == ([], code)
    assert len(server.calls) == 3


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "upstream_request_refused"),
        (401, "upstream_key_refused"),
        (402, "upstream_request_refused"),
        (403, "upstream_key_refused"),
        (404, "upstream_request_refused"),
        (413, "upstream_request_refused"),
        (418, "upstream_request_refused"),
        (422, "upstream_request_refused"),
        (300, "upstream_request_refused"),
        (204, "upstream_malformed"),
    ],
)
async def test_a_server_that_refuses_is_not_called_again(
    server: Upstream, make_model: MakeModel, status: int, code: str
) -> None:
    server.answers(refuse(status, {"error": {"message": "no"}}))
    heard = await hear(make_model())
    assert (heard.pieces, heard.code) == ([], code)
    assert len(server.calls) == 1


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        ({"code": "context_length_exceeded"}, "The conversation is too long for this model."),
        ({"code": "model_not_found"}, "The model's server does not know this model."),
        ({"type": "insufficient_quota"}, "The quota of this API key is used up."),
        ({"code": "content_filter"}, "The model's server refused the content."),
    ],
)
async def test_what_a_server_says_in_its_error_is_told_in_our_words(
    server: Upstream, make_model: MakeModel, error: dict[str, str], sentence: str
) -> None:
    for status in (400, 404, 429, 503):
        server.answers(refuse(status, {"error": {"message": "their words", **error}}))
        heard = await hear(make_model())
        assert str(heard.failure) == sentence
    assert len(server.calls) == 4


async def test_an_errors_body_may_come_in_parts(server: Upstream, make_model: MakeModel) -> None:
    async def in_parts(call: Call) -> None:
        await call.begin(400, "application/json")
        for part in (b'{"error":{"co', b'de":"context_length', b'_exceeded"}}'):
            await call.write(part)
            await asyncio.sleep(0.02)
        await call.end()

    server.answers(in_parts)
    heard = await hear(make_model())
    assert str(heard.failure) == "The conversation is too long for this model."


@pytest.mark.usefixtures("no_waiting")
async def test_a_server_that_cuts_the_connection_before_its_head_is_called_again(
    server: Upstream, make_model: MakeModel
) -> None:
    async def cuts(call: Call) -> None:
        call.cut()

    async def resets(call: Call) -> None:
        call.reset()

    server.answers(cuts, resets, hello)
    assert (await hear(make_model())).text == "Hello"
    assert len(server.calls) == 3


@pytest.mark.usefixtures("no_waiting")
async def test_a_server_that_is_not_there_is_unreachable(
    server: Upstream, make_model: MakeModel
) -> None:
    heard = await hear(make_model(base_url="http://127.0.0.1:1/v1"))
    assert (heard.pieces, heard.code) == ([], "upstream_unreachable")
    heard = await hear(make_model(base_url="http://no-such-host.invalid/v1"))
    assert (heard.pieces, heard.code) == ([], "upstream_unreachable")


async def test_a_server_that_was_not_there_yet_is_called_again(make_model: MakeModel) -> None:
    begins = asyncio.Event()
    instrumentation.set_on_retry_hooks([lambda details: begins.set()])
    async with upstream(begins=begins) as late:
        heard = await hear(make_model(base_url=late.base_url))
    instrumentation.set_on_retry_hooks(())
    assert heard.text == "Hello"
    assert begins.is_set()
    assert len(late.calls) == 1


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize("said", ["cut", "reset", "error", "bad", "hang", "overflow"])
async def test_after_its_first_piece_a_server_is_never_called_again(
    server: Upstream, make_model: MakeModel, said: str
) -> None:
    async def breaks(call: Call) -> None:
        await hi(call)
        match said:
            case "cut":
                call.cut()
            case "reset":
                await heard_first.wait()
                call.reset()
            case "error":
                await call.say(error={"message": "overloaded", "code": 503})
                await call.end()
            case "bad":
                await call.write(b"data: x\n\n")
            case "overflow":
                await call.chunk("x" * 2_000)
        await call.hang()

    heard_first = asyncio.Event()
    server.answers(breaks, hello)
    limits = Limits(first_event=10, gap=0.3, total=10, output_bytes=1_000)
    async with aclosing(make_model(limits=limits).stream(HELLO)) as pieces:
        assert await anext(pieces) == TextPiece("Hi")
        heard_first.set()
        heard = await Heard().all_of(pieces)
    assert heard.failure is not None
    assert len(server.calls) == 1


# Servers whose answers break off (T23)


async def test_an_end_before_the_models_last_word_is_none(
    server: Upstream, make_model: MakeModel
) -> None:
    async def ends(call: Call) -> None:
        await hi(call)
        await call.end()

    server.answers(ends)
    heard = await hear(make_model())
    assert (heard.pieces, heard.code) == ([TextPiece("Hi")], "upstream_truncated")


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


@pytest.mark.parametrize(
    "broken",
    [
        b"HTTP/1.1 200 OK\r\n\r\n" + HI,
        b"HTTP/1.0 200 OK\r\n\r\n" + HI,
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + HI + FINISHED[:-1],
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + HI,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(HI),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(HI) + b"5\r\nda",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(HI) + b"0\r\n",
    ],
)
async def test_a_connection_that_ends_within_the_answer_is_no_end(
    server: Upstream, make_model: MakeModel, broken: bytes
) -> None:
    async def breaks(call: Call) -> None:
        await call.send(broken)
        call.cut()

    server.answers(breaks)
    heard = await hear(make_model())
    assert (heard.pieces, heard.code) == ([TextPiece("Hi")], "upstream_truncated")
    await server.alone.wait()


@pytest.mark.parametrize(
    "broken", [b"", chunk(HI), chunk(HI) + b"not hex\r\n", chunk(HI) + b"-1\r\n", b"2\r\nHi!!"]
)
@pytest.mark.parametrize("reset", [False, True])
async def test_what_came_just_before_the_connection_broke_is_kept(
    server: Upstream, make_model: MakeModel, broken: bytes, reset: bool
) -> None:
    async def breaks(call: Call) -> None:
        await hi(call)
        await heard_first.wait()
        if broken:
            await call.send(broken)
        if reset:
            call.reset()
        else:
            call.cut()

    heard_first = asyncio.Event()
    server.answers(breaks)
    async with aclosing(make_model().stream(HELLO)) as pieces:
        assert await anext(pieces) == TextPiece("Hi")
        heard_first.set()
        await server.alone.wait()
        for _ in range(10):
            await asyncio.sleep(0)
        heard = await Heard().all_of(pieces)
    assert heard.text == ("Hi" if HI in broken else "")
    assert (heard.finish, heard.code) == (None, "upstream_truncated")


@pytest.mark.parametrize("broken", [b"not hex\r\n", b"-1\r\n", chunk(HI) + b"x\r\n", b"2\r\nHi!!"])
async def test_an_answer_that_is_no_http_any_more_ends_at_once(
    server: Upstream, make_model: MakeModel, broken: bytes
) -> None:
    """The limit is longer than the test waits."""
    heard_the_first = asyncio.Event()

    async def breaks(call: Call) -> None:
        await hi(call)
        await heard_the_first.wait()
        await call.send(broken)
        await call.hang()

    async def noting(pieces: AsyncIterator[Piece]) -> AsyncIterator[Piece]:
        async for piece in pieces:
            yield piece
            heard_the_first.set()

    server.answers(breaks)
    model = make_model(limits=Limits(gap=600))
    async with asyncio.timeout(PATIENCE_SECONDS), aclosing(model.stream(HELLO)) as pieces:
        heard = await Heard().all_of(noting(pieces))
    assert heard.text == ("HiHi" if HI in broken else "Hi")
    assert (heard.finish, heard.code) == (None, "upstream_truncated")


@pytest.mark.parametrize("framing", ["chunked", "length", "close"])
async def test_an_answer_is_whole_whatever_frames_it(
    server: Upstream, make_model: MakeModel, framing: str
) -> None:
    body = HI + FINISHED + DONE

    async def frames(call: Call) -> None:
        if framing == "chunked":
            await call.begin()
            await call.write(body)
            await call.end()
        elif framing == "length":
            await call.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        else:
            await call.send(b"HTTP/1.0 200 OK\r\n\r\n" + body)
            call.cut()

    server.answers(frames)
    assert (await hear(make_model())).pieces == [TextPiece("Hi"), Finish("stop")]


async def test_a_web_page_is_no_answer(server: Upstream, make_model: MakeModel) -> None:
    server.answers(refuse(200, b"<!doctype html><p>Welcome!", content_type="text/html"))
    heard = await hear(make_model())
    assert (heard.pieces, heard.code) == ([], "upstream_malformed")
    assert len(server.calls) == 1


@pytest.mark.parametrize(
    "said",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x15\x03\x03\x00\x02\x02\x28",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/9.9 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\x00b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: \xff\xfe\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: \xff\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 400 \xff\xfe\r\nX: \xff\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: \xff://[\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 600 ?\r\nContent-Length: 0\r\n\r\n",
    ],
)
@pytest.mark.usefixtures("no_waiting")
async def test_what_is_not_even_http_is_a_failure_of_the_model(
    server: Upstream, make_model: MakeModel, said: bytes
) -> None:
    async def says(call: Call) -> None:
        await call.send(said)
        call.cut()

    server.answers(says)
    heard = await hear(make_model())
    assert heard.pieces == []
    assert heard.failure is not None
    await server.alone.wait()


# One after the other, and leaving


async def test_two_answers_one_after_the_other_share_a_connection(
    server: Upstream, make_model: MakeModel
) -> None:
    assert (await hear(make_model())).text == "Hello"
    assert (await hear(make_model(key="another"))).text == "Hello"
    assert len(server.calls) == 2
    assert server.connections == 1


@pytest.mark.parametrize("said", ["hang", "length"])
async def test_a_connection_whose_answer_is_not_over_is_not_used_again(
    server: Upstream, make_model: MakeModel, said: str
) -> None:
    async def leaves_it_open(call: Call) -> None:
        if said == "length":
            await call.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n" + HI + DONE)
            return
        await call.begin()
        await call.write(HI + DONE)

    server.answers(leaves_it_open, hello)
    assert (await hear(make_model())).text == "Hi"
    assert (await hear(make_model())).text == "Hello"
    assert server.connections == 2


async def test_a_connection_is_not_used_again_after_a_failure(
    server: Upstream, make_model: MakeModel
) -> None:
    async def bad(call: Call) -> None:
        await call.begin()
        await call.write(HI + b"data: x\n\n")
        await call.hang()

    server.answers(bad, hello)
    assert (await hear(make_model())).text == "Hi"
    assert (await hear(make_model())).text == "Hello"
    assert server.connections == 2


async def begins_and_hangs(call: Call) -> None:
    await call.begin()
    await call.hang()


async def refuses_and_hangs(call: Call) -> None:
    await call.begin(500)
    await call.write(b"{")
    await call.hang()


async def hangs_after_the_last_word(call: Call) -> None:
    await call.begin()
    await call.write(FINISHED)
    await call.hang()


@pytest.mark.parametrize("turns", [0, 1, 3, 10, 300])
@pytest.mark.parametrize(
    "script", [Call.hang, begins_and_hangs, refuses_and_hangs, hangs_after_the_last_word]
)
async def test_who_cancels_while_waiting_closes_the_connection_at_once(
    server: Upstream, make_model: MakeModel, script: Script, turns: int
) -> None:
    """However far it has come by then."""
    server.answers(script)
    waiting = asyncio.create_task(hear(make_model()))
    await server.called.wait()
    for _ in range(turns):
        await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await asyncio.wait_for(server.alone.wait(), 5)


async def test_who_cancels_while_connecting_closes_the_connection_at_once(
    server: Upstream, make_model: MakeModel
) -> None:
    tls = make_model(base_url=f"https://127.0.0.1:{server.port}/v1")
    waiting = asyncio.create_task(hear(tls))
    await server.connected.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await asyncio.wait_for(server.alone.wait(), 5)


async def test_who_closes_between_two_pieces_closes_the_connection_at_once(
    server: Upstream, make_model: MakeModel
) -> None:
    server.answers(hi_and_no_more)
    pieces = make_model().stream(HELLO)
    assert await anext(pieces) == TextPiece("Hi")
    await pieces.aclose()
    await asyncio.wait_for(server.alone.wait(), 5)


async def test_who_cancels_between_two_pieces_closes_the_connection_at_once(
    server: Upstream, make_model: MakeModel
) -> None:
    server.answers(hi_and_no_more)
    heard_first = asyncio.Event()

    async def listen() -> None:
        async with aclosing(make_model().stream(HELLO)) as pieces:
            async for _ in pieces:
                heard_first.set()

    listening = asyncio.create_task(listen())
    await heard_first.wait()
    listening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await listening
    await asyncio.wait_for(server.alone.wait(), 5)


async def test_who_never_listens_calls_nobody(server: Upstream, make_model: MakeModel) -> None:
    await make_model().stream(HELLO).aclose()
    assert server.calls == []


async def test_all_who_come_first_share_one_client() -> None:
    connections = Connections(10, frozenset())
    first, *others = await asyncio.gather(*(connections.open() for _ in range(5)))
    assert all(other is first for other in others)
    assert await connections.open() is first
    await connections.close()


async def test_what_was_never_opened_can_be_closed() -> None:
    await Connections(10, frozenset()).close()


async def test_what_ended_well_hears_nothing_of_a_later_end_of_its_connection(
    server: Upstream, make_model: MakeModel
) -> None:
    seen: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: seen.append(context))
    assert (await hear(make_model())).text == "Hello"
    server.calls[0].reset()
    await server.alone.wait()
    gc.collect()
    assert seen == []


async def test_waits_between_two_calls_do_not_exceed_the_time_for_all(
    server: Upstream, make_model: MakeModel
) -> None:
    server.answers(lambda call: call.reply(429, retry_after="15"))
    heard = await hear(make_model(limits=Limits(total=0.3)))
    assert heard.code == "upstream_timeout"
    assert str(heard.failure) == "The model's answer took too long."
    assert len(server.calls) == 1


async def test_a_connection_that_is_used_for_long_holds_no_answer_of_the_past(
    server: Upstream, make_model: MakeModel
) -> None:
    for _ in range(20):
        assert (await hear(make_model())).text == "Hello"
    assert server.connections == 1
    gc.collect()
    assert sum(type(each).__name__ == "AiohttpReply" for each in gc.get_objects()) <= 1


@pytest.mark.usefixtures("no_waiting")
async def test_a_refusal_that_is_packed_is_still_a_refusal(
    server: Upstream, make_model: MakeModel
) -> None:
    async def busy(call: Call) -> None:
        await call.reply(429, b"\x1f\x8b packed", content_encoding="gzip")

    server.answers(busy, hello)
    assert (await hear(make_model())).text == "Hello"


@pytest.mark.parametrize(("reason", "code"), [(None, "upstream_truncated"), ("stop", None)])
async def test_who_says_done_and_leaves_its_reply_unfinished_must_have_given_a_reason(
    server: Upstream, make_model: MakeModel, reason: str | None, code: str | None
) -> None:
    """As llama-cpp-python does with an answer that it breaks off for another request."""

    async def breaks_off(call: Call) -> None:
        await call.begin()
        await call.chunk("so far")
        await call.finish(reason)
        await call.write(b"data: [DONE]\n\n")
        call.cut()

    server.answers(breaks_off)
    heard = await hear(make_model())
    assert (heard.text, heard.code) == ("so far", code)
