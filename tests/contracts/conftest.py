import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import argon2
import pytest

from application.ports import (
    Cache,
    ChatModel,
    EventStream,
    FileStore,
    OpenUnitOfWork,
    PasswordHasher,
    RateLimiter,
    RequestQueue,
    TakenSeats,
    WakeUps,
)
from infrastructure.argon2_passwords import Argon2Passwords
from infrastructure.disk_file_store import DiskFileStore
from infrastructure.key_ring import KeyRing
from infrastructure.memory.cache import MemoryCache
from infrastructure.memory.event_stream import MemoryEventStream
from infrastructure.memory.rate_limiter import MemoryRateLimiter
from infrastructure.memory.request_queue import MemoryRequestQueue
from infrastructure.memory.seats import MemorySeats
from infrastructure.memory.wake_ups import MemoryWakeUps
from infrastructure.models.registry import dialects
from infrastructure.models.simulated import SimulatedLongModel, SimulatedModel
from infrastructure.redis.keys import Keys
from infrastructure.redis.link import open_redis
from infrastructure.redis.request_queue import RedisRequestQueue
from infrastructure.sql.migrate import migrate
from infrastructure.sql.sqlite import SqliteDatabase
from infrastructure.sql.unit_of_work import OpenSqlUnitOfWork
from infrastructure.upstreams.connections import Connections
from infrastructure.upstreams.limits import Limits
from infrastructure.upstreams.model_server import ModelServer
from tests.fakes import FakeDatabase, FakeFileStore, FakePasswords
from tests.upstream import Call, Upstream, upstream


@pytest.fixture
async def sqlite(tmp_path: Path) -> AsyncIterator[SqliteDatabase]:
    database = SqliteDatabase(tmp_path / "chat.db")
    await database.open()
    await migrate(database)
    yield database
    await database.close()


@pytest.fixture(params=["fake", "sqlite", "postgres"])
def database(request: pytest.FixtureRequest) -> OpenUnitOfWork:
    """Every database passes the same suite; a new one is a line here."""
    if request.param == "fake":
        return FakeDatabase()
    return OpenSqlUnitOfWork(request.getfixturevalue(request.param), KeyRing([bytes(32)]))


REDIS_URLS = {"redis": "redis_url", "redis-cluster": "redis_cluster_url"}


@pytest.fixture(params=["memory", *REDIS_URLS])
async def queue(request: pytest.FixtureRequest) -> AsyncIterator[RequestQueue]:
    if request.param == "memory":
        yield MemoryRequestQueue()
        return
    url = request.getfixturevalue(REDIS_URLS[request.param])
    made = RedisRequestQueue(url, prefix=some_keys().prefix)
    yield made
    await made.close()


@pytest.fixture(params=["memory", *REDIS_URLS])
async def stream(request: pytest.FixtureRequest) -> AsyncIterator[EventStream]:
    if request.param == "memory":
        made = MemoryEventStream()
        yield made
        made.close()
        return
    async with open_redis(request.getfixturevalue(REDIS_URLS[request.param]), some_keys()) as link:
        yield link.stream


@pytest.fixture(params=["fake", "disk"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> FileStore:
    return FakeFileStore() if request.param == "fake" else DiskFileStore(tmp_path / "uploads")


@pytest.fixture(params=["fake", "argon2"])
def passwords(request: pytest.FixtureRequest) -> Iterator[PasswordHasher]:
    if request.param == "fake":
        yield FakePasswords()
        return
    made = Argon2Passwords(argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    yield made
    made.close()


@pytest.fixture(params=["memory", *REDIS_URLS])
async def wake_ups(request: pytest.FixtureRequest) -> AsyncIterator[WakeUps]:
    if request.param == "memory":
        yield MemoryWakeUps()
        return
    async with open_redis(request.getfixturevalue(REDIS_URLS[request.param]), some_keys()) as link:
        yield link.wake_ups


@pytest.fixture(params=["memory", *REDIS_URLS])
async def cache(request: pytest.FixtureRequest) -> AsyncIterator[Cache]:
    if request.param == "memory":
        yield MemoryCache()
        return
    async with open_redis(request.getfixturevalue(REDIS_URLS[request.param]), some_keys()) as link:
        yield link.cache


@pytest.fixture(params=["memory", *REDIS_URLS])
async def rate_limiter(request: pytest.FixtureRequest) -> AsyncIterator[RateLimiter]:
    if request.param == "memory":
        yield MemoryRateLimiter()
        return
    async with open_redis(request.getfixturevalue(REDIS_URLS[request.param]), some_keys()) as link:
        yield link.rate_limiter


@pytest.fixture(params=["memory", *REDIS_URLS])
async def seats(request: pytest.FixtureRequest) -> AsyncIterator[TakenSeats]:
    if request.param == "memory":
        yield MemorySeats()
        return
    async with open_redis(request.getfixturevalue(REDIS_URLS[request.param]), some_keys()) as link:
        yield link.seats


def some_keys() -> Keys:
    return Keys(f"test-{secrets.token_hex(4)}")


TALK_ON = "Talk on!"


async def parrot(call: Call) -> None:
    """Repeats the question five times, but when told to talk on it never ends."""
    question = call.body["messages"][-1]["content"]
    said = [f"{number}: {question} " for number in range(5)]
    if call.body["stream"]:
        await call.begin()
        for text in said:
            await call.chunk(text)
        if question == TALK_ON:
            await call.hang()
        await call.finish()
        await call.usage(3, 2)
        await call.done()
    else:
        choice = {"message": {"content": "".join(said)}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 3, "completion_tokens": 2}
        await call.reply(200, {"choices": [choice], "usage": usage})


@pytest.fixture
async def server() -> AsyncIterator[Upstream]:
    async with upstream() as made:
        made.answers(parrot)
        yield made


@pytest.fixture(params=["simulated", "simulated-long", "openai", "openai-unstreamed"])
async def model(request: pytest.FixtureRequest, server: Upstream) -> AsyncIterator[ChatModel]:
    connections = Connections(10, frozenset())
    providers = dialects(connections, Limits())
    if request.param == "simulated":
        yield SimulatedModel(delay=0)
    elif request.param == "simulated-long":
        yield SimulatedLongModel(delay=0, chunks=200)
    else:
        yield providers[request.param](ModelServer(server.base_url, None, trusted=True), "parrot")
    await connections.close()
