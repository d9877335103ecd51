"""How a process is seen by whoever watches over it: its loop, a worker's only door, and a file that
shows that a worker lives."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

from application.ports import OpenUnitOfWork
from infrastructure.loop_lag import LoopLag
from infrastructure.prometheus_metrics import PrometheusMetrics
from interface.repeat import repeat
from interface.server import Server, listen
from resources import NotReady
from wiring.worker import build_worker_door

log = logging.getLogger("llm_chat")

BEAT_SECONDS: Final = 2.0
"""How often a worker shows that it lives."""


async def measure_loop(metrics: PrometheusMetrics) -> None:
    lag = LoopLag()
    metrics.watch_loop(lambda: lag.longest)
    await lag()


def shown_address(listening: socket.socket) -> str:
    """As it stands in a URL."""
    host, port = listening.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@contextmanager
def listening_for_watchers(host: str, port: int) -> Iterator[socket.socket | None]:
    """None if the port is 0. Raises NotReady."""
    if not port:
        yield None
        return
    try:
        listening = listen(host, port)
    except OSError as error:
        raise NotReady(f"METRICS_PORT: can't listen on {host}:{port}: {error}") from error
    with listening:
        yield listening


@asynccontextmanager
async def watched(
    listening: socket.socket | None, metrics: PrometheusMetrics
) -> AsyncIterator[None]:
    """A worker's only door, for whoever watches over it."""
    if listening is None:
        yield
        return
    server = Server(build_worker_door(metrics.scrape), begin_drain=lambda: None)
    serving = asyncio.create_task(server.serve([listening]))
    measuring = asyncio.create_task(measure_loop(metrics))
    log.info("metrics are on http://%s/metrics", shown_address(listening))
    try:
        yield
    finally:
        measuring.cancel()
        server.should_exit = True
        await serving


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
