"""uvicorn's WebSocket protocol, mended where one client could hurt the others.

- A frame that is too large or malformed is answered by a close frame. Closing the connection right
  behind it, while the client is still sending, makes the kernel reset the connection, and the
  client never reads why (seen with Node's `ws` and a frame of 5 MB: 1006 instead of 1009). So only
  our side is closed, and what still comes is thrown away until the client closes its own, or for
  `close_timeout` seconds.
- The loop hands over as much as a client sends, and pings and pongs are answered without asking
  whether anybody reads. So after each piece the reading pauses for one turn of the loop, and for as
  long as the client does not read (without it: other sessions waited 5 s, or 360 MB of pongs).
- An upgrade whose headers are refused is answered; it would wait for ever, and end the process at
  its shutdown by an AssertionError.
- An upgrade that the application refuses by an answer is done with. uvicorn would write an error
  into the log each time, as if the application had failed; any page could fill it.
"""

import logging

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidMessage
from websockets.frames import Frame

from interface.refusals import HEAD_TOO_LARGE, NOT_HTTP, refusal


class WebSocketProtocol(WebSocketsSansIOProtocol):
    _refused = False

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        super().data_received(data)
        if self.transport.is_closing() or self.conn.parser_exc is not None:
            return
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            self._refuse_upgrade()
        elif not self.read_paused:
            self.transport.pause_reading()
            self.loop.call_soon(self._read_on)

    def handle_cont(self, event: Frame) -> None:
        if event.data or event.fin:  # empty fragments would be collected without end
            super().handle_cont(event)

    def handle_parser_exception(self) -> None:
        self._refused = True
        said = self.conn.close_sent
        code, reason = (said.code, said.reason) if said else (1002, "")
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.disconnected = True  # for who sends: to uvicorn it would be a fault of the application
        if self.transport.can_write_eof():
            self.transport.write_eof()
        if self.read_paused:
            self.read_paused = False
        self.transport.resume_reading()
        self.close_timer = self.loop.call_later(self.close_timeout, self.transport.close)

    async def send(self, message: ASGISendEvent) -> None:
        await super().send(message)
        if self.initial_response is not None and self.close_sent:
            self.handshake_complete = True

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        self.disconnected = True

    def resume_writing(self) -> None:
        super().resume_writing()
        self._read_on()

    def _refuse_upgrade(self) -> None:
        malformed = isinstance(self.conn.handshake_exc, InvalidMessage)  # else it is too long
        self.transport.write(refusal(*(NOT_HTTP if malformed else HEAD_TOO_LARGE)))
        self.handshake_complete = self.close_sent = True
        self.transport.close()

    def _read_on(self) -> None:
        if self.read_paused or self.transport.is_closing() or not self.writable.is_set():
            return
        self.transport.resume_reading()


def as_one_line(record: logging.LogRecord) -> bool:
    """A log filter: bytes that are no UTF-8 are the client's fault and need no traceback."""
    if record.msg == "Invalid UTF-8 sequence received from client.":
        record.exc_info = None
        record.levelno, record.levelname = logging.WARNING, "WARNING"
    return True
