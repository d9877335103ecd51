import asyncio

from infrastructure.memory.wake_ups import MemoryWakeUps
from tests.builders import SESSION


async def test_nothing_is_left_of_a_worker_that_has_left() -> None:
    wake_ups = MemoryWakeUps()
    woken = wake_ups.woken()
    waiting = asyncio.ensure_future(anext(woken))
    await asyncio.sleep(0)
    await wake_ups.wake(SESSION)
    assert await waiting == SESSION
    assert len(wake_ups._workers) == 1
    await woken.aclose()
    assert wake_ups._workers == set()


async def test_nothing_is_left_of_a_worker_whose_wait_was_cancelled() -> None:
    wake_ups = MemoryWakeUps()
    waiting = asyncio.ensure_future(anext(wake_ups.woken()))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait((waiting,))
    assert wake_ups._workers == set()


async def test_who_comes_later_is_not_told_of_what_was_before() -> None:
    wake_ups = MemoryWakeUps()
    await wake_ups.wake(SESSION)
    woken = wake_ups.woken()
    waiting = asyncio.ensure_future(anext(woken))
    await asyncio.sleep(0)
    assert not waiting.done()
    await wake_ups.wake(SESSION)
    assert await waiting == SESSION
    await woken.aclose()
