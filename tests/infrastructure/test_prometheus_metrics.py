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
    SessionDeleted,
)
from domain.generation import Failure
from domain.identifiers import GenerationId, MessageId, SessionId, UserId
from domain.message import Usage
from domain.repositories import Backlog
from infrastructure.prometheus_metrics import PrometheusMetrics
from tests.scraping import read_samples

WHICH = (UserId(7), SessionId("session_1"), GenerationId("gen_1"))
HAPPENED: list[DomainEvent] = [
    MessageAccepted(*WHICH[:2], MessageId(3), WHICH[2], "request-1"),
    RegenerationAccepted(*WHICH[:2], MessageId(3), WHICH[2], None),
    GenerationStarted(*WHICH, 1),
    GenerationStarted(*WHICH, 2),
    AnswerBegan(*WHICH, 0.3),
    GenerationFenced(*WHICH),
    GenerationReleased(*WHICH),
    GenerationCompleted(*WHICH, Usage(36, 25)),
    GenerationCompleted(*WHICH, None),
    GenerationStopped(*WHICH),
    GenerationFailed(*WHICH, Failure("upstream_error", "It said no.")),
    SessionDeleted(*WHICH[:2]),
]


async def scraped(metrics: PrometheusMetrics) -> dict[str, float]:
    text, content_type = await metrics.scrape()
    assert content_type.startswith("text/plain; version=")
    samples = read_samples(text.decode())
    return {name: value for name, value in samples.items() if name.startswith("llm_chat_")}


async def test_what_happens_is_counted() -> None:
    metrics = PrometheusMetrics()
    before = await scraped(metrics)
    assert set(before.values()) == {0}
    for event in HAPPENED:
        metrics(event)
    after = await scraped(metrics)
    assert {name: value for name, value in after.items() if value and "_bucket" not in name} == {
        'llm_chat_accepted_total{kind="message"}': 1,
        'llm_chat_accepted_total{kind="regeneration"}': 1,
        "llm_chat_claims_total": 2,
        "llm_chat_takeovers_total": 1,
        "llm_chat_fencings_total": 1,
        "llm_chat_releases_total": 1,
        'llm_chat_generations_total{outcome="completed"}': 2,
        'llm_chat_generations_total{outcome="stopped"}': 1,
        'llm_chat_generations_total{outcome="failed"}': 1,
        'llm_chat_failures_total{code="upstream_error"}': 1,
        'llm_chat_tokens_total{kind="input"}': 36,
        'llm_chat_tokens_total{kind="output"}': 25,
        "llm_chat_first_chunk_seconds_count": 1,
        "llm_chat_first_chunk_seconds_sum": 0.3,
    }
    assert after['llm_chat_first_chunk_seconds_bucket{le="0.25"}'] == 0
    assert after['llm_chat_first_chunk_seconds_bucket{le="0.5"}'] == 1


async def test_two_of_them_share_nothing() -> None:
    first, second = PrometheusMetrics(), PrometheusMetrics()
    first(HAPPENED[0])
    assert set((await scraped(second)).values()) == {0}


async def test_what_is_so_now_is_asked_when_it_is_scraped() -> None:
    metrics, now = PrometheusMetrics(), 1
    metrics.watch_connections(lambda: {"sse": now}.items())
    metrics.watch_answers(lambda: now, 200, lambda: 7 * now)
    metrics.watch_breakers(lambda: {"open": now}.items())
    metrics.watch_loop(lambda: now / 4)
    for now in (1, 2):
        after = await scraped(metrics)
        assert {name: value for name, value in after.items() if value} == {
            'llm_chat_connections{transport="sse"}': now,
            "llm_chat_answers": now,
            "llm_chat_answers_limit": 200,
            "llm_chat_chunks_total": 7 * now,
            'llm_chat_breakers{state="open"}': now,
            "llm_chat_event_loop_lag_seconds": now / 4,
        }


async def test_of_a_database_that_is_away_only_that_is_told() -> None:
    found: Backlog | None = Backlog(3, 1.5)

    async def backlog() -> Backlog | None:
        return found

    metrics = PrometheusMetrics()
    metrics.watch_health({"queue": lambda: False, "stream": lambda: found is None}, backlog)
    well = await scraped(metrics)
    assert [well[f'llm_chat_healthy{{part="{part}"}}'] for part in PARTS] == [1, 1, 1]
    assert (well["llm_chat_waiting"], well["llm_chat_waiting_oldest_seconds"]) == (3, 1.5)
    found = None
    away = await scraped(metrics)
    assert [away[f'llm_chat_healthy{{part="{part}"}}'] for part in PARTS] == [0, 1, 0]
    assert well.keys() - away.keys() == {"llm_chat_waiting", "llm_chat_waiting_oldest_seconds"}


PARTS = ("database", "queue", "stream")


async def test_codes_without_end_do_not_make_series_without_end() -> None:
    metrics = PrometheusMetrics()
    for number in range(1_000):
        metrics(GenerationFailed(*WHICH, Failure(f"code_{number}", "")))
    after = await scraped(metrics)
    failures = {name: value for name, value in after.items() if "failures" in name}
    assert len(failures) == 51
    assert failures['llm_chat_failures_total{code="other"}'] == 950
