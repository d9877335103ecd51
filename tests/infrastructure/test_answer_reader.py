"""Answers from bytes to pieces: cut anywhere, broken off anywhere, and without end."""

import asyncio
import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from application.ports import Finish, ReasoningPiece, TextPiece
from domain.errors import ModelTruncated
from domain.message import Usage
from infrastructure.upstreams.limits import READ_BYTES, Limits
from tests.answers import Heard
from tests.infrastructure.replies import ScriptedReply, bytes_of, heard_of, lines, pieces_of


def text(said: str) -> str:
    return '{"choices":[{"index":0,"delta":{"content":"%s"}}]}' % said  # noqa: UP031


FINISHED = '{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}'
COUNTED = '{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}'
DONE = "[DONE]"
ANSWER = lines(text("Grüße, "), text("漢字 😀"), FINISHED, COUNTED, DONE)
PIECES = [TextPiece("Grüße, "), TextPiece("漢字 😀"), Finish("stop", Usage(3, 2))]

BAD_EVENTS = [
    "x",
    "",
    "null",
    "true",
    "7",
    '"text"',
    "[]",
    "[" * 100_000,
    '{"choices":[{"index":0,"delta":{"content":"no',
    '{"choices":{}}',
    '{"choices":[null]}',
    '{"choices":["x"]}',
    '{"choices":[{"index":"0","delta":{"content":"no"}}]}',
    '{"choices":[{"delta":{"content":7}}]}',
    '{"choices":[{"delta":{"content":["no"]}}]}',
    '{"choices":[{"delta":"no"}]}',
    '{"choices":[{"delta":{},"finish_reason":{}}]}',
    '{"half":"\\ud83d","choices":7}',
    '{"error":{"message":"no"}}',
    '{"object":"error"}',
]


# Cut anywhere


@given(st.lists(st.integers(1, len(ANSWER) - 1), max_size=20, unique=True).map(sorted))
async def test_an_answer_is_the_same_wherever_it_is_cut(places: list[int]) -> None:
    edges = [0, *places, len(ANSWER)]
    parts = [ANSWER[start:end] for start, end in itertools.pairwise(edges)]
    assert (await heard_of(*parts)).pieces == PIECES


async def test_an_answer_may_come_byte_by_byte() -> None:
    assert (await heard_of(*bytes_of(ANSWER))).pieces == PIECES


async def test_a_whole_answer_may_come_byte_by_byte() -> None:
    body = '{"choices":[{"message":{"content":"漢😀"},"finish_reason":"stop"}]}'.encode()
    heard = await heard_of(*bytes_of(body), content_type="application/json")
    assert heard.pieces == [TextPiece("漢😀"), Finish("stop")]


# Broken off


async def test_an_answer_that_breaks_off_anywhere_is_no_whole_one_and_keeps_its_text() -> None:
    finished = ANSWER.index(FINISHED.encode()) + len(FINISHED) + 2
    done = ANSWER.index(DONE.encode()) + len(DONE)
    for cut in (False, True):
        for place in range(finished):
            heard = await heard_of(ANSWER[:place], cut=cut) if place else await heard_of(cut=cut)
            assert heard.code == "upstream_truncated"
            complete = ANSWER[:place].count(b"\n\n")
            assert heard.pieces == PIECES[: min(complete, 2)]
        for place in range(finished, done):
            heard = await heard_of(ANSWER[:place], cut=cut)
            assert heard.text == "Grüße, 漢字 😀"
            assert heard.finish is not None
            assert heard.finish.reason == "stop"


async def test_done_needs_no_line_behind_it() -> None:
    for end in (b"", b"\n", b"\r\n"):
        heard = await heard_of(lines(text("Hi")), b"data: [DONE]" + end)
        assert heard.pieces == [TextPiece("Hi"), Finish(None)]


async def test_done_that_is_cut_off_is_no_end() -> None:
    assert (await heard_of(lines(text("Hi")), b"data: [DONE")).code == "upstream_truncated"


@pytest.mark.parametrize("bad", BAD_EVENTS)
async def test_what_is_no_answer_fails_and_keeps_what_came_before(bad: str) -> None:
    good, rest = lines(text("a"), text("b")), lines(text("no"), FINISHED, DONE)
    for parts in ([good, lines(bad), rest], [good + lines(bad) + rest], [good + lines(bad)]):
        heard = await heard_of(*parts)
        assert heard.pieces == [TextPiece("a"), TextPiece("b")]
        assert heard.code in {"upstream_malformed", "upstream_error"}


@pytest.mark.parametrize("bad", BAD_EVENTS)
async def test_nothing_after_the_models_last_word_can_make_up_for_what_is_no_answer(
    bad: str,
) -> None:
    heard = await heard_of(lines(text("a"), FINISHED, bad, DONE))
    assert heard.pieces == [TextPiece("a")]
    assert heard.failure is not None


