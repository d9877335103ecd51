"""The composition root: the one place that knows which technology keeps which promise."""

import argparse
import asyncio
import logging
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Final

import uvloop

from application.ports import EventStream, OpenUnitOfWork, RequestQueue, WakeUps
from domain.base_url import clean_base_url
from domain.errors import DatabaseUnavailable
from domain.prompt import ContextWindow
from domain.secret import Secret
from domain.uploaded_file import FileLimits
from infrastructure.argon2_passwords import Argon2Passwords
from infrastructure.audit_log import write_audit_line
from infrastructure.disk_file_store import DiskFileStore
from infrastructure.documents.subprocess_document_reader import SubprocessDocumentReader
from infrastructure.jwt_tokens import JwtTokens
from infrastructure.key_file import make_key_file, read_key_file, read_secret_file
from infrastructure.key_ring import BadEncryptionKeys, KeyRing, parse_keys
from infrastructure.memory.event_stream import MemoryEventStream
from infrastructure.memory.request_queue import MemoryRequestQueue
from infrastructure.memory.wake_ups import MemoryWakeUps
from infrastructure.models.registry import Dialect, Models, OwnModel, dialects, simulated_models
from infrastructure.models.token_estimate import estimate_tokens
from infrastructure.personas_file import BadPersonasFile, FilePersonas
from infrastructure.random_ids import RandomIds
from infrastructure.redis.keys import Keys
from infrastructure.redis.link import open_redis
from infrastructure.sql.connection import Database
from infrastructure.sql.migrate import CannotMigrate, is_current, migrate
from infrastructure.sql.postgres import PostgresDatabase
from infrastructure.sql.sqlite import SqliteDatabase
from infrastructure.sql.unit_of_work import OpenSqlUnitOfWork
from infrastructure.upstreams.connections import Connections
from infrastructure.upstreams.limits import Limits
from infrastructure.upstreams.model_server import ModelServer
from interface.repeat import repeat
from interface.server import Server, listen
from interface.websocket_protocol import as_one_line
from interface.worker import Worker
from settings import DEFAULT_OPENAI_BASE_URL, AuthMode, BadSettings, Settings, read_settings
from wiring import Admission, Ports, build_web, build_worker

log = logging.getLogger("llm_chat")

QUIET: Final = (
    "aiohttp",
    "alembic",
    "asyncio",
    "httpx2",
    "openai",
    "uvicorn",
    "uvicorn.error",
    "websockets",
)
BEAT_SECONDS: Final = 2.0
"""How often a worker shows that it lives."""
KEY_FILE: Final = "encryption.key"
"""Beside the database whose keys it seals, if that is a file elsewhere; else in `data/`."""
PERSONAS_SECONDS: Final = 1.0
"""How often the personas' file is looked at."""
SECRET_FILE: Final = "secret.key"  # noqa: S105 - where it is, not what it is
"""Likewise; what signs the tokens."""
STRAYS_SECONDS: Final = 60.0
"""How often contents that belong to no file are deleted."""
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
        yield Admission(passwords, tokens, settings.sign_in_required)
    finally:
        passwords.close()


@dataclass(frozen=True, slots=True)
class Exchange:
    """How processes tell each other what is new; the database holds what they must know."""

    queue: RequestQueue
    stream: EventStream
    wake_ups: WakeUps


@asynccontextmanager
async def open_exchange(settings: Settings, *, embedded: bool) -> AsyncIterator[Exchange]:
    """Over Redis, whether it is there or not; else within this process, if all is `embedded` in
    it."""
    url = settings.redis_url.get_secret_value()
    if url:
        async with open_redis(url, Keys()) as redis:
            yield Exchange(redis.queue, redis.stream, redis.wake_ups)
        return
    stream = MemoryEventStream(alone=not embedded)
    try:
        yield Exchange(MemoryRequestQueue(alone=not embedded), stream, MemoryWakeUps())
    finally:
        stream.close()


