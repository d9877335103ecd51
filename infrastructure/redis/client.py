"""The way to Redis, over redis-py: to one server, or to a cluster."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from redis.asyncio import BlockingConnectionPool, Connection, Redis, SSLConnection
from redis.asyncio.cluster import ClusterNode, ClusterPipeline, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as NotConnected
from redis.exceptions import RedisClusterException, RedisError
from redis.maint_notifications import MaintNotificationsConfig

Client = Redis | RedisCluster

FAILURES: Final = (RedisError, RedisClusterException, OSError, TimeoutError)
"""What a command raises if Redis is out, hangs, or refuses it. Nothing of it names a password. What
a cluster's client raises when it finds no node is no RedisError."""

_CONNECTIONS: Final = 32
"""Of one client, to each server. A command takes a millisecond: hundreds of callers can wait for
their turn, where each new connection would cost both sides more than the wait."""
_DEFAULT_PORT: Final = 6379
_CANCEL_AGAIN_SECONDS: Final = 1.0
_SCHEMES: Final = ("redis", "rediss", "redis+cluster", "rediss+cluster")
_NODE: Final = re.compile(r"([A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?", re.ASCII)
_DATABASE: Final = re.compile(r"/?|/([0-9]{1,5})", re.ASCII)
_SAID_CHARACTERS: Final = 200


@dataclass(frozen=True, slots=True)
class _Address:
    nodes: tuple[tuple[str, int], ...]
    database: int
    tls: bool
    cluster: bool
    user: str | None = field(repr=False)
    password: str | None = field(repr=False)


def check_redis_url(url: str) -> None:
    """Raises ValueError with a sentence that says what is wrong and quotes nothing of it."""
    _read(url)


def open_client(url: str, *, timeout: float, block: float = 0.0) -> Client:
    """Connects with its first command, and again after each failure; close it with `close_client`.

    A command gets its turn, its connection and its answer within `timeout` seconds each, or fails
    with one of FAILURES. Those that block on the server may do so for `block` seconds more. None
    is repeated: whoever wrote knows whether it may be written twice. Answers are bytes. What
    belongs together is a script: a cluster has no other transactions.

    Raises ValueError, as `check_redis_url` does.
    """
    address = _read(url)
    shared: dict[str, Any] = {
        "username": address.user,
        "password": address.password,
        "socket_timeout": timeout + block,
        "socket_connect_timeout": timeout,
        "socket_keepalive": True,
        "retry": Retry(NoBackoff(), 0),
        "driver_info": None,  # it would tell the server its name, at two more questions
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
    }
    if address.cluster:
        return _Cluster(address, timeout, shared)
    ((host, port),) = address.nodes
    pool = BlockingConnectionPool(
        _CONNECTIONS,
        timeout,
        SSLConnection if address.tls else Connection,
        host=host,
        port=port,
        db=address.database,
        **shared,
    )
    return Redis.from_pool(pool)


async def close_client(client: Client) -> None:
    """Raises nothing: a server that hangs does not say goodbye."""
    with suppress(*FAILURES):
        await client.aclose()


async def cancel(*tasks: asyncio.Task[Any]) -> None:
    """Returns once they have ended, however. Before Python 3.12 `asyncio.wait_for`, through which
    redis-py writes, swallows a cancellation that comes when it is just done; so it is repeated."""
    waiting = set(tasks)
    while waiting:
        for task in waiting:
            task.cancel()
        _, waiting = await asyncio.wait(waiting, timeout=_CANCEL_AGAIN_SECONDS)
    await asyncio.gather(*tasks, return_exceptions=True)  # nobody else asks for what they raised


