"""Which technology keeps which promise: opened here, and closed in good order."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

from application.ports import (
    Cache,
    EventStream,
    RateLimiter,
    RequestQueue,
    Spans,
    TakenSeats,
    WakeUps,
)
from application.spans import UNTRACED
from application.watch_backlog import WatchBacklog
from domain.base_url import clean_base_url
from domain.limits import Rate
from domain.secret import Secret
from infrastructure.argon2_passwords import Argon2Passwords
from infrastructure.audit_log import write_audit_line
from infrastructure.disk_file_store import DiskFileStore
from infrastructure.documents.subprocess_document_reader import SubprocessDocumentReader
from infrastructure.jwt_tokens import JwtTokens
from infrastructure.key_file import make_key_file, read_key_file, read_secret_file
from infrastructure.key_ring import KeyRing, parse_keys
from infrastructure.memory.cache import MemoryCache
from infrastructure.memory.event_stream import MemoryEventStream
from infrastructure.memory.rate_limiter import MemoryRateLimiter
from infrastructure.memory.request_queue import MemoryRequestQueue
from infrastructure.memory.seats import MemorySeats
from infrastructure.memory.wake_ups import MemoryWakeUps
from infrastructure.models.registry import Dialect, Models, OwnModel, dialects, simulated_models
from infrastructure.personas_file import FilePersonas
from infrastructure.prometheus_metrics import PrometheusMetrics
from infrastructure.random_ids import RandomIds
from infrastructure.redis.keys import Keys
from infrastructure.redis.link import open_redis
from infrastructure.sql.connection import Database
from infrastructure.sql.migrate import is_current, migrate
from infrastructure.sql.postgres import PostgresDatabase
from infrastructure.sql.sqlite import SqliteDatabase
from infrastructure.sql.unit_of_work import OpenSqlUnitOfWork
from infrastructure.upstreams.breaker import Breakers
from infrastructure.upstreams.connections import Connections
from infrastructure.upstreams.limits import Limits
from infrastructure.upstreams.model_server import ModelServer
from interface.client_address import ClientAddress
from interface.repeat import repeat
from settings import DEFAULT_OPENAI_BASE_URL, Settings
from wiring.given import Admission, Ports

log = logging.getLogger("llm_chat")

KEY_FILE: Final = "encryption.key"
"""Beside the database whose keys it seals, if that is a file elsewhere; else in `data/`."""
GUESSES_SECONDS: Final = 300
"""In which so many wrong passwords are allowed."""
REGISTRATIONS_SECONDS: Final = 600
REQUESTS_SECONDS: Final = 60
PERSONAS_SECONDS: Final = 1.0
"""How often the personas' file is looked at."""
SECRET_FILE: Final = "secret.key"  # noqa: S105 - where it is, not what it is
"""Likewise; what signs the tokens."""
MAKE_A_KEY: Final = (
    '`python -c "import base64, os; print(base64.b64encode(os.urandom(32)).decode())"`'
)


class NotReady(Exception):
    """The start can't go on; the sentence says what is missing."""


def database_of(settings: Settings) -> SqliteDatabase | PostgresDatabase:
    if settings.postgres_url:
        return PostgresDatabase(settings.postgres_url.get_secret_value())
    assert settings.sqlite_path is not None
    return SqliteDatabase(settings.sqlite_path)


@asynccontextmanager
async def open_database(settings: Settings, *, migrates: bool) -> AsyncIterator[Database]:
    """Raises NotReady, CannotMigrate, DatabaseUnavailable."""
    database = database_of(settings)
    async with AsyncExitStack() as closing:
        closing.push_async_callback(database.close)
        await database.open()
        if migrates:
            await migrate(database)
        elif not await is_current(database):
            raise NotReady("the database is not up to date: run `python main.py migrate`")
        yield database


def open_key_ring(settings: Settings, *, makes: bool) -> KeyRing:
    """From the environment, else from the file, which is made if it `makes` one.

    Raises NotReady, BadEncryptionKeys.
    """
    given = settings.encryption_keys.get_secret_value()
    if given:
        return KeyRing(parse_keys(given, "ENCRYPTION_KEYS"))
    file = settings.data_folder / KEY_FILE
    kept = read_key_file(file)
    if kept is None and makes:
        make_key_file(file)
        kept = read_key_file(file)
    if kept is None:
        raise NotReady(f"ENCRYPTION_KEYS is empty, and there is no {file}: {MAKE_A_KEY} makes one")
    return KeyRing(kept)


