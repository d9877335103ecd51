"""uvicorn's HTTP protocol, with limits that it lacks: for what comes before and behind a body
(300 MB of header lines, or of trailers, are kept), for requests sent ahead of their answers (18 MB
of them became 1 GB), for what of a body comes after its answer (it is read to its end, however far
away that is), and for how long a client may take: a head that is never complete, or a body of which
nothing more comes, holds its connection for ever."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from interface.refusals import BODY_TOO_SLOW, HEAD_TOO_LARGE, NOT_HTTP, refusal

MAX_HEAD_BYTES: Final = 64 * 1024
MAX_PIPELINED: Final = 100
MAX_UNREAD_BYTES: Final = 32 * 1024 * 1024
"""Most clients hear why they were refused only once they have sent all."""


class HttpProtocol(HttpToolsProtocol):
    head_seconds: float = 10
    """From its first byte to its last."""
    body_seconds: float = 30
    """Between two pieces of it."""

    _head_bytes = 0  # likewise of what comes between and behind the pieces of a body
    _in_head = True
    _head_begun = False
    _unread_bytes = 0
    _answered: RequestResponseCycle | None = None
    """`cycle` is the last that was sent, which may wait for this one."""
    _due: float | None = None
    """When more has to be there, if more is to come."""
    _clock: asyncio.TimerHandle | None = None
    """One for a connection, and none for a request that comes in one piece."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # As long as between two requests; uvicorn would wait for the first for ever.
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_clock()
        super().connection_lost(exc)
        answered = self._answered
        if answered is not None and not answered.response_complete:
            answered.disconnected = True  # uvicorn tells only the last
            answered.message_event.set()
        self._unset_keepalive_if_required()

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        self._head_bytes += len(data)
        super().data_received(data)
        if self.transport.is_closing() or self.transport.get_protocol() is not self:
            return
        if self._head_bytes > MAX_HEAD_BYTES:
            if self._in_head:
                self._refuse(*HEAD_TOO_LARGE)
            self.transport.close()
        elif len(self.pipeline) > MAX_PIPELINED:
            self.transport.close()
        else:
            self._set_clock()

    def handle_websocket_upgrade(self) -> None:
        self._stop_clock()
        super().handle_websocket_upgrade()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002
        self._refuse(*NOT_HTTP)

    def on_message_begin(self) -> None:
        self._head_begun = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._head_bytes = 0
        self._due = None
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        self._head_bytes = 0
        if self.cycle.response_complete:
            self._unread_bytes += len(body)
            if self._unread_bytes > MAX_UNREAD_BYTES:
                self.transport.close()

    def on_message_complete(self) -> None:
        self._in_head = True
        self._head_begun = False
        self._due = None
        self._unread_bytes = 0
        self._head_bytes = 0  # what came of the next head in the same piece is let pass
        super().on_message_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._answered = cycle
        super()._start_asgi_task(cycle, app)

    def _refuse(self, code: str, detail: str) -> None:
        """And hang up. Behind an answer that has begun, nothing more can be said."""
        cycle: RequestResponseCycle | None = self.cycle
        unanswered = cycle if cycle is not None and not cycle.response_complete else None
        if not self.pipeline and not (unanswered and unanswered.response_started):
            scope: Mapping[str, Any] = unanswered.scope if unanswered else {}
            self.transport.write(refusal(code, detail, scope.get("request_id")))
        if unanswered:
            unanswered.disconnected = True  # what the application says now would come behind it
            unanswered.message_event.set()
        self.transport.close()

    def _set_clock(self) -> None:
        if not self._in_head:
            self._due = self.loop.time() + self.body_seconds
        elif self._due is None and (self._head_begun or self._head_bytes):
            self._due = self.loop.time() + self.head_seconds
        if self._due is None:
            return
        if self._clock is not None and self._clock.when() > self._due:
            self._stop_clock()
        if self._clock is None:
            self._clock = self.loop.call_at(self._due, self._look)

    def _stop_clock(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def _look(self) -> None:
        self._clock = None
        if self._due is None or self.transport.is_closing():
            return
        if self.loop.time() >= self._due:
            if not self._is_the_clients_turn():
                self._due = None
                self._set_clock()
                return
            if not self._in_head:
                self._refuse(*BODY_TOO_SLOW)
            self.transport.close()
            return
        self._clock = self.loop.call_at(self._due, self._look)

    def _is_the_clients_turn(self) -> bool:
        """It may wait for an answer, or until its body is asked for or taken."""
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or cycle.response_complete:
            return True
        if self._in_head or self.pipeline or self.flow.read_paused:
            return False
        return not cycle.response_started and not cycle.waiting_for_100_continue
