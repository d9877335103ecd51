"""What only the queue over Redis does, with a Redis of each version that is here."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, suppress
from typing import Any

import pytest
from redis.asyncio import Redis

from application.ports import Request
from domain.errors import QueueUnavailable
from domain.identifiers import GenerationId
from infrastructure.redis.request_queue import RedisRequestQueue, Upkeep
from tests import servers

PATIENCE = 30.0
KEY = "llmchat:requests"
OFTEN = Upkeep(every=0.02, pending=0.2)
NEVER = Upkeep(every=3_600, pending=3_600)

MakeQueue = Callable[..., RedisRequestQueue]


def request(name: str) -> Request:
    return Request(GenerationId(name), "request-1")


@pytest.fixture(params=list(servers.redis_programs().items()), ids=lambda found: found[0])
def server(request: pytest.FixtureRequest) -> Iterator[servers.Redis]:
    _, program = request.param
    with servers.redis(program=program) as made:
        yield made


@pytest.fixture
async def redis(server: servers.Redis) -> AsyncIterator[Redis]:
    """To look at it from outside."""
    async with Redis.from_url(server.url) as client:
        yield client


@pytest.fixture
async def make_queue(server: servers.Redis) -> AsyncIterator[MakeQueue]:
    async with AsyncExitStack() as closing:

        def make(upkeep: Upkeep = NEVER) -> RedisRequestQueue:
            made = RedisRequestQueue(server.url, upkeep=upkeep)
            closing.push_async_callback(made.close)
            return made

        yield make


async def until(condition: Callable[[], Awaitable[object]]) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            if await condition():
                return
            await asyncio.sleep(0.01)


async def blocked(redis: Redis) -> bool:
    """Whether somebody waits on the server."""
    return bool((await redis.info("clients"))["blocked_clients"])


async def pending(redis: Redis) -> int:
    told: dict[str, Any] = await redis.xpending(KEY, "workers")
    return int(told["pending"])


async def consumers(redis: Redis) -> set[str]:
    return {each["name"] for each in await redis.xinfo_consumers(KEY, "workers")}


def is_away(queue: RedisRequestQueue) -> bool:
    return queue.away


async def taken(queue: RedisRequestQueue) -> Request:
    """Taken as a worker does it: after a failure it tries again."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                return await queue.take()
            except QueueUnavailable:
                await asyncio.sleep(0.01)


async def test_nothing_is_left_of_what_was_done(make_queue: MakeQueue, redis: Redis) -> None:
    queue, other = make_queue(), make_queue()
    names = {str(number) for number in range(300)}
    await asyncio.gather(*(queue.put(request(name)) for name in names))
    for each in (queue, other):
        for _ in range(150):
            one = await each.take()
            names.discard(one.generation_id)
            await each.done(one)
    assert not names
    assert await redis.xlen(KEY) == 0
    assert await pending(redis) == 0
    assert len(await consumers(redis)) == 2
    await queue.close()
    await other.close()
    assert await consumers(redis) == set()
    assert await redis.keys() == [KEY.encode()]


@pytest.mark.parametrize("trace", [None, "", "secret", "00-AB-cd-01", b"\xff", "0" * 100_000])
async def test_an_entry_without_a_valid_trace_is_a_request_all_the_same(
    make_queue: MakeQueue, redis: Redis, trace: str | bytes | None
) -> None:
    """Such as one of a process from before there were any."""
    queue = make_queue()
    fields: dict[Any, Any] = {"generation": "a", "request": "request-1"}
    await redis.xadd(KEY, fields if trace is None else {**fields, "traceparent": trace})
    assert await taken(queue) == request("a")


async def test_an_untraced_request_looks_as_before(make_queue: MakeQueue, redis: Redis) -> None:
    await make_queue().put(request("a"))
    [(_, fields)] = await redis.xrange(KEY) or []
    assert fields == {b"generation": b"a", b"request": b"request-1"}


async def test_what_a_dead_worker_took_is_taken_over(make_queue: MakeQueue, redis: Redis) -> None:
    dead, queue = make_queue(), make_queue(OFTEN)
    await dead.put(request("a"))
    await dead.take()  # and never claims it
    assert await taken(queue) == request("a")
    await queue.done(request("a"))
    assert await redis.xlen(KEY) == await pending(redis) == 0


