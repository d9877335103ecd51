"""What one connection, one chunk and one message cost each role: what docs/scaling.md reckons with.

One `serve` and one `work` over a Postgres and a Redis of their own. The model is the simulated one,
so what it costs to read a real one comes on top.
"""

import asyncio
import os
import socket
import tempfile
import time
from collections.abc import AsyncIterable, AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from typing import Final

import asyncpg
import msgspec

from infrastructure.sql.migrate import migrate
from infrastructure.sql.postgres import PostgresDatabase
from tests import servers
from tests.end_to_end.processes import Process, hear, hear_until, say

CONNECTIONS: Final = 400
"""Of each kind, that are idle."""
ANSWERS: Final = 200
"""At once, each with one reader."""
CHUNKS: Final = 100
PAUSE_SECONDS: Final = 0.1
STALLED: Final = 100
"""Readers over each door who never read."""
ASKED: Final = 200
"""Messages, one after the other, for a time to the first chunk."""

_TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Figures:
    kib_a_socket: float
    kib_a_stream: float
    chunk_us: dict[str, float]
    """Of CPU, by role."""
    transactions: float
    """Commits for a message, with all that belongs to it."""
    wal_kib: float
    """That Postgres wrote ahead for it."""
    first_ms: tuple[float, float]
    """From the send to the first chunk, p50 and p99, without the model's own pause."""
    first_ms_stalled: tuple[float, float]
    """Likewise, beside readers who never read."""


@dataclass(frozen=True)
class _Stack:
    url: str
    web: Process
    pids: dict[str, list[int]]


async def measure() -> Figures:
    async with _stack() as stack:
        sockets, streams = await _connections(stack, "ws"), await _connections(stack, "sse")
        chunk_us, transactions, wal = await _answers(stack)
        first = await _first_chunks(stack)
        async with AsyncExitStack() as closing:
            session_id = await _session(stack)
            for _ in range(STALLED):
                for head in (_sse(session_id), _ws(session_id)):
                    closing.enter_context(_stalled(stack.web, head))
            async with stack.web.websocket(f"?session_id={session_id}") as reader:
                await hear(reader)
                for _ in range(
                    3
                ):  # each says it five times: more than the buffers of a reader hold
                    await say(reader, type="send", message="x" * 20_000)
                    await hear_until(reader, "done")
            stalled = await _first_chunks(stack)
    return Figures(sockets, streams, chunk_us, transactions, wal, first, stalled)


@asynccontextmanager
async def _stack() -> AsyncIterator[_Stack]:
    async with AsyncExitStack() as closing:
        folder = Path(closing.enter_context(tempfile.TemporaryDirectory(prefix="llm-chat-bench-")))
        server = closing.enter_context(servers.postgres())
        redis = closing.enter_context(servers.redis())
        await servers.execute(server, "CREATE DATABASE bench")
        closing.push_async_callback(servers.execute, server, "DROP DATABASE bench WITH (FORCE)")
        url = servers.database_named(server, "bench")
        database = PostgresDatabase(url)
        await migrate(database)
        await database.close()
        settings = {
            "DATABASE_URL": url,
            "REDIS_URL": redis.url,
            "SIMULATED_DELAY": str(PAUSE_SECONDS),
            "SIMULATED_CHUNKS": str(CHUNKS),
        }
        web, work = [Process(folder, command, settings) for command in ("serve", "work")]
        for each in (web, work):
            closing.push_async_callback(each.kill)
        await web.start()
        await work.start()
        assert web.running is not None
        assert work.running is not None
        assert redis.process is not None
        yield _Stack(
            url,
            web,
            {
                "web": [web.running.pid],
                "worker": [work.running.pid],
                "Redis": [redis.process.pid],
                "Postgres": await _backends(url),
            },
        )


async def _backends(url: str) -> list[int]:
    """The processes of Postgres that serve us."""
    rows = await _sql(url, "SELECT pid FROM pg_stat_activity WHERE datname = 'bench'")
    return [row[0] for row in rows]


