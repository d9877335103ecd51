"""uvicorn's HTTP protocol, with three limits that it lacks: for what comes before and behind a body
(300 MB of header lines, or of trailers, are kept), for requests sent ahead of their answers (18 MB
of them became 1 GB), and for what of a body comes after its answer (it is read to its end, however
far away that is)."""

from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES: Final = 64 * 1024
MAX_PIPELINED: Final = 100
MAX_UNREAD_BYTES: Final = 32 * 1024 * 1024
"""Most clients hear why they were refused only once they have sent all."""

_REFUSED: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-length: 0\r\nconnection: close\r\n\r\n"
)


class HttpProtocol(HttpToolsProtocol):
    _head_bytes = 0  # likewise of what comes between and behind the pieces of a body
    _in_head = True
    _unread_bytes = 0

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        self._head_bytes += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._head_bytes > MAX_HEAD_BYTES:
            if self._in_head:
                self.transport.write(_REFUSED)
            self.transport.close()
        elif len(self.pipeline) > MAX_PIPELINED:
            self.transport.close()

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._head_bytes = 0
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
        self._unread_bytes = 0
        self._head_bytes = 0  # what came of the next head in the same piece is let pass
        super().on_message_complete()
