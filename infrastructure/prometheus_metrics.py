"""A listener that counts, and what else is measured in this process, in the words of Prometheus.

Labels have few values, which are named here or in the code: no user, no session, no model, no path.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from domain.events import (
    AnswerBegan,
    DomainEvent,
    GenerationCompleted,
    GenerationFailed,
    GenerationFenced,
    GenerationReleased,
    GenerationStarted,
    GenerationStopped,
    MessageAccepted,
    RegenerationAccepted,
)
from domain.repositories import Backlog

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST

_FIRST_CHUNK_SECONDS: Final = (0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120)
_MOST_CODES: Final = 50
"""There are fewer. Who invents codes at run time fills no memory with them."""

Number = Callable[[], float]
Numbers = Callable[[], Iterable[tuple[str, float]]]
"""By the values of a label."""
IsAway = Callable[[], bool]
AskBacklog = Callable[[], Awaitable[Backlog | None]]


class PrometheusMetrics:
    """Of one process. What has happened is told to it as to any listener; what is so now it asks
    when it is asked, whoever of these there is to ask."""

    def __init__(self) -> None:
        # Two more series each, of which nobody makes anything.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        registry = self._registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        self._readings: Final[list[Callable[[], Metric]]] = []
        self._away: Mapping[str, IsAway] = {}
        self._backlog: AskBacklog | None = None
        self._codes: Final[set[str]] = set()

        def counter(name: str, about: str, label: str = "") -> Counter:
            labels = (label,) if label else ()
            return Counter(f"llm_chat_{name}", about, labels, registry=registry)

        self._accepted = counter("accepted", "Questions that were accepted.", "kind")
        self._claims = counter("claims", "Claims of generations by this worker.")
        self._takeovers = counter(
            "takeovers", "Those claims whose generation another worker had lost or released."
        )
        self._releases = counter("releases", "Claims that this worker gave back, as it ended.")
        self._fencings = counter(
            "fencings",
            "Claims that this worker lost, to another one or with the session.",
        )
        self._ended = counter("generations", "Generations that ended, by how.", "outcome")
        self._failures = counter("failures", "Generations that failed, by the code.", "code")
        self._tokens = counter(
            "tokens", "Of completed answers, as the models' servers counted them.", "kind"
        )
        self._first_chunk = Histogram(
            "llm_chat_first_chunk_seconds",
            "From the acceptance of a question to the first piece of its answer.",
            buckets=_FIRST_CHUNK_SECONDS,
            registry=registry,
        )
        # So that they are 0 before they are 1: the first one is seen as a rise.
        for kind in ("message", "regeneration"):
            self._accepted.labels(kind)
        for outcome in ("completed", "failed", "stopped"):
            self._ended.labels(outcome)
        for kind in ("input", "output"):
            self._tokens.labels(kind)

    def __call__(self, event: DomainEvent) -> None:
        match event:
            case MessageAccepted():
                self._accepted.labels("message").inc()
            case RegenerationAccepted():
                self._accepted.labels("regeneration").inc()
            case GenerationStarted():
                self._claims.inc()
                if event.attempt > 1:
                    self._takeovers.inc()
            case AnswerBegan():
                self._first_chunk.observe(event.seconds)
            case GenerationFenced():
                self._fencings.inc()
            case GenerationReleased():
                self._releases.inc()
            case GenerationCompleted():
                self._ended.labels("completed").inc()
                if event.usage is not None:
                    self._tokens.labels("input").inc(event.usage.prompt_tokens)
                    self._tokens.labels("output").inc(event.usage.completion_tokens)
            case GenerationStopped():
                self._ended.labels("stopped").inc()
            case GenerationFailed():
                self._ended.labels("failed").inc()
                self._failures.labels(self._known(event.failure.code)).inc()

    def watch_connections(self, by_transport: Numbers) -> None:
        about = "Who hears answers now, by how."
        self._readings.append(lambda: _gauges("connections", about, "transport", by_transport()))

    def watch_answers(self, written: Number, most: int, pieces: Number) -> None:
        now, limit = "Answers that this worker writes now.", "That it writes at most at a time."
        chunks = "Pieces of answers that the models gave this worker."
        self._readings.append(lambda: _gauge("answers", now, written()))
        self._readings.append(lambda: _gauge("answers_limit", limit, most))
        self._readings.append(lambda: CounterMetricFamily("llm_chat_chunks", chunks, pieces()))

    def watch_breakers(self, by_state: Numbers) -> None:
        about = "Models' servers that this process leaves alone since they failed, by how."
        self._readings.append(lambda: _gauges("breakers", about, "state", by_state()))

    def watch_loop(self, longest_lag: Number) -> None:
        about = "How late the event loop came at most within a minute."
        self._readings.append(lambda: _gauge("event_loop_lag_seconds", about, longest_lag()))

    def watch_health(self, away: Mapping[str, IsAway], backlog: AskBacklog) -> None:
        """`away` says it of each part but the database, which is well if it says its backlog."""
        self._away = away
        self._backlog = backlog

    async def scrape(self) -> tuple[bytes, str]:
        """The text, and its content type."""
        now = [read() for read in self._readings]
        if self._backlog is not None:
            now += _health(self._away, await self._backlog())
        # Reads files in /proc.
        return await asyncio.to_thread(generate_latest, _Now(now, self._registry)), CONTENT_TYPE

    def _known(self, code: str) -> str:
        if len(self._codes) < _MOST_CODES:
            self._codes.add(code)
        return code if code in self._codes else "other"


class _Now(Collector):
    """What was read a moment ago, in the loop, and what is counted."""

    def __init__(self, read: list[Metric], registry: CollectorRegistry) -> None:
        self._read = read
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        yield from self._read
        yield from self._registry.collect()


def _gauge(name: str, about: str, value: float) -> Metric:
    return GaugeMetricFamily(f"llm_chat_{name}", about, value)


def _gauges(name: str, about: str, label: str, values: Iterable[tuple[str, float]]) -> Metric:
    family = GaugeMetricFamily(f"llm_chat_{name}", about, labels=[label])
    for text, value in values:
        family.add_metric([text], value)
    return family


def _health(away: Mapping[str, IsAway], backlog: Backlog | None) -> Iterator[Metric]:
    well = {part: not is_away() for part, is_away in away.items()}
    well["database"] = backlog is not None
    yield _gauges("healthy", "1 for what answers, 0 for what is away.", "part", well.items())
    if backlog is not None:
        waiting = "Generations that wait for a worker, in all processes together."
        yield _gauge("waiting", waiting, backlog.waiting)
        oldest = "How long the oldest of those has waited that a worker could take at once."
        yield _gauge("waiting_oldest_seconds", oldest, backlog.oldest_seconds)
