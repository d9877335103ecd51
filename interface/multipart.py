"""Forms that bring a file, read piece by piece: of the file only what just came is in memory."""

import asyncio
import re
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import Enum, auto
from time import monotonic
from typing import Final
from urllib.parse import unquote

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.requests import ClientDisconnect, Request

from domain.errors import ChatError, FileTooLarge, Flaw, InvalidInput
from domain.identifiers import SessionId
from interface.bodies import BodyCutOff, TooSlow
from interface.wire.parameters import parse_session_id

MAX_PARTS: Final = 10
MAX_FIELD_BYTES: Final = 1_000
MAX_FORM_BYTES: Final = 64 * 1024
"""Of all that is not the file."""
_SLICE_BYTES: Final = 16 * 1024
"""Parsed without a pause. Where almost every byte begins a boundary, and none is one, 256 KiB held
the loop for 60 ms."""
GAP_SECONDS: Final = 30.0
TOTAL_SECONDS: Final = 600.0


class NoForm(ChatError):
    """The request's body is of another kind."""

    code = "unsupported_media_type"

    def __init__(self) -> None:
        super().__init__("The body must be multipart/form-data.")


class FormUnreadable(ChatError):
    code = "bad_request"

    def __init__(self) -> None:
        super().__init__("The form can't be read.")


@dataclass(slots=True)
class _Part:
    name: str
    file_name: str | None


class _End(Enum):
    PART = auto()
    FORM = auto()


_Event = _Part | bytes | _End


_EXTENDED: Final = re.compile(r"filename\*=(?:utf-8|iso-8859-1)'[^']*'([^;\s]+)", re.IGNORECASE)


def _extended_name(disposition: str) -> str | None:
    """RFC 7578 forbids this form; but older versions of popular clients write names that are not
    ASCII in it alone."""
    found = _EXTENDED.search(disposition)
    return None if found is None else unquote(found[1], errors="replace")


class _Parsed:
    """What has been parsed and not been used yet."""

    def __init__(self, boundary: bytes) -> None:
        self.events: deque[_Event] = deque()
        self._parts = 0
        self._field = self._value = b""
        self._headers: dict[bytes, bytes] = {}
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin_part,
                "on_header_field": self._add_to_field,
                "on_header_value": self._add_to_value,
                "on_header_end": self._end_header,
                "on_headers_finished": self._end_headers,
                "on_part_data": self._add_data,
                "on_part_end": self._end_part,
                "on_end": self._end,
            },
            max_header_size=8 * 1024,
        )

    def feed(self, data: bytes) -> None:
        """Raises FormUnreadable, InvalidInput."""
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise FormUnreadable from error

    def _begin_part(self) -> None:
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise InvalidInput(Flaw("", f"The form may have {MAX_PARTS} parts."))
        self._headers = {}

    def _add_to_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _add_to_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        self._headers[self._field.lower()] = self._value
        self._field = self._value = b""

    def _end_headers(self) -> None:
        disposition = self._headers.get(b"content-disposition", b"")
        _, options = parse_options_header(disposition)
        name = options.get(b"name", b"").decode(errors="replace")
        file_name = options.get(b"filename")
        if file_name is None:
            self.events.append(_Part(name, _extended_name(disposition.decode("latin-1"))))
        else:
            self.events.append(_Part(name, file_name.decode(errors="replace")))

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        self.events.append(data[start:end])

    def _end_part(self) -> None:
        self.events.append(_End.PART)

    def _end(self) -> None:
        self.events.append(_End.FORM)


@dataclass(slots=True, eq=False)
class FileForm:
    """A form with `session_id` and one `file`, in any order. It is an Upload."""

    _parsed: _Parsed
    _most_bytes: int
    _body: AsyncIterator[bytes]
    _until: float
    _bytes: int = 0
    _session_id: str | None = None
    _file_name: str = ""

    @property
    def name(self) -> str:
        return self._file_name

    @property
    def known_session_id(self) -> SessionId | None:
        return None if self._session_id is None else parse_session_id(self._session_id)

    @classmethod
    async def begin(cls, request: Request, most_bytes: int) -> "FileForm":
        """Reads on to the file, which may have so many bytes. Raises NoForm, FormUnreadable,
        FileTooLarge, TooSlow, BodyCutOff, InvalidInput."""
        kind, options = parse_options_header(request.headers.get("content-type"))
        boundary = options.get(b"boundary", b"")
        if kind != b"multipart/form-data" or not boundary:
            raise NoForm
        try:
            parsed = _Parsed(boundary)
        except FormParserError as error:
            raise FormUnreadable from error
        form = cls(parsed, most_bytes, request.stream(), monotonic() + TOTAL_SECONDS)
        announced = request.headers.get("content-length", "")
        if announced.isdecimal():
            form._expect_size(int(announced[:20]))
        part = await form._next_file()
        if part is None:
            raise InvalidInput(Flaw("/file", "The form has no file."))
        form._file_name = part.file_name or ""
        return form

    async def content(self) -> AsyncIterator[bytes]:
        while isinstance(piece := await self._next(), bytes):
            yield piece

    async def session_id(self) -> SessionId:
        if await self._next_file() is not None:
            raise InvalidInput(Flaw("/file", "The form may have one file."))
        if self._session_id is None:
            raise InvalidInput(Flaw("/session_id", "Field required"))
        return parse_session_id(self._session_id)

    async def _next_file(self) -> _Part | None:
        """Reads on to the next part with a file; None if none comes any more."""
        while isinstance(part := await self._next(), _Part):
            if part.name == "file":
                return part
            value = await self._value()
            if part.name == "session_id":
                self._session_id = value
        while await self._piece() is not None:  # what follows the form is nothing
            pass
        return None

    async def _value(self) -> str:
        value = b""
        while isinstance(piece := await self._next(), bytes):
            value += piece
            if len(value) > MAX_FIELD_BYTES:
                raise InvalidInput(Flaw("", f"A field may have {MAX_FIELD_BYTES:,} bytes."))
        return value.decode(errors="replace")

    async def _next(self) -> _Event:
        while not self._parsed.events:
            piece = await self._piece()
            if piece is None:
                raise FormUnreadable
            for start in range(0, len(piece), _SLICE_BYTES):
                if start:
                    await asyncio.sleep(0)
                self._parsed.feed(piece[start : start + _SLICE_BYTES])
        return self._parsed.events.popleft()

    async def _piece(self) -> bytes | None:
        """What comes next of the body; None at its end."""
        try:
            async with asyncio.timeout(min(GAP_SECONDS, self._until - monotonic())):
                piece = await anext(self._body, None)
        except TimeoutError:
            raise TooSlow from None
        except ClientDisconnect:
            raise BodyCutOff from None
        self._bytes += len(piece or b"")
        self._expect_size(self._bytes)
        return piece

    def _expect_size(self, size: int) -> None:
        if size > self._most_bytes + MAX_FORM_BYTES:
            raise FileTooLarge(f"A file may have {self._most_bytes:,} bytes.")