def open_secret(settings: Settings, *, makes: bool) -> Secret:
    """Likewise. Raises NotReady, BadEncryptionKeys."""
    given = settings.secret_key.get_secret_value()
    if given:
        return Secret(given)
    file = settings.data_folder / SECRET_FILE
    kept = read_secret_file(file)
    if kept is None and makes:
        make_key_file(file)
        kept = read_secret_file(file)
    if kept is None:
        raise NotReady(f"SECRET_KEY is empty, and there is no {file}: {MAKE_A_KEY} makes one")
    return kept


@contextmanager
def open_admission(settings: Settings, *, embedded: bool) -> Iterator[Admission]:
    """Raises NotReady, BadEncryptionKeys."""
    secret = open_secret(settings, makes=embedded)
    passwords = Argon2Passwords()
    tokens = JwtTokens(secret, settings.access_token_seconds)
    try:
        yield Admission(
            passwords,
            tokens,
            settings.sign_in_required,
            ClientAddress(settings.proxies),
            _rate("log-in", settings.log_in_failures, GUESSES_SECONDS),
            _rate("register", settings.registrations, REGISTRATIONS_SECONDS),
            _rate("user", settings.most_requests_per_user, REQUESTS_SECONDS),
            _rate("token", settings.most_requests_per_token, REQUESTS_SECONDS),
            _rate("address", settings.most_requests_per_address, REQUESTS_SECONDS),
        )
    finally:
        passwords.close()


def _rate(name: str, amount: int, seconds: int) -> Rate | None:
    return Rate(name, amount, seconds) if amount else None


@dataclass(frozen=True, slots=True)
class Exchange:
    """How processes tell each other what is new; the database holds what they must know."""

    queue: RequestQueue
    stream: EventStream
    wake_ups: WakeUps
    cache: Cache
    rate_limiter: RateLimiter
    seats: TakenSeats


@asynccontextmanager
async def open_exchange(settings: Settings, *, embedded: bool) -> AsyncIterator[Exchange]:
    """Over Redis, whether it is there or not; else within this process, if all is `embedded` in
    it."""
    url = settings.redis_url.get_secret_value()
    if url:
        async with open_redis(url, Keys()) as redis:
            yield Exchange(
                redis.queue,
                redis.stream,
                redis.wake_ups,
                redis.cache,
                redis.rate_limiter,
                redis.seats,
            )
        return
    stream = MemoryEventStream(alone=not embedded)
    try:
        queue = MemoryRequestQueue(alone=not embedded)
        wake_ups, rate_limiter = MemoryWakeUps(), MemoryRateLimiter()
        yield Exchange(queue, stream, wake_ups, MemoryCache(), rate_limiter, MemorySeats())
    finally:
        stream.close()


@asynccontextmanager
async def open_ports(
    settings: Settings, metrics: PrometheusMetrics, *, embedded: bool
) -> AsyncIterator[Ports]:
    """If `embedded`, whatever is missing is made. Raises NotReady, DatabaseUnavailable, and for
    what is there but of no use BadPersonasFile, BadEncryptionKeys, CannotMigrate."""
    personas = FilePersonas(settings.personas_file)
    async with AsyncExitStack() as closing:
        spans = await closing.enter_async_context(open_spans(settings))
        exchange = await closing.enter_async_context(open_exchange(settings, embedded=embedded))
        database = await closing.enter_async_context(open_database(settings, migrates=embedded))
        key_ring = open_key_ring(settings, makes=embedded)
        breakers = Breakers()
        metrics.watch_breakers(lambda: breakers.not_closed().items())
        models = await closing.enter_async_context(open_models(settings, key_ring, breakers, spans))
        reading = asyncio.create_task(repeat(PERSONAS_SECONDS, personas.refresh))
        closing.callback(reading.cancel)
        open_unit_of_work = OpenSqlUnitOfWork(database, key_ring)
        metrics.watch_health(
            {"queue": lambda: exchange.queue.away, "stream": lambda: exchange.stream.away},
            WatchBacklog(open_unit_of_work),
        )
        yield Ports(
            open_unit_of_work,
            exchange.queue,
            exchange.stream,
            exchange.wake_ups,
            exchange.cache,
            models,
            personas,
            RandomIds(),
            DiskFileStore(settings.upload_folder),
            SubprocessDocumentReader(),
            exchange.rate_limiter,
            exchange.seats,
            [write_audit_line, metrics],
            spans,
        )


