"""Streams of servers, as bytes that may be cut anywhere."""

import itertools
import tracemalloc
from collections.abc import Iterable, Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from domain.errors import ModelMalformed
from infrastructure.upstreams.server_sent_events import Event, EventParser

LIMIT = 1_000

Read = tuple[list[Event], bytes]
"""The events, and what was left of one at the end."""


def read(parts: Iterable[bytes], limit: int = LIMIT) -> Read:
    parser = EventParser(limit)
    events = [event for part in parts for event in parser.feed(part)]
    return events, parser.end()


def read_or_refuse(parts: Iterable[bytes], limit: int) -> Read | None:
    try:
        return read(parts, limit)
    except ModelMalformed:
        return None


def data(*texts: bytes) -> list[Event]:
    return [Event(b"", text) for text in texts]


def cut(stream: bytes, places: Iterable[int]) -> list[bytes]:
    """Parts of at least one byte, as no read gives fewer."""
    edges = sorted({0, len(stream), *(place % (len(stream) + 1) for place in places)})
    return [stream[start:end] for start, end in itertools.pairwise(edges)]


def bytes_of(stream: bytes) -> list[bytes]:
    return cut(stream, range(len(stream)))


SYNTAX = st.sampled_from(
    [
        *(b"\n", b"\r", b"\r\n", b"\n\n", b"\r\n\r\n", b":", b" ", b"\x00", b"\xef\xbb\xbf"),
        *(b"data", b"data:", b"data: ", b"data: x\n\n", b"event: error\n", b"event:", b"id: 7\n"),
        *(b": ping\n", b"retry: 5", b"d", b"{}", "é漢😀".encode(), b"[DONE]", b"datadata: x"),
    ]
)
STREAMS = st.lists(SYNTAX, max_size=40).map(b"".join)
PLACES = st.lists(st.integers(0, 10_000), max_size=40)


# Cut anywhere


@given(STREAMS, PLACES)
@example(b"data: a\r\n\r\ndata: b\r\n\r\n", [10])
@example(b"\xef\xbb\xbfdata: a\n\n", [1, 2])
@example(b"event: error\ndata: a\n\n", [13])
@example(b"data: a\n\n\xef\xbb\xbfdata: b\n\n", [9])
def test_a_stream_gives_the_same_events_wherever_it_is_cut(
    stream: bytes, places: list[int]
) -> None:
    whole = read([stream] if stream else [])
    assert read(cut(stream, places)) == whole
    assert read(bytes_of(stream)) == whole


@given(STREAMS, PLACES, st.integers(1, 30))
@example(b"data: four\n\n", [], 10)
@example(b"data: four\n\n", [5], 10)
def test_what_is_too_long_is_too_long_wherever_it_is_cut(
    stream: bytes, places: list[int], limit: int
) -> None:
    whole = read_or_refuse([stream] if stream else [], limit)
    assert read_or_refuse(cut(stream, places), limit) == whole
    assert read_or_refuse(bytes_of(stream), limit) == whole


@given(st.lists(st.binary(max_size=50)), st.sampled_from([b"\n", b"\r", b"\r\n"]), PLACES)
def test_what_was_written_is_read(texts: list[bytes], line_end: bytes, places: list[int]) -> None:
    texts = [text.replace(b"\r", b"").replace(b"\n", b"") for text in texts]
    stream = b"".join(b"data: " + text + line_end * 2 for text in texts)
    assert read(cut(stream, places)) == (data(*texts), b"")