async def test_what_is_held_a_short_time_is_left_alone(make_queue: MakeQueue) -> None:
    queue, other = make_queue(), make_queue(Upkeep(every=0, pending=3_600))
    await queue.put(request("a"))
    await queue.take()
    await queue.put(request("b"))
    assert await other.take() == request("b")


async def test_what_was_deleted_while_it_was_held_is_no_burden(
    make_queue: MakeQueue, redis: Redis
) -> None:
    dead, queue = make_queue(), make_queue(OFTEN)
    for name in ("a", "b"):
        await dead.put(request(name))
        await dead.take()
    (deleted, _), *_ = await redis.xrange(KEY) or []
    assert isinstance(deleted, bytes)
    await redis.xdel(KEY, deleted)
    assert await taken(queue) == request("b")
    await queue.done(request("b"))
    assert await pending(redis) == 0


async def test_consumers_that_are_long_gone_are_forgotten(
    make_queue: MakeQueue, redis: Redis
) -> None:
    holding = make_queue()
    await holding.put(request("a"))
    await holding.take()
    (holder,) = await consumers(redis)
    await redis.xgroup_createconsumer(KEY, "workers", "gone")
    queue = make_queue(Upkeep(every=0, pending=3_600, consumer=0))
    taking = asyncio.create_task(queue.take())

    async def is_forgotten() -> bool:
        return "gone" not in await consumers(redis)

    await until(is_forgotten)
    assert holder in await consumers(redis)  # as it holds something
    taking.cancel()


async def test_nobody_is_asked_while_nobody_waits(make_queue: MakeQueue, redis: Redis) -> None:
    queue = make_queue()
    await queue.put(request("a"))
    await queue.take()
    await queue.put(request("b"))
    assert not await blocked(redis)
    assert await pending(redis) == 1


async def test_what_came_for_who_is_gone_is_given_to_others(
    make_queue: MakeQueue, redis: Redis
) -> None:
    leaving, queue = make_queue(), make_queue()
    taking = asyncio.create_task(leaving.take())
    await until(lambda: blocked(redis))
    taking.cancel()
    with suppress(asyncio.CancelledError):
        await taking
    await queue.put(request("a"))
    await until(lambda: pending(redis))
    await leaving.close()
    assert await queue.take() == request("a")
    assert len(await consumers(redis)) == 1


async def test_who_closes_keeps_what_is_not_done_for_others_to_take_over(
    make_queue: MakeQueue,
) -> None:
    leaving, queue = make_queue(), make_queue(OFTEN)
    await leaving.put(request("a"))
    await leaving.take()
    await leaving.close()
    assert await taken(queue) == request("a")


async def test_a_closed_queue_gives_nothing(make_queue: MakeQueue, redis: Redis) -> None:
    queue = make_queue()
    taking = asyncio.create_task(queue.take())
    await until(lambda: blocked(redis))
    await queue.close()
    for take in (taking, queue.take()):
        with pytest.raises(QueueUnavailable):
            await take


async def test_a_flush_under_who_waits_loses_nothing_that_comes_later(
    make_queue: MakeQueue, redis: Redis
) -> None:
    queue = make_queue()
    taking = asyncio.create_task(queue.take())
    await until(lambda: blocked(redis))
    await redis.flushall()
    await queue.put(request("a"))
    assert await taking == request("a")
    await redis.flushall()
    await queue.done(request("a"))
    await queue.put(request("b"))
    assert await queue.take() == request("b")


async def test_a_group_that_is_gone_again_and_again_is_made_again(
    make_queue: MakeQueue, redis: Redis
) -> None:
    queue = make_queue()
    taking = asyncio.create_task(queue.take())
    for _ in range(3):
        await until(lambda: blocked(redis))
        await redis.xgroup_destroy(KEY, "workers")
    await queue.put(request("a"))
    assert await taking == request("a")


async def test_what_is_no_request_is_dropped(make_queue: MakeQueue, redis: Redis) -> None:
    queue = make_queue()
    await redis.xadd(KEY, {"not": "ours"})
    await redis.xadd(KEY, {"generation": b"\xff"})
    await queue.put(request("a"))
    assert await queue.take() == request("a")
    await queue.done(request("a"))
    assert await redis.xlen(KEY) == await pending(redis) == 0