@asynccontextmanager
async def open_ports(settings: Settings, *, embedded: bool) -> AsyncIterator[Ports]:
    """If `embedded`, whatever is missing is made. Raises NotReady, DatabaseUnavailable, and for
    what is there but of no use BadPersonasFile, BadEncryptionKeys, CannotMigrate."""
    personas = FilePersonas(settings.personas_file)
    async with AsyncExitStack() as closing:
        exchange = await closing.enter_async_context(open_exchange(settings, embedded=embedded))
        database = await closing.enter_async_context(open_database(settings, migrates=embedded))
        key_ring = open_key_ring(settings, makes=embedded)
        limits = Limits(
            connect=settings.upstream_connect_seconds,
            first_event=settings.upstream_first_event_seconds,
            gap=settings.upstream_gap_seconds,
            total=settings.upstream_total_seconds,
        )
        connections = Connections(limits.connect, settings.upstream_allowed_hosts)
        closing.push_async_callback(connections.close)
        spoken = dialects(connections, limits)
        models = Models(
            own_models(settings, spoken),
            spoken,
            key_ring.open,
            settings.users_may_reach_private_hosts,
        )
        if settings.openai_model:
            await connections.open()  # not in the time of the first answer
        reading = asyncio.create_task(repeat(PERSONAS_SECONDS, personas.refresh))
        closing.callback(reading.cancel)
        yield Ports(
            OpenSqlUnitOfWork(database, key_ring),
            exchange.queue,
            exchange.stream,
            exchange.wake_ups,
            models,
            personas,
            RandomIds(),
            DiskFileStore(settings.upload_folder),
            SubprocessDocumentReader(),
            [write_audit_line],
        )


def worker_of(settings: Settings, ports: Ports) -> Worker:
    window = ContextWindow(settings.context_messages, settings.context_tokens, estimate_tokens)
    return build_worker(
        ports,
        window,
        settings.worker_concurrency,
        settings.lease_seconds,
        settings.sweep_seconds,
    )


def file_limits(settings: Settings) -> FileLimits:
    return FileLimits(
        settings.upload_file_bytes, settings.upload_session_files, settings.upload_user_bytes
    )


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


@contextmanager
def obeying_signals(first: Callable[[], None], again: Callable[[], None]) -> Iterator[None]:
    """SIGTERM or Ctrl-C: what to do the first time, and at every repeat."""
    loop = asyncio.get_running_loop()
    told = count()

    def obey() -> None:
        if next(told) == 0:
            first()
        else:
            again()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, obey)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


async def run_web(settings: Settings, *, answers: bool) -> None:
    """The doors; and if it `answers`, the worker in the same process."""
    try:
        listening = listen(settings.host, settings.port)
    except OSError as error:
        raise NotReady(f"can't listen on {settings.host}:{settings.port}: {error}") from error
    with listening:
        async with AsyncExitStack() as closing:
            ports = await closing.enter_async_context(open_ports(settings, embedded=answers))
            admission = closing.enter_context(open_admission(settings, embedded=answers))
            web = build_web(ports, admission, settings.sync_timeout, file_limits(settings))
            worker = worker_of(settings, ports) if answers else None
            draining: list[asyncio.Task[None]] = []

            def begin_drain() -> None:
                web.health.draining = True
                web.followers.end()
                if worker is not None:
                    draining.append(asyncio.create_task(worker.drain(settings.shutdown_grace)))

            server = Server(web.app, begin_drain)

            def end() -> None:
                server.should_exit = True

            if worker is not None:
                worker.start()
            host, port = listening.getsockname()[:2]
            shown = f"[{host}]" if ":" in host else host
            log.info("llm-chat is on http://%s:%d and ws://%s:%d/ws", shown, port, shown, port)
            beating = asyncio.create_task(repeat(1, web.heartbeats.beat))
            watching = asyncio.create_task(
                repeat(settings.watchdog_seconds, web.watch, jitter=0.1, hurry=web.hurry_to_watch)
            )
            # With its jitter never later than that.
            between_checks = settings.access_check_seconds * 0.9
            checking = asyncio.create_task(repeat(between_checks, web.recheck, jitter=0.1))
            clearing = asyncio.create_task(
                repeat(STRAYS_SECONDS, web.clear_strays, jitter=0.5, at_once=True)
            )
            with obeying_signals(end, worker.hurry if worker else end):
                try:
                    await server.serve([listening])
                finally:
                    await asyncio.gather(*draining)
                    for task in (beating, watching, checking, clearing):
                        task.cancel()
    log.info("llm-chat has stopped")


