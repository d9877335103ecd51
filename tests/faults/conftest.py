"""Each case runs once, with its first seed. With FAULTS=full it runs with all of them, and longer;
FAULT_SEEDS names others, with commas between them."""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import pytest
import pytest_asyncio

from tests import servers
from tests.faults import table
from tests.faults.case import FULL, Case, case
from tests.faults.stack import Stack, stack


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "fault(name, limit, runs): a case of the faults; seconds that it is to take, and how many"
        " seeds it has",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" not in metafunc.fixturenames:
        return
    marker = metafunc.definition.get_closest_marker("fault")
    runs = marker.kwargs.get("runs", 1) if marker else 1
    given = os.environ.get("FAULT_SEEDS")
    seeds = [int(seed) for seed in given.split(",")] if given else list(range(1, runs + 1))
    metafunc.parametrize("seed", seeds if FULL or given else seeds[:1], ids=lambda n: f"seed-{n}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report = yield
    marker = item.get_closest_marker("fault")
    if call.when == "call" and marker is not None:
        made: Case | None = getattr(item, "funcargs", {}).get("run")
        table.note(
            marker.args[0],
            getattr(item, "originalname", item.name).removeprefix("test_").replace("_", " "),
            made.seed if made else 0,
            passed=call.excinfo is None,
            worst=made.worst if made else 0.0,
            limit=marker.kwargs.get("limit"),
            notes=made.notes if made else [],
        )
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if FULL and table.ROWS:
        terminalreporter.section("faults")
        for line in table.lines():
            terminalreporter.write_line(line)


@contextmanager
def _redis() -> Iterator[servers.Redis | None]:
    if os.environ.get("FAULT_REDIS") != "no":
        with servers.redis() as made:
            yield made
    else:
        yield None


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def shared(
    tmp_path_factory: pytest.TempPathFactory, postgres_server: servers.Postgres
) -> AsyncIterator[Stack]:
    """The servers and the ways to them. Each test says which processes there are."""
    folder = tmp_path_factory.mktemp("faults")
    with _redis() as redis:
        async with stack(folder, postgres_server, redis) as made:
            yield made


@pytest_asyncio.fixture(loop_scope="package")
async def run(shared: Stack, seed: int) -> AsyncIterator[Case]:
    async with case(shared, seed) as made:
        yield made
