import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from domain.errors import DatabaseUnavailable
from interface.repeat import Hurry, repeat
from tests.interface.clients import PATIENCE_SECONDS

LONG = 3600.0


@asynccontextmanager
async def repeated(
    seconds: float, action: Callable[[], Awaitable[None]], hurry: Hurry | None = None
) -> AsyncIterator[None]:
    task = asyncio.create_task(repeat(seconds, action, hurry=hurry))
    yield
    task.cancel()
    await asyncio.wait((task,))


class Times:
    """An action that counts, and fails if it is to."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.count = 0
        self.failure = failure
        self._wanted = 0
        self._reached = asyncio.Event()

    async def __call__(self) -> None:
        self.count += 1
        if self.count >= self._wanted:
            self._reached.set()
        if self.failure is not None:
            raise self.failure

    async def times(self, wanted: int) -> None:
        self._wanted = self.count + wanted
        self._reached.clear()
        await asyncio.wait_for(self._reached.wait(), PATIENCE_SECONDS)


async def test_a_reason_to_hurry_cuts_a_long_pause_short_and_then_it_is_long_again() -> None:
    hurries, action = False, Times()
    async with repeated(LONG, action, Hurry(0.001, lambda: hurries)):
        await asyncio.sleep(0.01)
        assert action.count == 0
        hurries = True
        await action.times(3)
        hurries = False
        await asyncio.sleep(0.01)
        count = action.count
        await asyncio.sleep(0.01)
        assert action.count == count


async def test_no_hurry_is_slower_than_the_pace() -> None:
    action = Times()
    async with repeated(0.001, action, Hurry(LONG, lambda: False)):
        await action.times(3)


async def test_of_one_action_that_fails_again_and_again_little_is_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    action = Times(DatabaseUnavailable("away"))
    with caplog.at_level(logging.WARNING):
        async with repeated(0.001, action):
            await action.times(5)
    assert caplog.text.count("database_unavailable: away") == 1


async def test_no_failure_ends_it(caplog: pytest.LogCaptureFixture) -> None:
    action = Times(KeyError("x"))
    async with repeated(0.001, action):
        await action.times(2)
    assert "a repeated action failed" in caplog.text