@pytest.mark.parametrize(
    "body",
    [*BAD_EVENTS, '{"choices":[]}', '{"choices":[{"index":0,"delta":{"content":"x"}}]}', "{}"],
)
async def test_a_whole_body_that_is_no_answer_fails(body: str) -> None:
    heard = await heard_of(body.encode(), content_type="application/json")
    assert heard.pieces == []
    assert heard.code in {"upstream_malformed", "upstream_error"}


async def test_a_whole_body_that_is_cut_off_fails() -> None:
    body = b'{"choices":[{"message":{"content":"x"},"finish_reason":"stop"}]}'
    heard = await heard_of(body, content_type="application/json", cut=True)
    assert heard.pieces == []
    assert heard.code == "upstream_truncated"


async def test_a_web_page_is_no_answer_whatever_it_says() -> None:
    heard = await heard_of(ANSWER, content_type="text/html")
    assert heard.pieces == []
    assert heard.code == "upstream_malformed"


@pytest.mark.parametrize("content_type", ["text/plain", "application/octet-stream", ""])
async def test_a_stream_may_be_called_anything_else(content_type: str) -> None:
    assert (await heard_of(ANSWER, content_type=content_type)).pieces == PIECES


async def test_what_follows_the_end_is_not_read() -> None:
    more = lines(text("no"), "x", text("no"))
    for parts in ([ANSWER + more], [ANSWER, more], [ANSWER, lines("x"), more]):
        assert (await heard_of(*parts)).pieces == PIECES
        assert (await heard_of(*parts, cut=True)).pieces == PIECES


# Without end


LIMITED = Limits(first_event=10, gap=10, total=30, line_bytes=1_000, output_bytes=10)


@pytest.mark.parametrize(
    ("fits", "overflows"),
    [
        (["0123456789"], ["0123456789", "0"]),
        (["01234", "56789"], ["01234", "567890"]),
        (["éééé", "é"], ["éééé", "éé"]),
        (["😀😀", "é"], ["😀😀😀"]),
    ],
)
async def test_text_beyond_the_limit_is_cut_and_what_fits_is_kept(
    fits: Sequence[str], overflows: Sequence[str]
) -> None:
    whole = await heard_of(lines(*map(text, fits), FINISHED), limits=LIMITED)
    assert whole.text == "".join(fits)
    assert whole.finish is not None
    for parts in ([lines(*map(text, overflows))], [lines(text(said)) for said in overflows]):
        heard = await heard_of(*parts, lines(FINISHED, DONE), limits=LIMITED)
        assert heard.code == "upstream_overflow"
        assert len(heard.text.encode()) <= 10
        assert [TextPiece(said) for said in overflows[:-1]] == heard.pieces


async def test_text_and_reasoning_share_the_limit() -> None:
    thought = '{"choices":[{"delta":{"reasoning":"12345"}}]}'
    heard = await heard_of(lines(thought, text("12345"), thought), limits=LIMITED)
    assert heard.pieces == [ReasoningPiece("12345"), TextPiece("12345")]
    assert heard.code == "upstream_overflow"


async def test_a_whole_body_may_be_larger_than_its_text_but_not_without_end() -> None:
    body = b'{"choices":[{"message":{"content":"\\u00e9\\u00e9"}}]}'
    heard = await heard_of(body, content_type="application/json", limits=LIMITED)
    assert heard.text == "éé"
    heard = await heard_of(b" " * 81, content_type="application/json", limits=LIMITED)
    assert heard.code == "upstream_overflow"


async def test_a_reply_without_end_is_cut() -> None:
    limits = Limits(first_event=10, gap=10, total=30, reply_bytes=1_000)
    for part in (b": hello\n", lines('{"choices":[]}')):
        heard = await heard_of(*[part] * 1_000, limits=limits)
        assert heard.code == "upstream_overflow"


async def test_a_reply_that_was_closed_is_not_given_up_later() -> None:
    for limits in (Limits(first_event=0.01, gap=9, total=9), Limits(first_event=9, gap=0.01)):
        reply = ScriptedReply([lines(text("Hi"), FINISHED, DONE)])
        heard = await Heard().all_of(pieces_of(reply, limits))
        assert heard.text == "Hi"
        await asyncio.sleep(0.15)
        assert reply.failure is None


async def test_a_flood_lets_others_run() -> None:
    """Although no read has to wait."""
    reads = 100

    class Flood(ScriptedReply):
        async def read(self) -> bytes:
            return self.parts.pop(0) if self.parts else b""

    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    part = (b": hm\n" * READ_BYTES)[:READ_BYTES]
    running = asyncio.create_task(others())
    try:
        with pytest.raises(ModelTruncated):
            async for _ in pieces_of(Flood([part] * reads)):
                pass
    finally:
        running.cancel()
    assert turns >= reads
