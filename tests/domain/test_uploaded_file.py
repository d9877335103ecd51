import pytest

from domain.errors import (
    FileTooLarge,
    InvalidInput,
    StorageQuotaExceeded,
    TooManyFiles,
)
from domain.uploaded_file import FileLimits, HeldFiles, clean_file_name


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("report.pdf", "report.pdf"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\ada\\notes.txt", "notes.txt"),
        ("/etc/shadow", "shadow"),
        ("..\\..\\boot.ini", "boot.ini"),
        (".env", ".env"),
        (" 报告 终稿.txt ", "报告 终稿.txt"),
        ("cafe\u0301.md", "caf\u00e9.md"),
        ("txt.\u202egnp.exe", "txt.gnp.exe"),
        ("a\u200f\u2066b.py", "ab.py"),
        ("a\r\nSet-Cookie: x.py", "aSet-Cookie: x.py"),
        ("a\x1b[31m.py", "a[31m.py"),
        ("half \ud83d.py", "half .py"),
        ("x" * 255, "x" * 255),
        ('"quoted"; name=x.txt', '"quoted"; name=x.txt'),
    ],
)
def test_a_name_is_kept_without_folders_and_without_what_is_not_seen(given: str, name: str) -> None:
    assert clean_file_name(given) == name


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("", "no name"),
        ("..", "no name"),
        ("a/", "no name"),
        ("\u202e\u202e", "no name"),
        ("a\x00.py", "NUL"),
        ("x" * 256, "longer than 255"),
        ("x" * 4_096, "longer than 255"),
        ("报" * 4_096, "longer than 255"),
    ],
)
def test_a_name_that_can_not_be_kept_is_refused_in_words(given: str, why: str) -> None:
    with pytest.raises(InvalidInput, match=why) as refused:
        clean_file_name(given)
    assert [flaw.pointer for flaw in refused.value.flaws] == ["/file"]


LIMITS = FileLimits(file_bytes=1_000, files_of_session=3, bytes_of_user=2_500)


def test_a_file_may_be_as_large_as_the_limit() -> None:
    LIMITS.expect_size(1_000)
    with pytest.raises(FileTooLarge, match="1,000 bytes"):
        LIMITS.expect_size(1_001)


def test_there_is_room_up_to_the_limits() -> None:
    LIMITS.expect_room(HeldFiles(in_session=2, bytes_of_owner=1_500), 1_000)
    with pytest.raises(TooManyFiles, match="3 files"):
        LIMITS.expect_room(HeldFiles(in_session=3, bytes_of_owner=0), 0)
    with pytest.raises(StorageQuotaExceeded, match="2,500 bytes"):
        LIMITS.expect_room(HeldFiles(in_session=0, bytes_of_owner=1_501), 1_000)
