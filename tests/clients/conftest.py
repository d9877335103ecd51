"""A real process, a server of models behind it, and a way to it that can be cut."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from openai import AsyncOpenAI

from tests.browser.chat import Chat, Server, reached
from tests.browser.chat import server as started
from tests.clients.asked import sdk
from tests.upstream import Upstream


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "own_process(**environment): of this test, which ends it or needs these settings"
    )


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    async with started(tmp_path_factory.mktemp("server")) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="package")
async def chat(
    request: pytest.FixtureRequest, server: Server, tmp_path: Path
) -> AsyncIterator[Chat]:
    marker = request.node.get_closest_marker("own_process")
    if marker is None:
        async with reached(server) as made:
            yield made
            await made.forget_all()
    else:
        async with started(tmp_path, **marker.kwargs) as own, reached(own) as made:
            yield made


@pytest.fixture
def model(chat: Chat) -> Upstream:
    return chat.model


@pytest_asyncio.fixture(loop_scope="package")
async def client(chat: Chat) -> AsyncIterator[AsyncOpenAI]:
    """With a key that its user made up, as nobody needs one here."""
    async with sdk(chat.url) as made:
        yield made
