"""The commands: what a process is, from its settings to its end."""

import argparse
import asyncio
import logging
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from itertools import count
from typing import Any, Final

import uvloop

from domain.errors import DatabaseUnavailable
from domain.limits import Room
from domain.meter import Meter
from domain.prompt import ContextWindow
from domain.uploaded_file import FileLimits
from infrastructure.key_ring import BadEncryptionKeys
from infrastructure.logs import set_up_logging
from infrastructure.models.token_estimate import estimate_tokens
from infrastructure.personas_file import BadPersonasFile
from infrastructure.prometheus_metrics import PrometheusMetrics
from infrastructure.sql.migrate import CannotMigrate
from interface.origins import Origins
from interface.repeat import repeat
from interface.server import Server, listen
from interface.websocket_protocol import as_one_line
from interface.worker import Worker
from resources import (
    NotReady,
    check_upload_folder,
    open_admission,
    open_database,
    open_ports,
    read_page,
    read_plain_page,
)
from settings import AuthMode, BadSettings, Settings, read_settings
from watching import beating, listening_for_watchers, measure_loop, shown_address, watched
from wiring.given import Bounds, Pages, Ports
from wiring.web import Web, build_retention, build_web
from wiring.worker import build_worker

log = logging.getLogger("llm_chat")

SEATS_SECONDS: Final = 30.0
"""How often it is said that this process's streams still go on."""
STRAYS_SECONDS: Final = 60.0
"""How often contents that belong to no file are deleted."""
RETENTION_SECONDS: Final = 600.0
"""How often sessions are looked for that were kept for long enough."""


def worker_of(settings: Settings, ports: Ports, metrics: PrometheusMetrics) -> Worker:
    window = ContextWindow(settings.context_messages, settings.context_tokens, estimate_tokens)
    worker = build_worker(
        ports,
        window,
        settings.worker_concurrency,
        settings.lease_seconds,
        settings.sweep_seconds,
        Meter(estimate_tokens if settings.tokens_per_day else None),
        Room(tokens_per_day=settings.tokens_per_day),
    )
    claims = worker.claims
    metrics.watch_answers(lambda: len(claims), worker.concurrency, lambda: claims.pieces)
    return worker


def bounds_of(settings: Settings) -> Bounds:
    return Bounds(
        settings.sync_timeout,
        FileLimits(
            settings.upload_file_bytes, settings.upload_session_files, settings.upload_user_bytes
        ),
        Room(settings.most_answers_per_user, settings.queue_limit, settings.tokens_per_day),
        settings.most_streams_per_user,
    )


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


def beside_web(settings: Settings, ports: Ports, web: Web) -> Iterator[Coroutine[Any, Any, None]]:
    """What is done again and again in a process with doors."""
    yield repeat(1, web.heartbeats.beat)
    yield repeat(settings.watchdog_seconds, web.watch, jitter=0.1, hurry=web.hurry_to_watch)
    # With its jitter never later than that.
    yield repeat(settings.access_check_seconds * 0.9, web.recheck, jitter=0.1)
    yield repeat(SEATS_SECONDS, web.seats.taken.renew, jitter=0.1)
    yield repeat(STRAYS_SECONDS, web.clear_strays, jitter=0.5, at_once=True)
    forget = build_retention(ports, settings.retention_days)
    yield repeat(RETENTION_SECONDS, forget, jitter=0.5, at_once=True)


async def run_web(settings: Settings, *, answers: bool) -> None:
    """The doors; and if it `answers`, the worker in the same process."""
    try:
        listening = listen(settings.host, settings.port)
    except OSError as error:
        raise NotReady(f"can't listen on {settings.host}:{settings.port}: {error}") from error
    with listening:
        async with AsyncExitStack() as closing:
            metrics = PrometheusMetrics()
            ports = await closing.enter_async_context(
                open_ports(settings, metrics, embedded=answers)
            )
            check_upload_folder(settings)
            admission = closing.enter_context(open_admission(settings, embedded=answers))
            web = build_web(
                ports,
                admission,
                bounds_of(settings),
                Origins(settings.pages_origins, settings.only_name),
                Pages(read_page("page"), read_page("docs_page"), read_plain_page()),
                metrics.scrape,
            )
            metrics.watch_connections(lambda: web.seats.by_transport.items())
            worker = worker_of(settings, ports, metrics) if answers else None
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
            shown = shown_address(listening)
            log.info("llm-chat is on http://%s and ws://%s/ws", shown, shown)
            beside = [asyncio.create_task(each) for each in beside_web(settings, ports, web)]
            beside.append(asyncio.create_task(measure_loop(metrics)))
            with obeying_signals(end, worker.hurry if worker else end):
                try:
                    await server.serve([listening])
                finally:
                    await asyncio.gather(*draining)
                    for task in beside:
                        task.cancel()
    log.info("llm-chat has stopped")


async def run_worker(settings: Settings) -> None:
    """A worker, with no door but the one for whoever watches over it, if that is wanted."""
    stop = asyncio.Event()
    if settings.auth_mode is None:
        # It has no address that could tell who its users are, so they are not the operator.
        settings = settings.model_copy(update={"auth_mode": AuthMode.REQUIRED})
    metrics = PrometheusMetrics()
    async with AsyncExitStack() as closing:
        listening = closing.enter_context(
            listening_for_watchers(settings.metrics_host, settings.metrics_port)
        )
        ports = await closing.enter_async_context(open_ports(settings, metrics, embedded=False))
        worker = worker_of(settings, ports, metrics)
        await closing.enter_async_context(watched(listening, metrics))
        async with beating(ports.open_unit_of_work, settings.heartbeat_file):
            with obeying_signals(stop.set, worker.hurry):
                worker.start()
                log.info("the worker takes requests")
                await stop.wait()
                await worker.drain(settings.shutdown_grace)
    log.info("the worker has stopped")


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
        write_logs(settings)
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
    except Exception:  # Python would write it over many lines
        log.exception("the process ends by a fault of ours")
        return 1
    return 0


def said_by(error: BaseException) -> str:
    """What the driver said, without what was made of it on the way."""
    said = ""
    while error.__cause__ is not None:
        error = error.__cause__
        said = str(error) or said or type(error).__name__
    return said


def write_logs(settings: Settings) -> None:
    as_json = settings.writes_json(terminal=sys.stderr.isatty())
    set_up_logging(settings.log_level, as_json=as_json)
    logging.getLogger("uvicorn.error").addFilter(as_one_line)


if __name__ == "__main__":
    sys.exit(main())