async def run_worker(settings: Settings) -> None:
    """A worker without doors."""
    stop = asyncio.Event()
    if settings.auth_mode is None:
        # It has no address that could tell who its users are, so they are not the operator.
        settings = settings.model_copy(update={"auth_mode": AuthMode.REQUIRED})
    async with open_ports(settings, embedded=False) as ports:
        worker = worker_of(settings, ports)
        async with beating(ports.open_unit_of_work, settings.heartbeat_file):
            with obeying_signals(stop.set, worker.hurry):
                worker.start()
                log.info("the worker takes requests")
                await stop.wait()
                await worker.drain(settings.shutdown_grace)
    log.info("the worker has stopped")


@asynccontextmanager
async def beating(open_unit_of_work: OpenUnitOfWork, file: Path | None) -> AsyncIterator[None]:
    """A worker has no door to ask at whether it is well. So it touches this file for as long as its
    loop turns and the database answers. Raises NotReady."""

    async def beat() -> None:
        assert file is not None
        async with open_unit_of_work(read_only=True) as work:
            await work.sessions.reached(())
        await asyncio.to_thread(file.touch)

    if file is None:
        yield
        return
    try:
        await beat()
    except OSError as error:
        raise NotReady(f"HEARTBEAT_FILE: {file} can't be written: {error.strerror}") from error
    beats = asyncio.create_task(repeat(BEAT_SECONDS, beat))
    try:
        yield
    finally:
        beats.cancel()


async def run_migrate(settings: Settings) -> None:
    async with open_database(settings, migrates=True):
        log.info("the database is up to date")


COMMANDS: dict[str, Callable[[Settings], Coroutine[Any, Any, None]]] = {
    "dev": lambda settings: run_web(settings, answers=True),
    "serve": lambda settings: run_web(settings, answers=False),
    "work": run_worker,
    "migrate": run_migrate,
}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description="A backend for streamed chat with language models."
    )
    parser.add_argument(
        "command",
        nargs="?",
        default="dev",
        choices=COMMANDS,
        help="dev: all in one process (default); serve: doors; work: a worker; migrate: tables",
    )
    parser.add_argument("--host")
    parser.add_argument("--port")
    given = parser.parse_args(arguments)
    try:
        settings = read_settings(host=given.host, port=given.port)
        set_up_logging(settings.log_level)
        uvloop.run(COMMANDS[given.command](settings))
    except (
        BadSettings,
        BadPersonasFile,
        BadEncryptionKeys,
        CannotMigrate,
        NotReady,
        DatabaseUnavailable,
    ) as error:
        cause = said_by(error) if isinstance(error, DatabaseUnavailable) else ""
        shown = f"{error} ({cause})" if cause else str(error)
        print(f"llm-chat: {shown}".replace("\n", " "), file=sys.stderr)
        return 2
    return 0


def said_by(error: BaseException) -> str:
    """What the driver said, without what was made of it on the way."""
    said = ""
    while error.__cause__ is not None:
        error = error.__cause__
        said = str(error) or said or type(error).__name__
    return said


def set_up_logging(level: str) -> None:
    logging.basicConfig(
        level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr
    )
    # Their lines at lower levels hold query strings or prompts, or say nothing to an operator.
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("uvicorn.error").addFilter(as_one_line)
    logging.getLogger("python_multipart").setLevel(logging.ERROR)  # what anybody can make it say
    logging.getLogger("stamina").setLevel(logging.ERROR)  # its warnings name no cause


if __name__ == "__main__":
    sys.exit(main())
