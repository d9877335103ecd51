"""Real processes, and one real browser in front of them, in whose loop all tests are."""

from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Any, Protocol

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.browser import browsers
from tests.browser.chat import Chat, Server, reached
from tests.browser.chat import server as started
from tests.browser.visitor import PATIENCE, TELL_VIOLATIONS, Visitor, at_page
from tests.upstream import Upstream


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "own_process(**environment): of this test, which ends it or needs these settings"
    )


class Visit(Protocol):
    def __call__(
        self, path: str | None = "/", beside: Visitor | None = None, **wishes: Any
    ) -> Awaitable[Visitor]:
        """Opens the page in a new browser, or in another tab `beside` somebody; `wishes` are for
        the browser: `locale`, `viewport`, `color_scheme`, …"""


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def browser() -> AsyncIterator[Browser]:
    program = browsers.installed()
    if program is None:
        pytest.skip(browsers.MISSING)
    async with browsers.browser(program) as made:
        yield made


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """For all tests that are content with it: a start takes a second."""
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
async def visit(browser: Browser, chat: Chat) -> AsyncIterator[Visit]:
    """Nobody may have met an error that their test did not expect."""
    visitors: list[Visitor] = []

    async def visited(
        path: str | None = "/", beside: Visitor | None = None, **wishes: Any
    ) -> Visitor:
        if beside is None:
            context = await browser.new_context(**{"locale": "en-GB", **wishes})
            context.set_default_timeout(PATIENCE)
            await context.add_init_script(TELL_VIOLATIONS)
        else:
            context = beside.page.context
        visitor = await at_page(context)
        visitors.append(visitor)
        if path is not None:
            await visitor.page.goto(chat.url + path)
        return visitor

    yield visited
    unexpected = [said for visitor in visitors for said in visitor.unexpected]
    for context in {visitor.page.context for visitor in visitors}:
        await context.close()
    assert not unexpected, "\n".join(unexpected)
