import os
import re
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from application.ports import UnreadableDocument
from domain.file_type import FileKind
from infrastructure.documents.subprocess_document_reader import SubprocessDocumentReader
from tests import documents
from tests.documents import (
    a_docx,
    a_docx_bomb,
    a_docx_of,
    a_pdf,
    a_pdf_bomb,
    a_zip,
    an_encrypted_pdf,
    pdf_of,
    pieces,
)

PDF, DOCX, TEXT = FileKind.PDF, FileKind.DOCX, FileKind.TEXT
DAMAGED = "It is damaged, or not what its name says."
ENCRYPTED = "It is encrypted."
NO_TEXT = "It holds no text; perhaps its pages are pictures."
TOO_LARGE = "It unpacks to more than can be read."
NOT_TEXT = "It is no text, or in no known encoding."
MEBIBYTE = 2**20


@pytest.fixture(autouse=True)
def nothing_is_left_behind() -> Iterator[None]:
    before = documents.children()
    yield
    assert documents.children() == before


async def read(kind: FileKind, content: bytes) -> str:
    return await SubprocessDocumentReader(seconds=60).text(kind, pieces(content))


async def refusal(kind: FileKind, content: bytes) -> str:
    with pytest.raises(UnreadableDocument) as refused:
        await read(kind, content)
    return str(refused.value)


async def test_a_text_is_read_in_its_encoding() -> None:
    text = "你好，世界。这是一个测试文件。"
    assert await read(TEXT, text.encode()) == text
    assert await read(TEXT, text.encode("gbk")) == text


async def test_the_pages_of_a_pdf_are_read_in_order() -> None:
    text = await read(PDF, a_pdf("Hello\n你好，世界", "Zweite Seite: äöü"))
    assert text == "Hello\n你好，世界\n\nZweite Seite: äöü"


async def test_paragraphs_and_tables_are_read_in_order() -> None:
    content = a_docx("Before", [["name", "年龄"], ["小明", "28"]], "After")
    assert await read(DOCX, content) == "Before\nname\t年龄\n小明\t28\nAfter"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("<w:p><w:r><w:t>a</w:t><w:tab/><w:t>b</w:t><w:br/><w:t>c</w:t></w:r></w:p>", "a\tb\nc"),
        ("<w:p><w:ins><w:r><w:t>put in</w:t></w:r></w:ins></w:p>", "put in"),
        ("<w:p><w:del><w:r><w:t>gone</w:t></w:r></w:del><w:r><w:t>left</w:t></w:r></w:p>", "left"),
        ("<w:sdt><w:sdtContent><w:p><w:r><w:t>x</w:t></w:r></w:p></w:sdtContent></w:sdt>", "x"),
        ("<w:p><w:hyperlink><w:r><w:t>link</w:t></w:r></w:hyperlink></w:p>", "link"),
        (
            "<w:p><w:pPr><w:tabs><w:tab/></w:tabs></w:pPr><w:r><w:t>plain</w:t></w:r></w:p>",
            "plain",
        ),
        (
            "<w:tbl><w:tr><w:tc><w:p><w:r><w:t>a</w:t></w:r></w:p><w:tbl><w:tr><w:tc><w:p><w:r>"
            "<w:t>b</w:t></w:r></w:p></w:tc></w:tr></w:tbl></w:tc><w:tc><w:p><w:r><w:t>c</w:t>"
            "</w:r></w:p></w:tc></w:tr></w:tbl>",
            "a b\tc",
        ),
    ],
    ids=["signs", "inserted", "deleted", "field", "link", "stops", "nested-table"],
)
async def test_what_stands_in_a_paragraph_is_read_wherever_it_stands(body: str, text: str) -> None:
    assert await read(DOCX, a_docx_of(body)) == text


@pytest.mark.parametrize("kind", list(FileKind))
async def test_a_million_characters_are_read_and_no_more(kind: FileKind) -> None:
    text = "好" * 9_999 + "\n"
    content = {
        TEXT: lambda: (text * 101).encode(),
        PDF: lambda: a_pdf(*["\n".join(["好" * 999] * 60)] * 17),
        DOCX: lambda: a_docx_of(f"<w:p><w:r><w:t>{text}</w:t></w:r></w:p>" * 101),
    }[kind]()
    assert len(await read(kind, content)) == 1_000_000


async def test_what_no_database_holds_is_replaced() -> None:
    assert await read(TEXT, b"a\x00b" + b" words" * 100) == "a\ufffdb" + " words" * 100
    assert await read(PDF, a_pdf("a\x00b")) == "a\ufffdb"


async def test_a_page_that_can_not_be_read_does_not_take_the_others_with_it() -> None:
    bad = b"<</Length 3/Filter/Unheard>>stream\nabc\nendstream"
    good = a_pdf("first", "second")
    drawn = re.search(rb"7 0 obj\n(.*?endstream)", good, re.DOTALL)
    assert drawn is not None
    one_bad = good.replace(drawn[1], bad.ljust(len(drawn[1])))
    assert (await read(PDF, one_bad)).strip() == "second"
    all_bad = a_pdf("first")
    assert await refusal(PDF, all_bad.replace(drawn[1], bad.ljust(len(drawn[1])))) == DAMAGED


