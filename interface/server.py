"""The HTTP server, set for long streams."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from interface.http_protocol import HttpProtocol
from interface.websocket import MAX_FRAME_BYTES
from interface.websocket_protocol import WebSocketProtocol

STREAM_END_SECONDS: Final = 2
"""How long handlers have to end when the process stops; they are told to at once."""
UNDO_SECONDS: Final = 2
"""How long those have that are cancelled then."""
IDLE_SECONDS: Final = 75
"""How long a connection is kept without a request. uvicorn's five seconds are those of httpx and of
HAProxy's pool as well: the request that such a client sends just then finds its connection closed,
and who may not send twice is told of a fault. The client is to be the first to close."""
UNHEARD_SECONDS: Final = 30
"""How long what is sent may wait for a peer that takes nothing, or is gone without a word. The
kernel alone would try for a quarter of an hour, and for ever if the peer only does not read."""


class Server(uvicorn.Server):
    """Tells the application that the end begins, before connections are closed: uvicorn itself
    would wait for open streams. Its lifespan is off, because it ends before the handlers do: what
    the application needs is open around `serve`."""

    def __init__(self, app: ASGIApp, begin_drain: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=HttpProtocol,
                ws=WebSocketProtocol,
                ws_max_size=MAX_FRAME_BYTES,
                ws_per_message_deflate=False,
                lifespan="off",
                access_log=False,
                log_config=None,
                server_header=False,
                proxy_headers=False,
                reset_contextvars=True,  # else what was sent ahead would be about the one before
                timeout_keep_alive=IDLE_SECONDS,
                timeout_graceful_shutdown=STREAM_END_SECONDS,
            )
        )
        self._begin_drain: Final = begin_drain

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """None: signals are obeyed until the process has closed its files, which is later than
        the server ends; the parent would raise them again then."""
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._begin_drain()
        await super().shutdown(sockets)
        if self.server_state.tasks:  # cancelled by now, and undoing what they had begun
            await asyncio.wait(self.server_state.tasks, timeout=UNDO_SECONDS)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises OSError if the address can't be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.create_server((host, port), family=family, backlog=2048)
    listening.setblocking(False)
    user_timeout: int | None = getattr(socket, "TCP_USER_TIMEOUT", None)  # Linux has it
    if user_timeout is not None:  # accepted sockets inherit it
        listening.setsockopt(socket.IPPROTO_TCP, user_timeout, UNHEARD_SECONDS * 1000)
    return listening