@asynccontextmanager
async def open_models(
    settings: Settings, key_ring: KeyRing, breakers: Breakers, spans: Spans
) -> AsyncIterator[Models]:
    """The server's own and those of users, over connections that they share."""
    limits = Limits(
        connect=settings.upstream_connect_seconds,
        first_event=settings.upstream_first_event_seconds,
        gap=settings.upstream_gap_seconds,
        total=settings.upstream_total_seconds,
    )
    connections = Connections(limits.connect, settings.upstream_allowed_hosts, spans.traceparent)
    spoken = dialects(connections, limits, breakers)
    models = Models(
        own_models(settings, spoken),
        spoken,
        key_ring.open,
        settings.users_may_reach_private_hosts,
    )
    try:
        if settings.openai_model:
            await connections.open()  # not in the time of the first answer
        yield models
    finally:
        await connections.close()


@asynccontextmanager
async def open_spans(settings: Settings) -> AsyncIterator[Spans]:
    """Delivered to a collector, if one is named. Raises NotReady."""
    url = settings.otel_exporter_otlp_endpoint.get_secret_value()
    if not url:
        yield UNTRACED
        return
    try:
        from infrastructure.tracing import OpenTelemetrySpans  # which nobody else needs
    except ModuleNotFoundError as error:
        raise NotReady(
            f"OTEL_EXPORTER_OTLP_ENDPOINT: needs what is not installed ({error.name}):"
            " `python -m pip install --require-hashes -r requirements-tracing.lock`"
        ) from None
    try:
        spans = OpenTelemetrySpans(url)
    except (ValueError, RuntimeError) as error:
        raise NotReady(f"what an OTEL_ variable says can't be used: {error}") from None
    try:
        yield spans
    finally:
        await spans.close()


def check_upload_folder(settings: Settings) -> None:
    """Now rather than at the first upload. Raises NotReady."""
    folder = settings.upload_folder
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        usable = os.access(folder, os.R_OK | os.W_OK | os.X_OK)
        why = "" if usable else "it can't be written"
    except OSError as error:
        why = error.strerror or "it can't be made"
    if why:
        raise NotReady(f"UPLOAD_DIR: {folder} can't keep files: {why}")


def own_models(settings: Settings, dialects: Mapping[str, Dialect]) -> Sequence[OwnModel]:
    """The server's default model is the first one."""
    key = settings.openai_api_key.get_secret_value()
    simulated = simulated_models(settings.simulated_delay, settings.simulated_chunks)
    if not settings.openai_model:
        if key or settings.openai_base_url:
            log.warning("OPENAI_MODEL is empty, so no model is asked there: answers are simulated")
        return simulated
    base_url = clean_base_url(settings.openai_base_url or DEFAULT_OPENAI_BASE_URL)
    server = ModelServer(base_url, Secret(key) if key else None, trusted=True)
    provider = "openai" if settings.openai_stream else "openai-unstreamed"
    model = dialects[provider](server, settings.openai_model)
    others = [own for own in simulated if own.name != settings.openai_model]
    return (OwnModel(settings.openai_model, provider, model), *others)


def read_page(folder: str) -> Mapping[str, bytes]:
    """What a page in that folder is made of, by path."""
    return dict(read_files(files("interface") / folder))


def read_plain_page() -> bytes:
    """The shortest one, whose whole source is the example."""
    return (files("interface") / "dialects" / "event_source.html").read_bytes()


def read_files(folder: Traversable, path: str = "") -> Iterator[tuple[str, bytes]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from read_files(entry, f"{path}{entry.name}/")
        else:
            yield path + entry.name, entry.read_bytes()