async def _sql(url: str, sql: str) -> Sequence[asyncpg.Record]:
    connection = await asyncpg.connect(url)
    try:
        found: Sequence[asyncpg.Record] = await connection.fetch(sql)
    finally:
        await connection.close()
    return found


def _cpu(pids: Sequence[int]) -> float:
    """Seconds that these processes have worked."""
    spent = 0
    for pid in pids:
        path = Path(f"/proc/{pid}/stat")
        if path.exists():  # a backend may have gone
            fields = path.read_text().rpartition(")")[2].split()
            spent += int(fields[11]) + int(fields[12])
    return spent / _TICKS


def _resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def _session(stack: _Stack) -> str:
    async with stack.web.http() as http:
        made: str = (await http.post("/api/chat/session")).json()["session_id"]
    return made


def _sse(session_id: str) -> str:
    return f"GET /sse/{session_id} HTTP/1.1\r\nHost: x\r\n\r\n"


def _ws(session_id: str) -> str:
    return (
        f"GET /ws?session_id={session_id} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )


@contextmanager
def _stalled(web: Process, head: str) -> Iterator[None]:
    host, port = web.address.split(":")
    with socket.socket() as made:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
        made.connect((host, int(port)))
        made.sendall(head.encode())
        yield


async def _connections(stack: _Stack, door: str) -> float:
    """KiB that an idle one takes of its process, each in a session of its own."""
    sessions = [await _session(stack) for _ in range(CONNECTIONS)]
    (pid,) = stack.pids["web"]
    before = _resident(pid)
    writers = []
    host, port = stack.web.address.split(":")
    for session_id in sessions:
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write((_ws if door == "ws" else _sse)(session_id).encode())
        await reader.readuntil(b"\r\n\r\n")
        writers.append(writer)
    await asyncio.sleep(1)
    after = _resident(pid)
    for writer in writers:
        writer.close()
    return (after - before) / CONNECTIONS / 1024


async def _answers(stack: _Stack) -> tuple[dict[str, float], float, float]:
    """Many at once: CPU of each role for a chunk, and what Postgres does for a message."""
    async with AsyncExitStack() as closing:
        readers = [await closing.enter_async_context(stack.web.websocket()) for _ in range(ANSWERS)]
        for reader in readers:
            await hear(reader)
        stack.pids["Postgres"] = await _backends(stack.url)
        cpu = {role: _cpu(pids) for role, pids in stack.pids.items()}
        did = await _postgres_did(stack.url)
        for reader in readers:
            await say(reader, type="send", message="Tell me", model_name="simulated-long")
        await asyncio.gather(*(_until_done(reader) for reader in readers))
        spent = {role: _cpu(pids) - cpu[role] for role, pids in stack.pids.items()}
        await asyncio.sleep(1)  # until its counters are written
        commits, wal = [
            after - before
            for before, after in zip(did, await _postgres_did(stack.url), strict=True)
        ]
    chunks = ANSWERS * CHUNKS
    return (
        {role: 1e6 * seconds / chunks for role, seconds in spent.items()},
        commits / ANSWERS,
        wal / ANSWERS / 1024,
    )


async def _until_done(reader: AsyncIterable[str | bytes]) -> None:
    async for text in reader:
        if msgspec.json.decode(text)["type"] == "done":
            return


async def _postgres_did(url: str) -> tuple[float, float]:
    sql = (
        "SELECT (SELECT xact_commit FROM pg_stat_database WHERE datname = 'bench'),"
        " pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')"
    )
    ((commits, wal),) = await _sql(url, sql)
    return float(commits), float(wal)


async def _first_chunks(stack: _Stack) -> tuple[float, float]:
    """Milliseconds, p50 and p99; the model waits before its first chunk, which is not counted."""
    took = []
    async with stack.web.websocket() as reader:
        await hear(reader)
        for _ in range(ASKED):
            began = time.perf_counter()
            await say(reader, type="send", message="Hello")
            await hear_until(reader, "chunk")
            took.append(1000 * (time.perf_counter() - began - PAUSE_SECONDS))
            await say(reader, type="cancel")
            await hear_until(reader, "stopped", "done")
    parts = quantiles(took, n=100)
    return parts[49], parts[98]
