import pytest

from domain.identifiers import ApiId, SessionId
from infrastructure.memory.cache import KEEP_SECONDS, MemoryCache
from tests.builders import API, SESSION, an_api
from tests.contracts.test_cache import KNOWS_NOTHING, OTHER, a_conversation


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def test_what_is_kept_expires(clock: Clock) -> None:
    cache = MemoryCache(clock)
    await cache.keep_conversation(a_conversation())
    await cache.keep_config(an_api())
    clock.now += KEEP_SECONDS - 1
    assert await cache.recall(SESSION, API) != KNOWS_NOTHING
    clock.now += 1
    assert await cache.recall(SESSION, API) == KNOWS_NOTHING
    assert not cache._kept


async def test_what_is_kept_again_expires_later(clock: Clock) -> None:
    cache = MemoryCache(clock)
    await cache.keep_conversation(a_conversation())
    await cache.keep_conversation(a_conversation(OTHER))
    clock.now += KEEP_SECONDS - 1
    await cache.keep_conversation(a_conversation())
    clock.now += 1
    assert (await cache.recall(SESSION, None)).conversation is not None
    assert (await cache.recall(OTHER, None)).conversation is None


async def test_it_holds_so_much_and_the_oldest_goes_first() -> None:
    cache = MemoryCache(most_characters=10_000)
    for number in range(100):
        await cache.keep_conversation(a_conversation(SessionId(str(number)), "x" * 1_000))
        assert cache._size <= 10_000
    known = [
        number
        for number in range(100)
        if (await cache.recall(SessionId(str(number)), None)).conversation is not None
    ]
    assert known == [95, 96, 97, 98, 99]


async def test_configurations_take_their_place_too() -> None:
    cache = MemoryCache(most_characters=10_000)
    for number in range(1_000):
        await cache.keep_config(an_api(api_id=ApiId(number)))
    assert (await cache.recall(SESSION, ApiId(999))).config is not None
    assert (await cache.recall(SESSION, ApiId(900))).config is None


async def test_what_is_too_long_is_not_kept_and_nothing_of_it_stays_behind() -> None:
    cache = MemoryCache(most_characters=10_000)
    await cache.keep_conversation(a_conversation(SESSION, "why?"))
    await cache.keep_conversation(a_conversation(SESSION, "x" * 20_000))
    assert await cache.recall(SESSION, None) == KNOWS_NOTHING
    assert cache._size == 0