def said_by(error: BaseException) -> str:
    """One line for a log. redis-py quotes the whole command in some errors, Redis in another: what
    users write is not to be in it."""
    said = str(error).rpartition("of pipeline caused error: ")[2]
    said = said.partition(", with args")[0]
    if said.startswith("No targets were found"):
        said = "no node for it"
    said = " ".join(said.split())[:_SAID_CHARACTERS]
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def _read(url: str) -> _Address:
    try:
        parts = urlsplit(url)
    except ValueError:  # it may quote any part of it
        raise ValueError("is no URL") from None
    if parts.scheme not in _SCHEMES or not url.lower().startswith(f"{parts.scheme}://"):
        raise ValueError(f"must begin with {', '.join(f'{each}://' for each in _SCHEMES)}")
    tls, cluster = parts.scheme.startswith("rediss"), parts.scheme.endswith("+cluster")
    who, _, where = parts.netloc.rpartition("@")
    nodes = tuple(_node(each) for each in where.split(",")) if cluster else (_node(where),)
    # What is left is from a slip: a password with a / or a #, or options that are not ours.
    database = _DATABASE.fullmatch(parts.path)
    if None in nodes or "@" in who or database is None or parts.query or parts.fragment:
        raise ValueError(
            "must be redis://user:password@host:port/number, or for a cluster"
            " redis+cluster://user:password@host:port,host:port; with TLS rediss in place of"
            " redis; in a password / ? # @ : % are written %2F %3F %23 %40 %3A %25"
        )
    if cluster and int(database[1] or 0) != 0:
        raise ValueError("a cluster has no databases with numbers: leave the /number away")
    user, _, password = who.partition(":")
    return _Address(
        tuple(node for node in nodes if node is not None),
        int(database[1] or 0),
        tls,
        cluster,
        unquote(user) or None,
        unquote(password) or None,
    )


def _node(text: str) -> tuple[str, int] | None:
    found = _NODE.fullmatch(text)
    port = int(found[2] or _DEFAULT_PORT) if found else 0
    return (found[1].strip("[]"), port) if found and 0 < port <= 65_535 else None


class _Cluster(RedisCluster):
    """redis-py's has no pool that lets callers wait: it raises for the one that finds no
    connection free."""

    def __init__(
        self,
        address: _Address,
        timeout: float,
        shared: dict[str, Any],
    ) -> None:
        super().__init__(
            startup_nodes=[ClusterNode(host, port) for host, port in address.nodes],
            ssl=address.tls,
            # One for each turn, a few for what it asks for itself.
            max_connections=2 * _CONNECTIONS + 16,
            # The nodes may be known by a name that leads to others later.
            dynamic_startup_nodes=False,
            # At each fifth it would close the connections under the commands of others.
            reinitialize_steps=0,
            **shared,
        )
        self._timeout: Final = timeout
        # A pipeline that is sent elsewhere goes on as commands: it must not wait for itself.
        self._commands: Final = asyncio.Semaphore(_CONNECTIONS)
        self._pipelines: Final = asyncio.Semaphore(_CONNECTIONS)

    async def execute_command(self, *args: Any, **kwargs: Any) -> Any:
        async with self._turn(self._commands):
            # It knows no slots before, and would send the first commands anywhere.
            await self.initialize()
            return await super().execute_command(*args, **kwargs)

    def pipeline(
        self,
        transaction: Any | None = None,
        shard_hint: Any | None = None,  # noqa: ARG002 - another name for it would be no override
    ) -> ClusterPipeline:
        """Each command by itself. What belongs together is a script: redis-py prepares its
        transactions in a thread with a loop of its own, over connections of this one."""
        if transaction:
            raise NotImplementedError("no transactions on a cluster: write a script")
        return _Pipeline(self)  # type: ignore[abstract] # as redis-py's is

    def pipeline_turn(self) -> AbstractAsyncContextManager[None]:
        return self._turn(self._pipelines)

    async def aclose(self) -> None:
        """redis-py's closes nothing after a command has failed, until another has not."""
        await super().aclose()
        await self.nodes_manager.aclose()
        await self.nodes_manager.aclose("startup_nodes")

    @asynccontextmanager
    async def _turn(self, turns: asyncio.Semaphore) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._timeout):
                await turns.acquire()
        except TimeoutError:
            raise NotConnected("No connection available.") from None
        try:
            yield
        finally:
            turns.release()


class _Pipeline(ClusterPipeline):
    def __init__(self, cluster: _Cluster) -> None:
        super().__init__(cluster)
        self._cluster: Final = cluster

    async def execute(
        self, raise_on_error: bool = True, allow_redirections: bool = True
    ) -> list[Any]:
        async with self._cluster.pipeline_turn():
            return await super().execute(raise_on_error, allow_redirections)