# One by one


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data: a\n\n", data(b"a")),
        (b"data: a\r\n\r\n", data(b"a")),
        (b"data: a\r\r", data(b"a")),
        (b"data: a\n\r\n", data(b"a")),
        (b"data: a\n\rdata: b\n\n", data(b"a", b"b")),
        (b"data: a\rdata: b\n\n", data(b"a\nb")),
        (b"data: a\r\n\n", data(b"a")),
        (b"data:a\n\n", data(b"a")),
        (b"data:  a\n\n", data(b" a")),
        (b"data: a:b\n\n", data(b"a:b")),
        (b"data: a\ndata: b\n\n", data(b"a\nb")),
        (b"data: a\ndata\ndata: b\n\n", data(b"a\n\nb")),
        (b"data\n\n", data(b"")),
        (b"data:\n\n", data(b"")),
        (b"data: \n\n", data(b"")),
        (b"data: a\n\n\n\n\ndata: b\n\n", data(b"a", b"b")),
        (b"\n\n: hello\n\ndata: a\n: between\n\n", data(b"a")),
        (b":\n\n:\n\n", []),
        (b"id: 1\nretry: 2\ndata: a\nother: b\nanother\n\n", data(b"a")),
        (b"Data: a\n\n data: b\n\n", []),
        (b"event: error\ndata: a\n\ndata: b\n\n", [Event(b"error", b"a"), *data(b"b")]),
        (b"event:error\ndata: a\n\n", [Event(b"error", b"a")]),
        (b"data: a\nevent: error\n\n", [Event(b"error", b"a")]),
        (b"event: error\n\ndata: a\n\n", data(b"a")),
        (b"event: error\nevent\ndata: a\n\n", data(b"a")),
        (b"\xef\xbb\xbfdata: a\n\n", data(b"a")),
        (b"\xef\xbb\xbf\ndata: a\n\n", data(b"a")),
        (b"data: a\n\n\xef\xbb\xbfdata: b\n\n", data(b"a")),
        (b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\n", []),
        (b"\n\xef\xbb\xbfdata: a\n\n", []),
        (b"data: a\x00b\n\n", data(b"a\x00b")),
        (b"data: \xff\xfe\n\n", data(b"\xff\xfe")),
        (b"data: a\x0bb\x0cc\x85d\xe2\x80\xa8e\n\n", data(b"a\x0bb\x0cc\x85d\xe2\x80\xa8e")),
    ],
)
def test_reads_by_the_letter_of_the_standard(stream: bytes, events: Sequence[Event]) -> None:
    assert read([stream]) == (events, b"")
    assert read(bytes_of(stream)) == (events, b"")


@pytest.mark.parametrize(
    ("stream", "rest"),
    [
        (b"data: a", b"a"),
        (b"data: a\n", b"a"),
        (b"data: a\r", b"a"),
        (b"data: a\ndata: b", b"a\nb"),
        (b"data: x\n\ndata: [DONE]", b"[DONE]"),
        (b"\xef\xbb\xbfdata: a", b"a"),
        (b"data: a\n\n", b""),
        (b": bye", b""),
        (b"", b""),
    ],
)
def test_an_event_without_its_empty_line_is_no_event_but_is_not_forgotten(
    stream: bytes, rest: bytes
) -> None:
    assert read([stream] if stream else [])[1] == rest
    assert read(bytes_of(stream))[1] == rest


def test_an_event_is_given_before_the_next_one_is_complete() -> None:
    parser = EventParser(LIMIT)
    assert list(parser.feed(b"data: a\n\ndata: b")) == data(b"a")
    assert list(parser.feed(b"\r")) == []
    assert list(parser.feed(b"\n\r")) == data(b"b")


# Limits


@pytest.mark.parametrize("stream", [b"data: ", b": ", b"x", b"event: ", b"data: x\n\ndata: "])
def test_a_line_without_end_is_refused(stream: bytes) -> None:
    parser = EventParser(LIMIT)
    list(parser.feed(stream))
    list(parser.feed(b"x" * (LIMIT - len(stream))))
    with pytest.raises(ModelMalformed):
        list(parser.feed(b"x" * len(stream) + b"x"))


def test_a_line_that_is_too_long_is_refused_even_if_it_came_whole() -> None:
    for line in (b"data: %b", b": %b", b"%b: y"):
        whole = line % (b"x" * (LIMIT + 3 - len(line))) + b"\n\n"
        with pytest.raises(ModelMalformed):
            read([whole])
        assert read_or_refuse([whole.replace(b"x", b"", 1)], LIMIT) is not None


@pytest.mark.parametrize("line", [b"data:\n", b"data\n", b"data: x\r\n"])
def test_an_event_of_lines_without_end_is_refused(line: bytes) -> None:
    with pytest.raises(ModelMalformed):
        read([line] * (LIMIT + 1))
    with pytest.raises(ModelMalformed):
        read([line * (LIMIT + 1)])


def test_any_number_of_events_may_come_each_within_the_limit() -> None:
    event = b"data: " + b"x" * (LIMIT - 10) + b"\n\n"
    events, _ = read([event, event * 3, *bytes_of(event * 2)])
    assert len(events) == 6


def test_what_came_before_a_line_without_end_is_given_first() -> None:
    events = iter(EventParser(LIMIT).feed(b"data: a\n\n" + b"x" * (LIMIT + 1)))
    assert next(events) == Event(b"", b"a")
    with pytest.raises(ModelMalformed):
        next(events)


@pytest.mark.parametrize("line", [b": keep-alive\n", b"\n", b"id: 1\n", b"event: x\n", b"\r"])
def test_lines_that_say_nothing_may_come_for_ever_and_are_not_kept(line: bytes) -> None:
    parser = EventParser(LIMIT)
    tracemalloc.start()
    for _ in range(200):
        assert list(parser.feed(line * 100)) == []
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 10_000