@pytest.mark.parametrize("algorithm", ["RC4-128", "AES-128", "AES-256"])
async def test_an_encrypted_pdf_is_read_if_it_needs_no_password(algorithm: str) -> None:
    assert await read(PDF, an_encrypted_pdf("", "secret", algorithm=algorithm)) == "secret"
    content = an_encrypted_pdf("its user's", "secret", algorithm=algorithm)
    assert await refusal(PDF, content) == ENCRYPTED


@pytest.mark.parametrize(
    ("kind", "content"),
    [(PDF, a_pdf("", "")), (DOCX, a_docx())],
    ids=["pdf", "docx"],
)
async def test_one_without_text_is_refused(kind: FileKind, content: bytes) -> None:
    assert await refusal(kind, content) == NO_TEXT


async def test_rubbish_is_no_text() -> None:
    assert await refusal(TEXT, os.urandom(10 * MEBIBYTE)) == NOT_TEXT


def a_page_tree(depth: int) -> bytes:
    """Each of its nodes has the next one three times."""
    nodes = {
        at: b"<</Type/Pages/Kids[%d 0 R %d 0 R %d 0 R]/Count 9>>" % ((at + 1,) * 3)
        for at in range(2, depth)
    }
    return pdf_of({1: b"<</Type/Catalog/Pages 2 0 R>>", **nodes, depth: b"<</Type/Page>>"})


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        (PDF, b"%PDF-1.7\nnothing of the kind"),
        (PDF, a_pdf("Hello")[:300]),
        (PDF, pdf_of({1: b"<</Type/Catalog/Pages 2 0 R>>", 2: b"<</Type/Pages/Kids[2 0 R]>>"})),
        (PDF, b"%PDF-1.7\n1 0 obj\n" + b"[" * 2_000_000),
        (DOCX, b"PK\x03\x04nothing of the kind"),
        (DOCX, a_docx("Hello")[:20_000]),
        (DOCX, a_zip("xl/workbook.xml")),
        (DOCX, a_zip("word/document.xml")),
        (DOCX, a_docx_of("<w:sdt>" * 100_000 + "</w:sdt>" * 100_000)),
    ],
    ids=[
        "no-pdf", "truncated-pdf", "page-in-itself", "nested-arrays", "no-zip", "truncated-zip",
        "other-zip", "only-a-name", "nested-xml",
    ],
)  # fmt: skip
async def test_a_damaged_one_is_refused(kind: FileKind, content: bytes) -> None:
    assert await refusal(kind, content) == DAMAGED


async def test_a_cross_reference_that_leads_to_itself_ends() -> None:
    empty = {1: b"<</Type/Catalog/Pages 2 0 R>>", 2: b"<</Type/Pages/Kids[]/Count 0>>"}
    assert await refusal(PDF, pdf_of(empty, b"/Prev START")) == NO_TEXT


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        (DOCX, a_docx_bomb(1_100)),
        (DOCX, a_docx_bomb(1_100, declared_bytes=1_000)),
        (DOCX, a_zip("word/document.xml", *map(str, range(10_001)))),
        (PDF, a_pdf_bomb(3_000)),
        (PDF, a_page_tree(60)),
    ],
    ids=["docx", "lying-docx", "many-parts", "pdf", "pages"],
)
async def test_a_bomb_costs_this_process_nothing(kind: FileKind, content: bytes) -> None:
    before = _most_kibibytes(resource.RUSAGE_SELF)
    assert await refusal(kind, content) == TOO_LARGE
    assert _most_kibibytes(resource.RUSAGE_SELF) - before < 20 * 1024
    assert _most_kibibytes(resource.RUSAGE_CHILDREN) < 768 * 1024


def _most_kibibytes(who: int) -> int:
    most = resource.getrusage(who).ru_maxrss
    return most // 1024 if sys.platform == "darwin" else most


async def test_entities_are_not_expanded() -> None:
    laughs = '<!ENTITY a "lol">' + "".join(
        f'<!ENTITY {name} "{f"&{before};" * 10}">'
        for before, name in zip("abcdefghi", "bcdefghij", strict=True)
    )
    body = "<w:p><w:r><w:t>ha&j;</w:t></w:r></w:p>"
    assert await refusal(DOCX, a_docx_of(body, f"<!DOCTYPE x [{laughs}]>")) == DAMAGED


async def test_nothing_outside_of_a_document_is_read(tmp_path: Path) -> None:
    outside = tmp_path / "outside.txt"
    outside.write_text("a secret")
    before = f'<!DOCTYPE x [<!ENTITY secret SYSTEM "{outside.as_uri()}">]>'
    body = "<w:p><w:r><w:t>this: &secret;</w:t></w:r></w:p>"
    assert await read(DOCX, a_docx_of(body, before)) == "this: "
