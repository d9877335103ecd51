import asyncio
import secrets
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from blockbuster import blockbuster_ctx

from tests import servers
from tests.servers import Postgres

if TYPE_CHECKING:  # tests that need no server are not to wait for its driver
    from infrastructure.sql.postgres import PostgresDatabase


@pytest.fixture(autouse=True)
def nothing_blocks_the_loop() -> Iterator[None]:
    """A call of the product that would block the event loop raises BlockingError."""
    with blockbuster_ctx(["domain", "application", "infrastructure", "interface"]) as blocking:
        blocking.functions["os.path.abspath"].deactivate()  # it only asks where we are
        for function in blocking.functions.values():
            # On Postgres it has a thread and a loop of its own.
            function.can_block_in("infrastructure/sql/migrate.py", "_upgrade")
            # For each new connection it looks whether there are certificates in the home.
            function.can_block_in("asyncpg/connect_utils.py", "_parse_connect_dsn_and_args")
        yield


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """Started when the first test asks for it."""
    import infrastructure.sql.migrate  # noqa: F401 - loading it would block whoever's loop

    with servers.postgres() as url:
        made = Postgres(url, f"template_{secrets.token_hex(8)}")
        _apart(servers.execute(url, f"CREATE DATABASE {made.template}"))
        _apart(_migrate(servers.database_named(url, made.template)))
        yield made
        _apart(servers.execute(url, f"DROP DATABASE {made.template}"))


@pytest.fixture
async def postgres_url(postgres_server: Postgres) -> AsyncIterator[str]:
    """Of a fresh database with the tables of this version."""
    async with postgres_server.database() as url:
        yield url


@pytest.fixture
async def postgres(postgres_url: str) -> "AsyncIterator[PostgresDatabase]":
    from infrastructure.sql.postgres import PostgresDatabase

    database = PostgresDatabase(postgres_url)
    await database.open()
    yield database
    await database.close()


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """Of a server that tests share: each takes a prefix of its own for its keys."""
    with servers.redis_url() as url:
        yield url


@pytest.fixture(scope="session")
def redis_cluster_url() -> Iterator[str]:
    """Likewise, of a cluster."""
    with servers.redis_cluster() as cluster:
        yield cluster.url


@pytest.fixture
def redis_server() -> Iterator[servers.Redis]:
    """One that is this test's alone."""
    with servers.redis() as made:
        yield made


async def _migrate(url: str) -> None:
    from infrastructure.sql.migrate import migrate
    from infrastructure.sql.postgres import PostgresDatabase

    database = PostgresDatabase(url)
    await migrate(database)
    await database.close()


def _apart(work: Coroutine[Any, Any, None]) -> None:
    """For what outlives a test and so must not be in its loop."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, work).result()
