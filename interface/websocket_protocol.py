"""uvicorn's WebSocket protocol, with a farewell that arrives.

A frame that is too large or malformed is answered by a close frame. Closing the connection right
behind it, while the client is still sending, makes the kernel reset the connection, and the client
never reads why (seen with Node's `ws` and a frame of 5 MB: 1006 instead of 1009). So only our side
is closed, and what still comes is thrown away until the client closes its own, or for
`close_timeout` seconds.
"""

import logging

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol


class WebSocketProtocol(WebSocketsSansIOProtocol):
    _refused = False

    def data_received(self, data: bytes) -> None:
        if not self._refused:
            super().data_received(data)

    def handle_parser_exception(self) -> None:
        self._refused = True
        said = self.conn.close_sent
        code, reason = (said.code, said.reason) if said else (1002, "")
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        if self.transport.can_write_eof():
            self.transport.write_eof()
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        self.close_timer = self.loop.call_later(self.close_timeout, self.transport.close)


def as_one_line(record: logging.LogRecord) -> bool:
    """A log filter: bytes that are no UTF-8 are the client's fault and need no traceback."""
    if record.msg == "Invalid UTF-8 sequence received from client.":
        record.exc_info = None
        record.levelno, record.levelname = logging.WARNING, "WARNING"
    return True
