import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from application.ports import Recalled
from infrastructure.redis.cache import KEEP_MS, RedisCache
from infrastructure.redis.client import Client, close_client, open_client
from infrastructure.redis.keys import Keys
from tests import servers
from tests.builders import API, SESSION, an_api
from tests.contracts.conftest import some_keys
from tests.contracts.test_cache import KNOWS_NOTHING, OTHER, a_conversation
from tests.infrastructure.test_memory_cache import Clock


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Client]:
    made = open_client(redis_url, timeout=10)
    yield made
    await close_client(made)


@pytest.fixture
def keys() -> Keys:
    return some_keys()


async def all_keys(client: Client, keys: Keys) -> list[bytes]:
    found: list[bytes] = await client.execute_command("KEYS", f"{keys.prefix}*")
    return found


@asynccontextmanager
async def cache_of(server: servers.Redis, clock: Clock) -> AsyncIterator[RedisCache]:
    """A client that would wait for a very long time."""
    client = open_client(server.url, timeout=60)
    yield RedisCache(client, Keys(), clock=clock)
    await close_client(client)


async def test_whatever_is_kept_expires(client: Client, keys: Keys) -> None:
    cache = RedisCache(client, keys)
    await cache.keep_conversation(a_conversation())
    await cache.keep_config(an_api())
    kept = await all_keys(client, keys)
    assert len(kept) == 2
    for key in kept:
        assert 0 < await client.execute_command("PTTL", key) <= KEEP_MS


async def test_a_conversation_is_at_the_place_of_its_session(keys: Keys) -> None:
    """On a cluster, so that what is deleted with it can be there too."""
    assert f"{{{SESSION}}}" in keys.conversation(SESSION)


async def test_a_conversation_that_is_very_long_is_not_kept(client: Client, keys: Keys) -> None:
    cache = RedisCache(client, keys)
    await cache.keep_conversation(a_conversation(SESSION, *["x" * 32_000] * 9))
    assert await all_keys(client, keys) == []


@pytest.mark.parametrize("rubbish", [b"", b"rubbish", b"\x80", b"\x81\xa6number\xa1x", b"\xc0"])
async def test_what_can_not_be_read_is_not_known(
    client: Client, keys: Keys, rubbish: bytes
) -> None:
    for key in (keys.conversation(SESSION), keys.config(API)):
        await client.execute_command("SET", key, rubbish)
    assert await RedisCache(client, keys).recall(SESSION, API) == KNOWS_NOTHING


async def test_something_of_another_kind_in_its_place_is_not_known(
    client: Client, keys: Keys
) -> None:
    for key in (keys.conversation(SESSION), keys.config(API)):
        await client.execute_command("LPUSH", key, "rubbish")
    assert await RedisCache(client, keys).recall(SESSION, API) == KNOWS_NOTHING


async def test_while_redis_is_known_to_be_out_nothing_is_asked(client: Client, keys: Keys) -> None:
    out = True
    cache = RedisCache(client, keys, is_out=lambda: out)
    await cache.keep_conversation(a_conversation())
    out = False
    assert await cache.recall(SESSION, None) == KNOWS_NOTHING
    await cache.keep_conversation(a_conversation())
    out = True
    assert await cache.recall(SESSION, None) == KNOWS_NOTHING
    await cache.forget_conversation(SESSION)
    out = False
    assert await cache.recall(SESSION, None) == Recalled(a_conversation())


async def test_a_redis_that_hangs_is_waited_for_once_and_asked_again_later(
    redis_server: servers.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    clock = Clock()
    async with cache_of(redis_server, clock) as cache:
        await cache.keep_conversation(a_conversation())
        redis_server.pause()
        assert await cache.recall(SESSION, API) == KNOWS_NOTHING
        redis_server.go_on()
        assert await cache.recall(SESSION, API) == KNOWS_NOTHING  # it is not even asked
        await cache.keep_conversation(a_conversation(OTHER))
        clock.now += 1
        assert await cache.recall(SESSION, API) == Recalled(a_conversation())
        assert await cache.recall(OTHER, API) == KNOWS_NOTHING
    assert caplog.records == []


async def test_without_redis_nothing_is_known_and_nothing_raises_and_it_may_come_back(
    redis_server: servers.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    clock = Clock()
    async with cache_of(redis_server, clock) as cache:
        await cache.keep_config(an_api())
        redis_server.kill()
        for each in (None, API):
            clock.now += 1
            assert await cache.recall(SESSION, each) == KNOWS_NOTHING
        for act in (cache.keep_conversation(a_conversation()), cache.keep_config(an_api())):
            clock.now += 1
            await act
        for act in (cache.forget_conversation(SESSION), cache.forget_config(API)):
            clock.now += 1
            await act
        redis_server.start()
        clock.now += 1
        await cache.keep_config(an_api())
        assert await cache.recall(SESSION, API) == Recalled(None, an_api())
    assert caplog.records == []


async def test_what_is_kept_shows_no_key_in_clear(client: Client, keys: Keys) -> None:
    """Only the sealed one, which belongs to the row."""
    await RedisCache(client, keys).keep_config(replace(an_api(), sealed_key=b"sealed"))
    (kept,) = await all_keys(client, keys)
    value: Any = await client.execute_command("GET", kept)
    assert b"sealed" in value
