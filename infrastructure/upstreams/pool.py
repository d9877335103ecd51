"""Connections to models' servers, kept for the next call."""

import asyncio
import functools
from typing import Any, Final

from aiohttp import (
    AsyncResolver,
    ClientSession,
    DummyCookieJar,
    StreamReader,
    TCPConnector,
    ThreadedResolver,
)
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import HttpProcessingError, RawResponseMessage

from infrastructure.upstreams.addresses import public_socket

_IDLE_SECONDS: Final = 30.0
_MOST_INFORMATIONAL: Final = 10
_OURS: Final = {
    "Accept": "application/json",
    "Accept-Encoding": "identity",
    "Content-Type": "application/json",
    "User-Agent": "llm-chat",
}
"""What is sent to every server, beside its key; of the client's own headers nothing is."""


def open_pool(*, guarded: bool) -> ClientSession:
    """Of connections to anywhere, or if `guarded`, to the public internet only."""
    # As many connections as answers: their number is limited where requests are taken.
    connector = _Connector(
        limit=0,
        keepalive_timeout=_IDLE_SECONDS,
        socket_factory=public_socket if guarded else None,
        # Names that users choose may be slow to resolve, and must not take the few threads in
        # which the machine's own resolver answers.
        resolver=AsyncResolver() if guarded else ThreadedResolver(),
    )
    return ClientSession(
        connector=connector, cookie_jar=DummyCookieJar(), auto_decompress=False, headers=_OURS
    )


class _Connector(TCPConnector):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._factory = functools.partial(_protocol, asyncio.get_running_loop())


class _Protocol(ResponseHandler):
    """A connection on which replies do not begin for ever: aiohttp takes informational ones (1xx)
    without end, and without giving way."""

    _informational = 0

    def feed_data(self, data: tuple[RawResponseMessage, StreamReader], size: int = 0) -> None:
        self._informational = self._informational + 1 if data[0].code < 200 else 0
        if self._informational <= _MOST_INFORMATIONAL:
            super().feed_data(data, size)
        elif self._informational == _MOST_INFORMATIONAL + 1:
            self.set_exception(HttpProcessingError(message="too many informational replies"))
            if self.transport is not None:
                self.transport.close()


def _protocol(loop: asyncio.AbstractEventLoop) -> ResponseHandler:
    return _Protocol(loop)
