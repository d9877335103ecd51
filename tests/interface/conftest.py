import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest

from domain.identifiers import SessionId
from tests.interface.clients import PATIENCE_SECONDS
from tests.interface.doors import Doors


@pytest.fixture
async def doors() -> AsyncIterator[Doors]:
    opened = Doors()
    yield opened
    opened.stream.close()


@pytest.fixture
async def locked() -> AsyncIterator[Doors]:
    """Nobody comes in without credentials, nor waits long for an answer."""
    opened = Doors(sign_in_required=True, sync_timeout=0.01)
    yield opened
    opened.stream.close()


@pytest.fixture
async def locked_http(locked: Doors) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(locked) as client:
        yield client


@pytest.fixture
async def session(doors: Doors) -> SessionId:
    return await doors.session()


@pytest.fixture
async def http(doors: Doors) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(doors) as client:
        yield client


def client_of(doors: Doors) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(doors.app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://chat")


NothingIsLeft = Callable[[], Awaitable[None]]


@pytest.fixture
async def nothing_is_left(doors: Doors) -> NothingIsLeft:
    """Asserts that nobody follows, that no task runs that did not run before the test, and that
    none has failed unseen."""
    before = asyncio.all_tasks()
    unseen: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unseen.append(context))

    async def check() -> None:
        tasks = asyncio.all_tasks() - before - {asyncio.current_task()}
        if tasks:
            _, pending = await asyncio.wait(tasks, timeout=PATIENCE_SECONDS)
            assert not pending
        tasks.clear()
        gc.collect()
        assert unseen == []
        assert list(doors.followers) == []
        assert doors.followers.by_session == {}
        assert doors.visits.by_caller == {}
        assert doors.stream.subscribed == 0

    return check
