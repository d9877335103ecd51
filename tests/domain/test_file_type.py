import pytest

from domain.errors import UnsupportedFileType
from domain.file_type import HEAD_BYTES, FileKind, recognise

ZIP = b"PK\x03\x04" + bytes(26)
PDF = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"


@pytest.mark.parametrize(
    ("name", "head", "media_type"),
    [
        ("a.py", b"print('hi')\n", "text/x-python"),
        ("A.PY", b"print('hi')\n", "text/x-python"),
        ("notes.txt", "你好，世界".encode("gbk"), "text/plain"),
        ("notes.txt", "こんにちは".encode("iso-2022-jp"), "text/plain"),
        ("notes.txt", "grüße".encode("latin-1"), "text/plain"),
        ("notes.txt", "hello".encode("utf-16"), "text/plain"),
        ("notes.txt", "hello, wide world".encode("utf-16-le"), "text/plain"),
        ("notes.txt", "hello, wide world".encode("utf-32-be"), "text/plain"),
        ("Makefile", b"all:\n\techo\n", "text/plain"),
        (".env", b"A=1\n", "text/plain"),
        ("a.unknown", b"words", "text/plain"),
        ("page.html", b"<script>", "text/html"),
        ("empty.txt", b"", "text/plain"),
    ],
)
def test_what_reads_as_text_is_text(name: str, head: bytes, media_type: str) -> None:
    type_ = recognise(name, head)
    assert (type_.kind, type_.media_type) == (FileKind.TEXT, media_type)


def test_documents_are_known_by_content_and_name() -> None:
    assert recognise("a.PDF", PDF).kind is FileKind.PDF
    assert recognise("a.pdf", b"\n" * 100 + PDF).kind is FileKind.PDF
    assert recognise("a.docx", ZIP).kind is FileKind.DOCX


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("a.txt", PDF),
        ("a.pdf", b"only text"),
        ("a.docx", b"only text"),
        ("a.docx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(100)),  # an encrypted or old one
        ("a.txt", ZIP),
        ("a.zip", ZIP),
        ("a.txt", b"\x89PNG\r\n\x1a\n" + bytes(100)),
        ("a.png", b"only text"),
        ("a.exe", b"only text"),
        ("a.txt", b"\x7fELF\x02\x01\x01"),
        ("a.txt", b"MZ\x90\x00" + bytes(60)),
        ("a.txt", b"text and then \x00\x01\x02\x03"),
        ("a.txt", bytes(HEAD_BYTES)),
        ("a.txt", b"a bell \x07 rings"),
        ("a.py", bytes(range(256)) * 16),
        ("a.pdf", b""),
    ],
)
def test_what_is_not_what_it_says_or_nothing_to_read_is_refused(name: str, head: bytes) -> None:
    with pytest.raises(UnsupportedFileType):
        recognise(name, head)
