"""What all wake-ups promise."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

from application.ports import WakeUps
from domain.identifiers import SessionId

ONE, TWO = SessionId("one"), SessionId("two")


@asynccontextmanager
async def listening(
    wake_ups: WakeUps,
) -> AsyncIterator[AsyncGenerator[SessionId, None]]:
    """A worker that listens, and is told of nothing before."""
    woken = wake_ups.woken()
    hello = SessionId("hello")
    heard = asyncio.ensure_future(_until(woken, hello))
    await asyncio.sleep(0)
    while not heard.done():  # it may take a while until it is heard
        await wake_ups.wake(hello)
        await asyncio.wait((heard,), timeout=0.05)
    yield woken
    await woken.aclose()


async def _until(woken: AsyncGenerator[SessionId, None], last: SessionId) -> None:
    while await anext(woken) != last:
        pass


async def told(woken: AsyncGenerator[SessionId, None], last: SessionId) -> list[SessionId]:
    """What a worker is told, up to this one."""
    sessions: list[SessionId] = []
    while not sessions or sessions[-1] != last:
        sessions.append(await asyncio.wait_for(anext(woken), 10))
    return [session_id for session_id in sessions if session_id != "hello"]


async def test_every_worker_that_listens_is_told(wake_ups: WakeUps) -> None:
    async with listening(wake_ups) as one, listening(wake_ups) as other:
        await wake_ups.wake(ONE)
        await wake_ups.wake(TWO)
        assert await told(one, TWO) == await told(other, TWO) == [ONE, TWO]


async def test_a_worker_that_waits_is_told_at_once(wake_ups: WakeUps) -> None:
    async with listening(wake_ups) as woken:
        waiting = asyncio.create_task(told(woken, ONE))
        await asyncio.sleep(0)
        await wake_ups.wake(ONE)
        assert await waiting == [ONE]


async def test_a_wake_waits_for_nobody_whether_one_listens_or_not(wake_ups: WakeUps) -> None:
    """Neither where no worker is, nor where one has not looked for very long."""
    for _ in range(20_000):
        await wake_ups.wake(ONE)
    async with listening(wake_ups) as slow, listening(wake_ups) as quick:
        for _ in range(20_000):
            await wake_ups.wake(ONE)
        assert await told(slow, ONE) == await told(quick, ONE) == [ONE]


async def test_who_leaves_is_told_no_more_and_the_others_are(wake_ups: WakeUps) -> None:
    async with listening(wake_ups) as staying:
        async with listening(wake_ups) as leaving:
            pass
        await wake_ups.wake(ONE)
        assert await told(staying, ONE) == [ONE]
        assert [session_id async for session_id in leaving] == []


async def test_a_wait_that_is_cancelled_harms_nobody(wake_ups: WakeUps) -> None:
    async with listening(wake_ups) as staying:
        waiting = asyncio.ensure_future(anext(wake_ups.woken()))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait((waiting,))
        await wake_ups.wake(ONE)
        assert await told(staying, ONE) == [ONE]
