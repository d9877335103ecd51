"""The product as it is run: several doors and workers, a database, Redis and a model's server, with
a fault proxy on each way from a process to a server."""

import asyncio
import os
import secrets
import signal
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from tests import servers
from tests.end_to_end.processes import KEYS, ROOT, Process
from tests.faults.fault_proxy import FaultProxy, fault_proxy
from tests.faults.scripted_model import ScriptedModel
from tests.faults.without import STOPPED
from tests.upstream import Upstream, upstream

SETTINGS: Final = {
    "LEASE_SECONDS": "3",
    "SWEEP_SECONDS": "0.5",
    "WATCHDOG_SECONDS": "1",
    "SHUTDOWN_GRACE": "2",
    "OPENAI_MODEL": "scripted",
}
L: Final = 6.0
"""Seconds until what a process left behind is taken over, with these settings."""
WEBS: Final = 2
WORKERS: Final = 3


@dataclass(eq=False, repr=False)
class Place:
    """A process of the product, its successors after each restart, and its ways to the servers."""

    name: str
    command: str
    folder: Path
    postgres: FaultProxy
    redis: FaultProxy | None
    settings: Mapping[str, str]
    without: str = ""
    """What of the product is left out, or where it stops: see `without.py`."""
    process: Process | None = None
    _before: str = ""
    """What the processes before this one have said."""
    _forgotten: int = 0

    @property
    def log(self) -> str:
        """Of this case."""
        return (self._before + (self.process.log if self.process else ""))[self._forgotten :]

    def forget_log(self) -> None:
        self._before, self._forgotten = "", len(self.process.log) if self.process else 0

    @property
    def runs(self) -> bool:
        running = None if self.process is None else self.process.running
        return running is not None and running.returncode is None

    @property
    def up(self) -> Process:
        assert self.process is not None
        return self.process

    @property
    def pid(self) -> int:
        assert self.up.running is not None
        return self.up.running.pid

    async def start(self, without: str = "") -> None:
        self._before, self._forgotten = self.log, 0
        self.without = without
        made = Process(self.folder, self.command, dict(self.settings))
        if without:
            made.program = ("-m", "tests.faults.without", without, "--")
            made.environment["PYTHONPATH"] = str(ROOT)
        self.process = made
        await made.start()

    async def stops_at(self, name: str) -> None:
        """Returns once it has stopped for ever at this place of `without.py`."""
        await self.up.says(STOPPED + name)

    async def kill(self) -> None:
        """As a crash does. Also one that is frozen."""
        if self.runs:
            await self.up.kill()

    def freeze(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def heal(self) -> None:
        self.postgres.heal()
        if self.redis is not None:
            self.redis.heal()
        if self.runs:
            self.thaw()


@dataclass(eq=False, repr=False)
class Stack:
    database_url: str
    """Past the proxies."""
    role: str
    """Of the database, as which the product comes."""
    redis: servers.Redis | None
    upstream: Upstream
    model: ScriptedModel
    webs: list[Place]
    workers: list[Place]
    secrets: Sequence[str]
    """What must be in no log."""

    @property
    def places(self) -> Iterator[Place]:
        yield from self.webs
        yield from self.workers

    def up_webs(self) -> Sequence[Process]:
        """Those that one can come to now."""
        return [place.up for place in self.webs if place.runs and place.up.address]

    @property
    def web(self) -> Process:
        return self.up_webs()[0]

    async def be(
        self,
        webs: Sequence[str] = ("", ""),
        workers: Sequence[str] = ("", "", ""),
    ) -> None:
        """Have just these processes, each without what is named for it, or with nothing left out.
        Those that are there already stay."""
        wished = {
            place: (row[number] if number < len(row) else None)
            for places, row in ((self.webs, webs), (self.workers, workers))
            for number, place in enumerate(places)
        }
        starting = []
        for place, without in wished.items():
            if place.runs and place.without == without:
                continue
            await place.kill()
            if without is not None:
                starting.append(place.start(without))
        for result in await asyncio.gather(*starting, return_exceptions=True):
            if isinstance(result, BaseException):
                raise result

    def heal(self) -> None:
        for place in self.places:
            place.heal()

    async def sql(self, sql: str) -> None:
        """Past the product."""
        await servers.execute(self.database_url, sql)

    async def forget_all(self) -> None:
        """Nothing that did not end is to trouble the next case."""
        await self.sql(
            "UPDATE generations SET status = 'failed', last_seq = 0"
            " WHERE status IN ('queued', 'running')"
        )

    async def answering(self, generation_id: str, attempt: int = 1) -> Place:
        """The worker that says that it answers this, once one does."""
        said = rf"answering {generation_id}, attempt {attempt}\b"
        asking = {
            asyncio.create_task(place.up.says(said)): place for place in self.workers if place.runs
        }
        try:
            while asking:
                done, _ = await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    place = asking.pop(task)
                    if task.exception() is None:
                        return place
            raise AssertionError(f"no worker answers {generation_id}")
        finally:
            for task in asking:
                task.cancel()

    async def close(self) -> None:
        for place in self.places:
            with suppress(ProcessLookupError, AssertionError):
                await place.kill()


@asynccontextmanager
async def stack(
    folder: Path, postgres: servers.Postgres, redis: servers.Redis | None
) -> AsyncIterator[Stack]:
    """With no process yet; none is left at the end."""
    async with AsyncExitStack() as closing:
        url = await closing.enter_async_context(postgres.database())
        role, password = f"faults_{secrets.token_hex(4)}", secrets.token_hex(16)
        await _make_role(url, role, password)
        closing.push_async_callback(_drop_role, postgres.url, url, role)
        model_server = await closing.enter_async_context(upstream())
        model = ScriptedModel()
        model_server.answers(model)
        api_key = f"sk-{secrets.token_hex(16)}"

        async def place(command: str, number: int) -> Place:
            name = f"{command}-{number}"
            (home := folder / name).mkdir()
            way = await closing.enter_async_context(fault_proxy(urlsplit(url).port or 5432))
            settings = {
                **SETTINGS,
                "DATABASE_URL": _through(way, servers.as_user(url, role, password)),
                "OPENAI_BASE_URL": model_server.base_url,
                "OPENAI_API_KEY": api_key,
            }
            redis_way = None
            if redis is not None:
                redis_way = await closing.enter_async_context(fault_proxy(redis.port))
                settings["REDIS_URL"] = _through(redis_way, redis.url)
            return Place(name, command, home, way, redis_way, settings)

        made = Stack(
            url,
            role,
            redis,
            model_server,
            model,
            [await place("serve", number) for number in range(WEBS)],
            [await place("work", number) for number in range(WORKERS)],
            [password, api_key, *KEYS.values(), *_password_of(redis)],
        )
        closing.push_async_callback(made.close)
        yield made


def _through(proxy: FaultProxy, url: str) -> str:
    parts = urlsplit(url)
    who = parts.netloc.rpartition("@")[0]
    netloc = f"{who}@127.0.0.1:{proxy.port}" if who else f"127.0.0.1:{proxy.port}"
    return parts._replace(netloc=netloc).geturl()


def _password_of(redis: servers.Redis | None) -> Sequence[str]:
    password = urlsplit(redis.url).password if redis else None
    return [password] if password else []


async def _make_role(url: str, role: str, password: str) -> None:
    """Not the owner of the server, whom no limit of connections would bind."""
    await servers.execute(
        url,
        f"CREATE ROLE {role} LOGIN PASSWORD '{password}';"
        f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role};"
        f"GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {role}",
    )


async def _drop_role(server_url: str, url: str, role: str) -> None:
    await servers.execute(url, f"DROP OWNED BY {role}")
    await servers.execute(server_url, f"DROP ROLE {role}")
