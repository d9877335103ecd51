"""What the reads of a message cost, what a cache takes for the same, and a claim with each.

    python -m bench.claims

It needs the servers that the tests need. One thing after the other, by one process; each figure is
the lower quartile of the microseconds that it takes and, behind the stroke, that the process works.
"""

import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final, cast

import uvloop

from application.ports import Cache
from infrastructure.key_ring import KeyRing
from infrastructure.memory.cache import MemoryCache
from infrastructure.memory.event_stream import MemoryEventStream
from infrastructure.random_ids import RandomIds
from infrastructure.redis.cache import RedisCache
from infrastructure.redis.client import close_client, open_client
from infrastructure.redis.keys import Keys
from infrastructure.sql.migrate import migrate
from infrastructure.sql.postgres import PostgresDatabase
from infrastructure.sql.sqlite import SqliteDatabase
from infrastructure.sql.unit_of_work import OpenSqlUnitOfWork
from tests import servers
from tests.application.conftest import Chat
from tests.application.test_recollect import Away
from tests.builders import a_new_api, add_api, add_session, add_user, sign_in
from tests.fakes import CountingIds, FakeDatabase

RUNS: Final = 400
WARM_UP: Final = 40
SIZES: Final = (200, 4_000)
"""Characters of a message."""

Act = Callable[[], Awaitable[object]]


async def timed(label: str, act: Act, undo: Act | None = None) -> None:
    walls, works = [], []
    for _ in range(WARM_UP + RUNS):
        began, worked = time.perf_counter(), time.process_time()
        await act()
        walls.append(time.perf_counter() - began)
        works.append(time.process_time() - worked)
        if undo is not None:
            await undo()
    wall, work = (sorted(each[WARM_UP:])[RUNS // 4] * 1e6 for each in (walls, works))
    sys.stdout.write(f"{label:64} {wall:6.0f} / {work:.0f}\n")
    sys.stdout.flush()


async def a_talk(
    works: OpenSqlUnitOfWork, name: str, size: int, cache: Cache, *, configured: bool = True
) -> Chat:
    """20 messages of so many characters, and one more question that waits."""
    user = await add_user(works, name)
    if configured:
        await add_api(works, a_new_api(user, model_name="scripted"))
    session_id = await add_session(works, user, name)
    # Its use cases ask no more of a database than of the fake.
    database, ids = cast(FakeDatabase, works), cast(CountingIds, RandomIds())
    chat = Chat(user, session_id, database, MemoryEventStream(), ids=ids, cache=cache)
    for _ in range(10):
        await chat.ask_and_answer("q" * size)
    await chat.ask("q" * size)
    return chat


async def measure_reads(name: str, works: OpenSqlUnitOfWork) -> None:
    """Within a transaction that is open anyway, as those of a message are."""
    user, other = await add_user(works, "ada"), await add_user(works, "bob")
    caller, session_id = await sign_in(works, user), await add_session(works, user, "of ada")
    api = await add_api(works, a_new_api(user))
    talks = [(size, await a_talk(works, f"{size}", size, Away())) for size in SIZES]
    async with works() as work:
        configs, messages = work.api_configs, work.messages
        await timed(f"{name}: session", lambda: work.sessions.find(session_id, user))
        await timed(f"{name}: first configuration, of one", lambda: configs.first(user))
        await timed(f"{name}: first configuration, of none", lambda: configs.first(other))
        await timed(f"{name}: a configuration", lambda: configs.find(user, api.id))
        for size, talk in talks:
            of = talk.session_id
            await timed(
                f"{name}: 20 messages of {size}",
                lambda of=of: messages.recent(of, 21, 20),  # type: ignore[misc]
            )

    async def check() -> None:
        async with works(read_only=True) as work:
            await work.callers.standing([caller])

    await timed(f"{name}: caller, in a transaction of its own", check)


async def measure_claims(
    name: str, works: OpenSqlUnitOfWork, caches: Mapping[str, Cache], size: int, configured: bool
) -> None:
    for cached, cache in caches.items():
        of = f"{cached} {size}{' own model' if configured else ''}"
        chat = await a_talk(works, of, size, cache, configured=configured)
        generation_id = chat.queue.requests[0].generation_id
        fences: list[int] = []

        async def claim(chat: Chat = chat, fences: list[int] = fences) -> None:
            claimed = await chat.claim(generation_id)  # noqa: B023
            assert claimed is not None
            fences.append(claimed.claim.generation.fence)

        async def release(fences: list[int] = fences) -> None:
            async with works() as work:
                await work.generations.release(generation_id, fences[-1])  # noqa: B023
                await work.commit()

        await timed(f"{name}: claim, 20 messages, {of}", claim, release)


async def measure_caches(caches: Mapping[str, Cache], works: OpenSqlUnitOfWork) -> None:
    for name, cache in caches.items():
        for size in SIZES:
            talk = await a_talk(works, f"{name} alone {size}", size, cache)
            known = (await cache.recall(talk.session_id, None)).conversation
            if known is None:  # it is away
                continue
            of, kept = talk.session_id, known
            recall = f"{name}: recall 20 messages of {size}"
            await timed(recall, lambda: cache.recall(of, None))  # noqa: B023
            keep = f"{name}: keep 20 messages of {size}"
            await timed(keep, lambda: cache.keep_conversation(kept))  # noqa: B023


async def main() -> None:
    async with AsyncExitStack() as closing:
        folder = Path(closing.enter_context(tempfile.TemporaryDirectory()))
        server = closing.enter_context(servers.postgres())
        await servers.execute(server, "CREATE DATABASE bench")
        sqlite = SqliteDatabase(folder / "chat.db")
        postgres = PostgresDatabase(servers.database_named(server, "bench"))
        await sqlite.open()
        await migrate(sqlite)
        await migrate(postgres)
        await postgres.open()
        closing.push_async_callback(sqlite.close)
        closing.push_async_callback(postgres.close)
        caches: dict[str, Cache] = {"nothing": Away(), "memory": MemoryCache()}
        for name, url in (
            ("redis", closing.enter_context(servers.redis()).url),
            ("cluster", closing.enter_context(servers.redis_cluster()).url),
        ):
            client = open_client(url, timeout=5)
            closing.push_async_callback(close_client, client)
            caches[name] = RedisCache(client, Keys())
        key_ring = KeyRing([bytes(32)])
        over = {
            "SQLite": OpenSqlUnitOfWork(sqlite, key_ring),
            "Postgres": OpenSqlUnitOfWork(postgres, key_ring),
        }
        for name, works in over.items():
            await measure_reads(name, works)
            for size in SIZES:
                for configured in (False, True):
                    await measure_claims(name, works, caches, size, configured)
        await measure_caches(caches, over["SQLite"])


if __name__ == "__main__":
    uvloop.run(main())
