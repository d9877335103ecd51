"""Spans for an OpenTelemetry collector. Loaded only if one is named: it needs the extra `tracing`.

All that is not said here the SDK reads from the environment by itself: OTEL_SERVICE_NAME,
OTEL_TRACES_SAMPLER, OTEL_EXPORTER_OTLP_HEADERS and the others of its specification.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from application.spans import ACCEPT, ANSWER, CHAT
from domain.errors import ChatError

log = logging.getLogger(__name__)

_SERVICE: Final = "llm-chat"
_FAREWELL_SECONDS: Final = 2.0
"""For what was not delivered yet when the process ends."""
_LINE_SECONDS: Final = 60.0
"""Between two lines of the log about a collector that does not take anything."""
_TRACEPARENT: Final = "traceparent"
_KINDS: Final = {
    ACCEPT: trace.SpanKind.SERVER,
    ANSWER: trace.SpanKind.CONSUMER,
    CHAT: trace.SpanKind.CLIENT,
}
_w3c: Final = TraceContextTextMapPropagator()


class OpenTelemetrySpans:
    """Spans are delivered by a thread of their own, in batches. What a collector does not take is
    dropped: nothing waits for it."""

    def __init__(self, base_url: str) -> None:
        """`base_url` is the collector's, over HTTP. Raises ValueError if the SDK can't use what the
        environment says."""
        logging.getLogger("opentelemetry.util.re").setLevel(logging.CRITICAL)  # shows bad headers
        logging.getLogger("opentelemetry.sdk.trace.export").addFilter(_in_one_line)
        resource = Resource.create()
        if not OTELResourceDetector().detect().attributes.get(SERVICE_NAME):
            resource = resource.merge(Resource({SERVICE_NAME: _SERVICE}))
        self._provider: Final = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._deliver: Final = _Deliver(OTLPSpanExporter(f"{base_url.rstrip('/')}/v1/traces"))
        self._provider.add_span_processor(BatchSpanProcessor(self._deliver))
        self._tracer: Final = self._provider.get_tracer(_SERVICE)
        # From now on: its lines come once for each batch and try, some with a traceback.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)

    @contextmanager
    def span(self, name: str, parent: str | None = None) -> Iterator["_Span"]:
        with self._tracer.start_as_current_span(
            name,
            None if parent is None else _read(parent),
            _KINDS.get(name, trace.SpanKind.INTERNAL),
            record_exception=False,  # what errors say may be what people said
            set_status_on_exception=False,
        ) as made:
            span = _Span(made)
            try:
                yield span
            except ChatError as error:
                span.fail(error.code)
                raise
            except Exception:
                span.fail("internal_error")
                raise

    @contextmanager
    def within(self, parent: str) -> Iterator[None]:
        token = contexts.attach(_read(parent))
        try:
            yield
        finally:
            contexts.detach(token)

    def traceparent(self) -> str | None:
        carrier: dict[str, str] = {}
        _w3c.inject(carrier)
        return carrier.get(_TRACEPARENT)

    async def close(self) -> None:
        """Deliver what there is. A collector that does not answer is not waited for: the thread
        ends with the process."""
        loop, delivered = asyncio.get_running_loop(), asyncio.Event()

        def end() -> None:
            self._provider.shutdown()
            with suppress(RuntimeError):  # the loop is closed by now
                loop.call_soon_threadsafe(delivered.set)

        threading.Thread(target=end, name="last-spans", daemon=True).start()
        with suppress(TimeoutError):
            async with asyncio.timeout(_FAREWELL_SECONDS):
                await delivered.wait()


class _Span:
    __slots__ = ("_span",)

    def __init__(self, span: trace.Span) -> None:
        self._span = span

    def tell(self, name: str, value: str | int) -> None:
        self._span.set_attribute(name, value)

    def fail(self, code: str) -> None:
        self._span.set_attribute("error.type", code)
        self._span.set_status(trace.Status(trace.StatusCode.ERROR, code))


class _Deliver(SpanExporter):
    """Says in one line, and not too often, that spans are lost."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._lost = 0
        self._next_line = 0.0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        try:
            result = self._exporter.export(spans)
        except Exception:
            result = SpanExportResult.FAILURE
        if result is SpanExportResult.SUCCESS:
            if self._lost:
                log.info("the collector takes spans again; %d were lost", self._lost)
            self._lost, self._next_line = 0, 0.0
        else:
            self._lost += len(spans)
            self._complain()
        return result

    def _complain(self) -> None:
        now = time.monotonic()
        if now >= self._next_line:
            self._next_line = now + _LINE_SECONDS
            log.warning("the collector takes no spans; %d are lost so far", self._lost)

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)


def _in_one_line(record: logging.LogRecord) -> bool:
    """What the environment says badly needs no traceback."""
    record.exc_info = None
    return True


def _read(traceparent: str) -> contexts.Context:
    """Empty if it is none."""
    return _w3c.extract({_TRACEPARENT: traceparent}, contexts.Context())
