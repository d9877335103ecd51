"""The one connection of a process over which Redis tells it what others publish."""

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as NotConnected

from infrastructure.redis.client import FAILURES, Client, cancel, said_by

log = logging.getLogger(__name__)

PING_SECONDS: Final = 0.5
"""A connection that was silent for so long is asked whether it lives, and has as long to say so: a
half-open one, and a Redis that hangs, are found within a second or so."""

_MOST_AT_ONCE: Final = 500
"""Channels in one command."""

_RETRY_SECONDS: Final = (0.05, 0.5)

Heard = Callable[[bytes], None]


@dataclass(slots=True, eq=False)
class Subscriber:
    """Hands what is published to whoever listens to its channel, while it is not `away`.

    What is published while it is away is lost. When it is back it says so to `on_return`, once
    all channels are listened to again.
    """

    client: Client
    ping_seconds: float = PING_SECONDS
    away: bool = field(default=True, init=False)
    on_return: list[Callable[[], None]] = field(default_factory=list, init=False)
    on_loss: list[Callable[[], None]] = field(default_factory=list, init=False)
    _heard: dict[bytes, Heard] = field(default_factory=dict, init=False)
    _unsent: list[tuple[bytes, bytes]] = field(default_factory=list, init=False)
    _unsent_any: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _unconfirmed: Counter[bytes] = field(default_factory=Counter, init=False)
    _waiting: dict[bytes, "asyncio.Future[None]"] = field(default_factory=dict, init=False)
    _changed: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _is_connected: bool = field(default=False, init=False)
    _silent: bool = field(default=False, init=False)
    _told_away: bool = field(default=False, init=False)
    _pings: bool = field(default=False, init=False)
    _running: "asyncio.Task[None] | None" = field(default=None, init=False)

    async def start(self, patience: float) -> None:
        """Returns once it is connected, or after `patience` seconds without it."""
        self._running = asyncio.create_task(self._run())
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while self.away:
                    await self._changed.wait()

    async def close(self) -> None:
        if self._running is not None:
            await cancel(self._running)
        self._lost()

    async def listen(self, channel: bytes, heard: Heard) -> bool:
        """From when it returns True, all that is published there is heard. False if it is away."""
        self._heard[channel] = heard
        if self._is_connected:  # else it is listened to as soon as it is
            self._send(b"SUBSCRIBE", channel)
            self._unconfirmed[channel] += 1
        if self.away:
            return False
        waiting = self._waiting.get(channel)
        if waiting is None:
            waiting = self._waiting[channel] = asyncio.get_running_loop().create_future()
        await asyncio.shield(waiting)
        return not self.away

    def leave(self, channel: bytes) -> None:
        del self._heard[channel]
        if self._is_connected:
            self._send(b"UNSUBSCRIBE", channel)

    def _send(self, command: bytes, channel: bytes) -> None:
        self._unsent.append((command, channel))
        self._unsent_any.set()

    def _ping(self) -> None:
        self._pings = True
        self._unsent_any.set()

    async def _run(self) -> None:
        while True:
            try:
                await self._converse()
            except FAILURES as error:
                if not self._told_away:
                    log.warning("Redis is away: %s", said_by(error))
                    self._told_away = True
            except Exception:
                log.exception("listening to Redis failed")
            self._lost()
            await asyncio.sleep(random.uniform(*_RETRY_SECONDS))

    async def _converse(self) -> None:
        async with asyncio.timeout(2 * self.ping_seconds):
            connection = await _connection(self.client)
        tasks: list[asyncio.Task[None]] = []
        try:
            async with asyncio.timeout(2 * self.ping_seconds):
                await connection.connect()  # type: ignore[no-untyped-call]
            self._is_connected = True
            self._unsent = [(b"SUBSCRIBE", channel) for channel in self._heard]
            self._unconfirmed = Counter(self._heard.keys())
            self._unsent_any.set()
            # Only one sends: whoever fails closes the connection under all others.
            works = (self._send_all(connection), self._watch(), self._read(connection))
            tasks = [asyncio.create_task(work) for work in works]
            self._ping()
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            await cancel(*tasks)
            await connection.disconnect(nowait=True)

    async def _send_all(self, connection: AbstractConnection) -> None:
        while True:
            await self._unsent_any.wait()
            self._unsent_any.clear()
            unsent, self._unsent = self._unsent, []
            while unsent:
                command = unsent[0][0]
                channels: list[bytes] = []
                for each, channel in unsent[:_MOST_AT_ONCE]:
                    if each != command:
                        break
                    channels.append(channel)
                del unsent[: len(channels)]
                await _say(connection, command, *channels)
            if self._pings:
                self._pings = False
                await _say(connection, b"PING")

    async def _watch(self) -> None:
        while True:
            self._silent = True
            await asyncio.sleep(self.ping_seconds)
            if self._silent:
                self._ping()
                await asyncio.sleep(self.ping_seconds)
                if self._silent:
                    raise TimeoutError

    async def _read(self, connection: AbstractConnection) -> None:
        read: Callable[..., Awaitable[Any]] = connection.read_response
        while True:
            message = await read(timeout=float("inf"), disconnect_on_error=False)
            self._silent = False
            match message:
                case [b"message", channel, data]:
                    heard = self._heard.get(channel)
                    if heard is not None:
                        heard(data)
                case [b"subscribe", channel, _]:
                    self._confirm(channel)
                case [b"pong", _] | b"PONG":
                    if self.away and not self._unconfirmed.total():
                        self._back()

    def _confirm(self, channel: bytes) -> None:
        self._unconfirmed[channel] -= 1
        if self._unconfirmed[channel] <= 0:
            del self._unconfirmed[channel]
            waiting = self._waiting.pop(channel, None)
            if waiting is not None and not waiting.done():
                waiting.set_result(None)
        if self.away and not self._unconfirmed:
            self._back()

    def _back(self) -> None:
        log.info("Redis is there")
        self._told_away = self.away = False
        self._changed.set()
        self._changed.clear()
        for tell in self.on_return:
            tell()

    def _lost(self) -> None:
        was_there, self.away, self._is_connected = not self.away, True, False
        self._unsent.clear()
        self._unconfirmed.clear()
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_result(None)
        self._waiting.clear()
        if was_there:
            for tell in self.on_loss:
                tell()


async def _say(connection: AbstractConnection, *command: bytes) -> None:
    """Whoever reads may have found it closed: redis-py would connect once more, or fail over what
    is gone; uvloop raises RuntimeError then."""
    if not connection.is_connected:
        raise NotConnected("Connection lost.")
    try:
        await connection.send_command(*command, check_health=False)
    except (AttributeError, RuntimeError):
        raise NotConnected("Connection lost.") from None


async def _connection(client: Client) -> AbstractConnection:
    """One of its own, not of those that commands take turns with. Of a cluster any node will do:
    each is told what is published at the others."""
    if isinstance(client, Redis):
        pool = client.connection_pool
        kind, values = pool.connection_class, pool.connection_kwargs
    else:
        await client.initialize()
        node = random.choice(client.get_nodes())
        kind, values = node.connection_class, node.connection_kwargs
    # In the older protocol what is published is an answer like any other.
    made: AbstractConnection = kind(**{**values, "protocol": 2})
    return made
