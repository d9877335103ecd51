"""Spans as a collector gets them."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress

import pytest

from domain.errors import SessionBusy
from infrastructure.tracing import OpenTelemetrySpans
from tests.collector import Collector, Seen, collector

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture
def collected() -> Iterator[Collector]:
    with collector() as made:
        yield made


@pytest.fixture
def spans(collected: Collector) -> OpenTelemetrySpans:
    return OpenTelemetrySpans(collected.url + "/")


Told = Callable[[], Awaitable[list[Seen]]]


@pytest.fixture
def told(spans: OpenTelemetrySpans, collected: Collector) -> Told:
    async def told() -> list[Seen]:
        await spans.close()
        return collected.spans

    return told


async def test_a_span_is_part_of_what_is_around_or_of_what_is_named(
    spans: OpenTelemetrySpans, told: Told
) -> None:
    with spans.span("accept"):
        traceparent = spans.traceparent()
    assert spans.traceparent() is None
    with spans.span("answer", traceparent), spans.span("chat"):
        pass
    accept, chat, answer = await told()
    assert traceparent is not None
    assert traceparent.startswith(f"00-{accept.trace}-{accept.id}-")
    assert (accept.parent, answer.parent, chat.parent) == ("", accept.id, answer.id)
    assert {accept.trace, answer.trace, chat.trace} == {accept.trace}


@pytest.mark.parametrize("flags", ["00", "01"])
async def test_whether_a_trace_of_somebody_else_is_kept_is_said_by_who_began_it(
    spans: OpenTelemetrySpans, told: Told, flags: str
) -> None:
    with spans.within(f"00-{TRACE}-{PARENT}-{flags}"), spans.span("accept"):
        traceparent = spans.traceparent()
    assert spans.traceparent() is None
    assert traceparent is not None
    assert traceparent.startswith(f"00-{TRACE}-")
    assert traceparent.endswith(f"-{flags}")
    kept = [(span.trace, span.parent) for span in await told()]
    assert kept == ([(TRACE, PARENT)] if flags == "01" else [])


@pytest.mark.parametrize(
    "parent",
    [
        "",
        "secret",
        f"00-{TRACE}-{PARENT}",
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE.upper()}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-01" + " " * 1_000,
    ],
)
async def test_what_is_no_traceparent_begins_no_trace_and_ends_none(
    spans: OpenTelemetrySpans, told: Told, parent: str
) -> None:
    with spans.within(parent), spans.span("accept"):
        pass
    with spans.span("answer", parent):
        pass
    accept, answer = await told()
    assert accept.parent == answer.parent == ""
    assert accept.trace != answer.trace


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (SessionBusy("secret"), "session_busy"),
        (ValueError("secret"), "internal_error"),
        (asyncio.CancelledError("secret"), None),
    ],
)
async def test_of_an_error_the_code_is_told_and_no_more(
    spans: OpenTelemetrySpans,
    told: Told,
    collected: Collector,
    error: BaseException,
    code: str | None,
) -> None:
    with suppress(ValueError, SessionBusy, asyncio.CancelledError), spans.span("accept"):
        raise error
    [span] = await told()
    assert (span.failed, span.events) == (code, 0)
    assert span.attributes == ({} if code is None else {"error.type": code})
    assert b"secret" not in b"".join(collected.bodies)


def test_what_the_environment_says_badly_is_told_in_a_line_without_secrets(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "opentelemetry")
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "many")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "a secret")
    asyncio.run(OpenTelemetrySpans("http://127.0.0.1:4318").close())
    [record] = caplog.records
    assert "OTEL_BSP_MAX_QUEUE_SIZE" in record.message
    assert record.exc_info is None
    assert "secret" not in caplog.text
