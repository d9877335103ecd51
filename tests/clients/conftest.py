"""A real process, a server of models behind it, and a way to it that can be cut."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from openai import AsyncOpenAI

from tests.browser.chat import Chat, Server, reached
from tests.clients.asked import sdk, started
from tests.clients.programs import install_openai_for_node, program
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


@pytest.fixture(scope="session")
def node_modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is installed for JavaScript, once a session unless TEST_NODE_MODULES names it."""
    program("node")
    given = os.environ.get("TEST_NODE_MODULES")
    return Path(given) if given else install_openai_for_node(tmp_path_factory.mktemp("node"))


@pytest.fixture
def beside_node_modules(tmp_path: Path, node_modules: Path) -> Path:
    """A folder where a script finds them."""
    (tmp_path / "node_modules").symlink_to(node_modules, target_is_directory=True)
    return tmp_path
