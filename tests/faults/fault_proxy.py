"""A TCP proxy in front of a server, which breaks what goes through it as a network or a host does.

It runs in the test's own loop, so a test can change it between two bytes.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import Enum, auto
from typing import Final, cast

_HEAD: Final = 4096
"""Bytes that are kept of what a client said first, by which a test finds its connection."""


class Mode(Enum):
    PASS = auto()
    REFUSE = auto()  # who connects is cut off at once
    HANG = auto()  # connections stay open, and what comes is swallowed
    LOSE_REPLIES = auto()  # what is asked arrives, and what is answered does not


class FaultProxy:
    """Listens on `port`, and speaks with whatever is on `target`."""

    def __init__(self, target: int) -> None:
        self.target = target
        """A server that is started again may be on another."""
        self.port = 0
        self.mode = Mode.PASS
        self.delay = 0.0
        """Seconds, each way."""
        self.links: Final[set[Link]] = set()
        self.connections = 0
        """How many were made."""
        self.made = asyncio.Event()
        """Set at each new one."""

    def heal(self) -> None:
        """All passes again. Connections that lost something are cut, unless they are half-open."""
        self.mode, self.delay = Mode.PASS, 0.0
        for link in list(self.links):
            if link.lost_something and not link.half_open:
                link.reset()

    def refuse(self) -> None:
        """As if the server were gone: nobody gets in, and who is in is cut off."""
        self.mode = Mode.REFUSE
        self.reset_all()

    def hang(self) -> None:
        self.mode = Mode.HANG

    def lose_replies(self) -> None:
        self.mode = Mode.LOSE_REPLIES

    def reset_all(self) -> None:
        for link in list(self.links):
            link.reset()

    def half_open(self, said: bytes) -> int:
        """Swallow from now on what goes through those existing connections whose client has said
        this; they stay open and never come back. Returns how many they are."""
        found = [link for link in self.links if said in link.head and not link.half_open]
        for link in found:
            link.half_open = True
        return len(found)


class Link:
    """One connection through the proxy."""

    def __init__(self, proxy: FaultProxy) -> None:
        self.proxy = proxy
        self.head = b""
        self.half_open = False
        self.lost_something = False
        self.ends: list[_End] = [_End(self, asks=True), _End(self, asks=False)]

    def passes(self, asks: bool) -> bool:
        if self.half_open or self.proxy.mode is Mode.HANG:
            return False
        return asks or self.proxy.mode is not Mode.LOSE_REPLIES

    def reset(self) -> None:
        self.proxy.links.discard(self)
        for end in self.ends:
            if end.transport is not None:
                end.transport.abort()


class _End(asyncio.Protocol):
    """One of the two sides; what comes from a side that `asks` goes to the server."""

    def __init__(self, link: Link, *, asks: bool) -> None:
        self.link = link
        self.asks = asks
        self.transport: asyncio.Transport | None = None
        self.early: list[bytes] = []
        self.waiting: deque[bytes] = deque()
        self.connecting: asyncio.Task[None] | None = None

    @property
    def other(self) -> "_End":
        return self.link.ends[1 if self.asks else 0]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        proxy = self.link.proxy
        if not self.asks:
            for data in self.early:
                self.transport.write(data)
            return
        if proxy.mode is Mode.REFUSE:
            self.transport.abort()
            return
        proxy.links.add(self.link)
        proxy.connections += 1
        proxy.made.set()
        self.connecting = asyncio.create_task(self._connect())

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(lambda: self.other, "127.0.0.1", self.link.proxy.target)
        except OSError:
            self.link.reset()
        if self.transport is None or self.transport.is_closing():
            self.link.reset()

    def data_received(self, data: bytes) -> None:
        link = self.link
        if self.asks and len(link.head) < _HEAD:
            link.head += data[:_HEAD]
        if not link.passes(self.asks):
            link.lost_something = True
        elif link.proxy.delay or self.waiting:
            self.waiting.append(data)
            asyncio.get_running_loop().call_later(link.proxy.delay, self._pass_on_waiting)
        else:
            self._pass_on(data)

    def _pass_on_waiting(self) -> None:
        self._pass_on(self.waiting.popleft())

    def _pass_on(self, data: bytes) -> None:
        other = self.other
        if other.transport is None:
            other.early.append(data)
        elif not other.transport.is_closing():
            other.transport.write(data)

    def pause_writing(self) -> None:
        if self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other.transport is not None:
            self.other.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        link = self.link
        if link.half_open or link.proxy.mode is Mode.HANG:
            link.lost_something = True
            return  # the other side hears nothing of it, as over a broken network
        link.proxy.links.discard(link)
        if self.other.transport is not None:
            self.other.transport.close()


@asynccontextmanager
async def fault_proxy(target: int) -> AsyncIterator[FaultProxy]:
    """In front of a server on this port of 127.0.0.1."""
    proxy = FaultProxy(target)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Link(proxy).ends[0], "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        proxy.reset_all()
