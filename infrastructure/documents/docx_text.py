"""What a Word document says: its paragraphs and tables, in order.

python-docx opens it. Its own paragraphs leave out what somebody inserted while changes were
tracked, and whatever stands in a form's field, so the tree is read here.
"""

from collections.abc import Iterator
from io import BytesIO
from typing import Final
from zipfile import ZipFile

from docx import Document
from docx.oxml.xmlchemy import BaseOxmlElement

from infrastructure.documents.refused import Refused

_MAX_PARTS: Final = 10_000
_MAX_UNPACKED_BYTES: Final = 100 * 1024 * 1024
_W: Final = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_MC: Final = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"
_PARAGRAPH, _ROW, _CELL, _TEXT = (f"{_W}{name}" for name in ("p", "tr", "tc", "t"))
_SIGNS: Final = {
    f"{_W}tab": "\t",
    f"{_W}br": "\n",
    f"{_W}cr": "\n",
    f"{_W}noBreakHyphen": "-",
}
_LEFT_OUT: Final = frozenset({
    f"{_W}pPr", f"{_W}rPr", f"{_W}tblPr", f"{_W}trPr", f"{_W}tcPr", f"{_W}sdtPr",
    f"{_W}del", f"{_W}moveFrom",  # changes that were tracked
    f"{_W}rt",  # how to pronounce what stands below it
    f"{_MC}Fallback",  # says the same again, for older programs
})  # fmt: skip


def docx_text(content: bytes, enough: int) -> str:
    """A line a paragraph, and a row of a table, until it is `enough` characters. Raises Refused,
    and whatever zipfile, lxml and python-docx do."""
    _look_into_directory(content)
    lines, length = list[str](), 0
    for line in _lines(Document(BytesIO(content)).element.body):
        lines.append(line)
        length += len(line)
        if length >= enough:
            break
    if not length:
        raise Refused("no_text")
    return "\n".join(lines)


def _look_into_directory(content: bytes) -> None:
    """What it says of itself may be a lie; this process' memory is limited anyway."""
    with ZipFile(BytesIO(content)) as packed:
        parts = packed.infolist()
    if "word/document.xml" not in (part.filename for part in parts):
        raise Refused("damaged")
    if len(parts) > _MAX_PARTS or sum(part.file_size for part in parts) > _MAX_UNPACKED_BYTES:
        raise Refused("too_large")


def _lines(parent: BaseOxmlElement) -> Iterator[str]:
    for element in parent:
        if element.tag == _PARAGRAPH:
            yield "".join(_texts(element))
        elif element.tag == _ROW:
            yield "\t".join(" ".join(_lines(cell)) for cell in _cells(element))
        elif element.tag not in _LEFT_OUT:  # a table, or what may stand around anything
            yield from _lines(element)


def _cells(parent: BaseOxmlElement) -> Iterator[BaseOxmlElement]:
    for element in parent:
        if element.tag == _CELL:
            yield element
        elif element.tag not in _LEFT_OUT:
            yield from _cells(element)


def _texts(parent: BaseOxmlElement) -> Iterator[str]:
    for element in parent:
        if element.tag == _TEXT:
            yield element.text or ""
        elif element.tag in _SIGNS:
            yield _SIGNS[element.tag]
        elif element.tag not in _LEFT_OUT:
            if element.tag == _PARAGRAPH:  # in a box beside this one
                yield "\n"
            yield from _texts(element)