async def test_a_redis_that_dies_is_away_until_it_is_back(
    make_queue: MakeQueue, server: servers.Redis, redis: Redis
) -> None:
    queue = make_queue()
    taking = asyncio.create_task(queue.take())
    await until(lambda: blocked(redis))
    server.kill()
    with pytest.raises(QueueUnavailable):
        await taking
    assert is_away(queue)
    with pytest.raises(QueueUnavailable):
        await queue.put(request("a"))
    with pytest.raises(QueueUnavailable):
        await queue.take()
    server.start()
    await queue.put(request("b"))
    assert await taken(queue) == request("b")
    assert not is_away(queue)


async def test_who_only_takes_sees_that_it_is_back(
    make_queue: MakeQueue, server: servers.Redis
) -> None:
    server.kill()
    queue = make_queue()
    with pytest.raises(QueueUnavailable):
        await queue.take()
    assert is_away(queue)
    server.start()
    taking = asyncio.create_task(queue.take())

    async def is_back() -> bool:
        return not queue.away

    await until(is_back)
    taking.cancel()


async def test_a_redis_that_hangs_is_noticed_by_who_waits(
    make_queue: MakeQueue, server: servers.Redis, redis: Redis
) -> None:
    queue = make_queue()
    taking = asyncio.create_task(queue.take())
    await until(lambda: blocked(redis))
    server.pause()
    try:
        with pytest.raises(QueueUnavailable):
            await taking
        assert is_away(queue)
        with pytest.raises(QueueUnavailable):
            await queue.put(request("a"))
    finally:
        server.go_on()
    await queue.put(request("b"))
    names = {(await taken(queue)).generation_id}
    if "b" not in names:  # what seemed to fail did not
        names.add((await taken(queue)).generation_id)
    assert "b" in names
    assert not is_away(queue)


async def test_a_redis_that_hangs_does_not_keep_who_closes(
    make_queue: MakeQueue, server: servers.Redis, redis: Redis
) -> None:
    queue = make_queue()
    taking = asyncio.create_task(queue.take())
    await until(lambda: blocked(redis))
    server.pause()
    try:
        async with asyncio.timeout(PATIENCE):
            await queue.close()
    finally:
        server.go_on()
    with pytest.raises(QueueUnavailable):
        await taking


async def test_it_can_be_made_while_redis_is_down(
    make_queue: MakeQueue, server: servers.Redis
) -> None:
    server.kill()
    queue = make_queue()
    assert not is_away(queue)
    with pytest.raises(QueueUnavailable):
        await queue.put(request("a"))
    assert is_away(queue)
    server.start()
    await queue.put(request("b"))
    assert not is_away(queue)
    assert await queue.take() == request("b")


async def test_a_full_redis_takes_nothing_and_gives_what_it_has(
    make_queue: MakeQueue, redis: Redis
) -> None:
    queue = make_queue()
    for name in ("a", "b"):
        await queue.put(request(name))
    assert await queue.take() == request("a")
    await redis.config_set("maxmemory", "1")
    with pytest.raises(QueueUnavailable, match="OutOfMemoryError"):
        await queue.put(request("c"))
    assert is_away(queue)
    assert await queue.take() == request("b")
    for name in ("a", "b"):
        await queue.done(request(name))
    assert await redis.xlen(KEY) == 0


async def test_what_can_not_be_said_to_be_done_comes_again(
    make_queue: MakeQueue, server: servers.Redis, redis: Redis
) -> None:
    queue = make_queue(OFTEN)
    await queue.put(request("a"))
    await queue.take()
    await redis.config_set("min-replicas-to-write", "1")  # it refuses all writes
    with pytest.raises(QueueUnavailable):
        await queue.done(request("a"))
    await redis.config_set("min-replicas-to-write", "0")
    assert await taken(queue) == request("a")


async def test_a_replica_takes_nothing(make_queue: MakeQueue, redis: Redis) -> None:
    queue = make_queue()
    await redis.replicaof("127.0.0.1", "1")
    for attempt in (queue.put(request("a")), queue.take()):
        with pytest.raises(QueueUnavailable):
            await attempt
    await redis.replicaof("NO", "ONE")
    await queue.put(request("b"))
    assert await taken(queue) == request("b")
