"""Taking a server-sent event stream apart (WHATWG HTML, section 9.2.6), within limits."""

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from domain.errors import ModelMalformed

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


class Event(NamedTuple):
    """`kind` is empty unless the stream names one."""

    kind: bytes
    data: bytes


class EventParser:
    """Bytes in as they arrive, events out once they are complete. Comments are no events."""

    __slots__ = ("_after_cr", "_begun", "_data", "_data_size", "_kind", "_limit", "_line")

    def __init__(self, limit: int) -> None:
        """`limit`: the most bytes of one line, and of the data of one event."""
        self._limit = limit
        self._begun = False
        self._after_cr = False
        self._line = bytearray()  # whose end has not come
        self._kind = b""
        self._data: list[bytes] = []
        self._data_size = 0

    def feed(self, received: bytes) -> Iterable[Event]:
        """To be iterated to its end. Raises ModelMalformed for what is too long."""
        if self._is_one_event(received):
            self._begun = True
            self._check(len(received) - 2)
            return (Event(b"", received[6:-2]),)
        return self._feed(received)

    def _is_one_event(self, received: bytes) -> bool:
        """Of one line, as nearly every read of a model's stream is: the short way for it."""
        return (
            received.startswith(b"data: ")
            and received.endswith(b"\n")
            and received.find(b"\n") == len(received) - 2
            and b"\r" not in received
            and not (self._line or self._data or self._kind or self._after_cr)
        )

    def _feed(self, received: bytes) -> Iterator[Event]:
        if self._after_cr or b"\r" in received:
            received = self._with_plain_ends(received)
        if not self._begun:
            received = bytes(self._line + received)
            self._line.clear()
            if len(received) < len(_BYTE_ORDER_MARK) and _BYTE_ORDER_MARK.startswith(received):
                self._line += received
                return
            self._begun = True
            received = received.removeprefix(_BYTE_ORDER_MARK)
        *lines, rest = received.split(b"\n")
        if lines and self._line:
            lines[0] = bytes(self._line + lines[0])
            self._line.clear()
        for line in lines:
            if line:
                self._read(line)
            elif self._data:
                yield self._event()
            else:
                self._kind = b""
        self._line += rest
        self._check(len(self._line))

    def end(self) -> bytes:
        """The stream is over: the data of an event that it has not finished."""
        self._read(bytes(self._line))
        return b"\n".join(self._data)

    def _read(self, line: bytes) -> None:
        self._check(len(line))
        name, _, value = line.partition(b":")
        if name == b"data":
            self._data.append(value.removeprefix(b" "))
            self._data_size += len(value) + 1
            self._check(self._data_size)
        elif name == b"event":
            self._kind = value.removeprefix(b" ")

    def _event(self) -> Event:
        event = Event(self._kind, b"\n".join(self._data))
        self._kind = b""
        self._data.clear()
        self._data_size = 0
        return event

    def _check(self, size: int) -> None:
        if size > self._limit:
            raise ModelMalformed("The model's server sent a line that is too long.")

    def _with_plain_ends(self, received: bytes) -> bytes:
        """A line ends with CR, LF or both, and the two may arrive apart."""
        if self._after_cr:
            received = received.removeprefix(b"\n")
        self._after_cr = received.endswith(b"\r")
        return received.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
