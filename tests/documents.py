"""Documents made in memory, honest and hostile."""

import struct
import zlib
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Final
from zipfile import ZIP_DEFLATED, ZipFile

import docx
from pypdf import PdfWriter

_W: Final = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_CONTENT_TYPES: Final = (
    '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" '
    'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Override PartName="/word/document.xml" ContentType="application/'
    'vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>'
)
_RELATIONSHIPS: Final = (
    '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    '<Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/'
    'relationships/officeDocument" Target="word/document.xml"/></Relationships>'
)


def children() -> set[int]:
    """Processes that this one has started and that are not reaped."""
    found = set[int]()
    for task in Path("/proc/self/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread that is just ending
            found.update(map(int, (task / "children").read_text().split()))
    return found


async def pieces(content: bytes, size: int = 65_536) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


def a_pdf(*pages: str) -> bytes:
    """Each line of a page is drawn as such, in a font that says what its glyphs mean."""
    objects: dict[int, bytes] = {
        1: b"<</Type/Catalog/Pages 2 0 R>>",
        3: b"<</Type/Font/Subtype/Type0/BaseFont/X/Encoding/Identity-H"
        b"/DescendantFonts[4 0 R]/ToUnicode 5 0 R>>",
        4: b"<</Type/Font/Subtype/CIDFontType2/BaseFont/X/CIDSystemInfo"
        b"<</Registry(Adobe)/Ordering(Identity)/Supplement 0>>/DW 1000>>",
        5: pdf_stream(_to_unicode("".join(pages))),
    }
    kids = []
    for number, page in enumerate(pages):
        at = 6 + 2 * number
        kids.append(b"%d 0 R" % at)
        objects[at] = (
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]"
            b"/Resources<</Font<</F 3 0 R>>>>/Contents %d 0 R>>" % (at + 1)
        )
        objects[at + 1] = pdf_stream(_drawn(page.split("\n")))
    objects[2] = b"<</Type/Pages/Kids[%s]/Count %d>>" % (b" ".join(kids), len(kids))
    return pdf_of(objects)


def _to_unicode(text: str) -> bytes:
    codes = [b"<%04X> <%04X>" % (ord(character), ord(character)) for character in sorted(set(text))]
    blocks = (codes[start : start + 100] for start in range(0, len(codes), 100))
    chars = (b"%d beginbfchar %s endbfchar" % (len(block), b" ".join(block)) for block in blocks)
    return (
        b"/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /X def "
        b"/CMapType 2 def 1 begincodespacerange <0000> <FFFF> endcodespacerange "
        b"%s endcmap end end" % b" ".join(chars)
    )


def _drawn(lines: Sequence[str]) -> bytes:
    drawn = (b"<%s> Tj 0 -14 Td" % line.encode("utf-16-be").hex().encode() for line in lines)
    return b"BT /F 12 Tf 50 800 Td %s ET" % b" ".join(drawn)


def pdf_stream(content: bytes, entries: bytes = b"") -> bytes:
    return b"<</Length %d%s>>stream\n%s\nendstream" % (len(content), entries, content)


def pdf_of(objects: dict[int, bytes], trailer: bytes = b"") -> bytes:
    """The first object is the catalog. `trailer` is added to it."""
    pdf, offsets = bytearray(b"%PDF-1.7\n"), dict[int, int]()
    for number, content in sorted(objects.items()):
        offsets[number] = len(pdf)
        pdf += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    start = len(pdf)
    pdf += b"xref\n0 1\n0000000000 65535 f \n"
    for number, offset in offsets.items():
        pdf += b"%d 1\n%010d 00000 n \n" % (number, offset)
    entries = trailer.replace(b"START", b"%d" % start)
    pdf += b"trailer\n<</Size %d/Root 1 0 R%s>>\n" % (max(objects) + 1, entries)
    return bytes(pdf + b"startxref\n%d\n%%%%EOF\n" % start)


def an_encrypted_pdf(password: str, *pages: str, algorithm: str = "AES-256") -> bytes:
    writer = PdfWriter(clone_from=BytesIO(a_pdf(*pages)))
    writer.encrypt(password, "its owner's", algorithm=algorithm)
    written = BytesIO()
    writer.write(written)
    return written.getvalue()


def a_docx(*blocks: str | Sequence[Sequence[str]]) -> bytes:
    """As a program writes it: texts are paragraphs, rows of cells are tables."""
    document = docx.Document()
    for block in blocks:
        if isinstance(block, str):
            document.add_paragraph(block)
            continue
        table = document.add_table(len(block), len(block[0]))
        for row, cells in zip(table.rows, block, strict=True):
            for cell, text in zip(row.cells, cells, strict=True):
                cell.text = text
    written = BytesIO()
    document.save(written)
    return written.getvalue()


def a_docx_of(body: str, before: str = "") -> bytes:
    """With this XML in its body, and this before its root."""
    written = BytesIO()
    with ZipFile(written, "w", ZIP_DEFLATED) as packed:
        packed.writestr("[Content_Types].xml", _CONTENT_TYPES)
        packed.writestr("_rels/.rels", _RELATIONSHIPS)
        document = f'<w:document xmlns:w="{_W}"><w:body>{body}</w:body></w:document>'
        packed.writestr("word/document.xml", before + document)
    return written.getvalue()


def a_zip(*names: str) -> bytes:
    written = BytesIO()
    with ZipFile(written, "w") as packed:
        for name in names:
            packed.writestr(name, "x")
    return written.getvalue()


def a_docx_bomb(mebibytes: int, declared_bytes: int | None = None) -> bytes:
    """Its text unpacks to so much, whatever it declares."""
    small = a_docx_of("<w:p><w:r><w:t>tick</w:t></w:r></w:p>")
    packed = deflated_zeros(mebibytes)
    size = mebibytes * 2**20 if declared_bytes is None else declared_bytes
    written, directory = bytearray(), bytearray()
    with ZipFile(BytesIO(small)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    for name, content in parts.items():
        bomb = name == "word/document.xml"
        data = packed if bomb else content
        sizes = struct.pack("<LLL", zlib.crc32(content), len(data), size if bomb else len(data))
        head = struct.pack("<HHHHH", 20, 0, 8 if bomb else 0, 0, 0) + sizes
        head += struct.pack("<HH", len(name), 0)
        directory += b"PK\x01\x02\x14\x00" + head
        directory += struct.pack("<HHHLL", 0, 0, 0, 0, len(written)) + name.encode()
        written += b"PK\x03\x04" + head + name.encode() + data
    end = struct.pack("<HHHHLLH", 0, 0, len(parts), len(parts), len(directory), len(written), 0)
    return bytes(written + directory + b"PK\x05\x06" + end)


def a_pdf_bomb(mebibytes: int) -> bytes:
    """Its page's content unpacks to so much."""
    packed = b"\x78\x9c" + deflated_zeros(mebibytes) + b"\x00\x00\x00\x00"
    return pdf_of(
        {
            1: b"<</Type/Catalog/Pages 2 0 R>>",
            2: b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
            3: b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]/Contents 4 0 R"
            b"/Resources<</Font<<>>>>>>",
            4: pdf_stream(packed, b"/Filter/FlateDecode"),
        }
    )


def deflated_zeros(mebibytes: int) -> bytes:
    """One block, again and again: made in no time."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = deflate.compress(bytes(2**20)) + deflate.flush(zlib.Z_FULL_FLUSH)
    return block * mebibytes + b"\x03\x00"
