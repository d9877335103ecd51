"""What kind of file somebody has sent."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from domain.errors import UnsupportedFileType

HEAD_BYTES: Final = 4096
"""What of a file's beginning is looked at to recognise it."""


class FileKind(Enum):
    """By which way its text is read."""

    TEXT = "text"
    PDF = "pdf"
    DOCX = "docx"


@dataclass(frozen=True, slots=True)
class FileType:
    kind: FileKind
    media_type: str


_PDF: Final = "application/pdf"
_DOCX: Final = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
_TEXT_TYPES: Final[Mapping[str, str]] = {
    "c": "text/x-c",
    "cc": "text/x-c++",
    "cpp": "text/x-c++",
    "css": "text/css",
    "csv": "text/csv",
    "go": "text/x-go",
    "h": "text/x-c",
    "htm": "text/html",
    "html": "text/html",
    "java": "text/x-java",
    "js": "text/javascript",
    "json": "application/json",
    "jsonl": "application/jsonl",
    "kt": "text/x-kotlin",
    "log": "text/plain",
    "markdown": "text/markdown",
    "md": "text/markdown",
    "mjs": "text/javascript",
    "php": "text/x-php",
    "py": "text/x-python",
    "rb": "text/x-ruby",
    "rs": "text/x-rust",
    "rst": "text/x-rst",
    "rtf": "application/rtf",
    "sh": "text/x-shellscript",
    "sql": "application/sql",
    "srt": "application/x-subrip",
    "svg": "image/svg+xml",
    "tex": "text/x-tex",
    "toml": "application/toml",
    "ts": "text/x-typescript",
    "tsv": "text/tab-separated-values",
    "tsx": "text/x-typescript",
    "txt": "text/plain",
    "xml": "application/xml",
    "yaml": "application/yaml",
    "yml": "application/yaml",
}
"""By extension. Any other text is `text/plain`."""
_NO_TEXT: Final = frozenset({
    "7z", "aac", "avi", "bin", "bmp", "bz2", "class", "db", "dll", "doc", "dylib", "exe",
    "flac", "gif", "gz", "heic", "ico", "iso", "jar", "jpeg", "jpg", "m4a", "mkv", "mov",
    "mp3", "mp4", "o", "odp", "ods", "odt", "ogg", "otf", "png", "ppt", "pptx", "pyc", "rar",
    "so", "sqlite", "tar", "tgz", "tif", "tiff", "ttf", "wasm", "wav", "webm", "webp", "woff",
    "woff2", "xls", "xlsx", "xz", "zip", "zst",
})  # fmt: skip
"""Extensions of what is never text: a text under such a name is not what it says."""
_TEXT_MARKS: Final = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
"""Byte order marks; that of UTF-32 begins with one of them."""
_MAGIC: Final = (
    b"\x7fELF", b"MZ\x90", b"\x89PNG", b"GIF8", b"\xff\xd8\xff", b"PK\x03\x04", b"PK\x05\x06",
    b"\x1f\x8b", b"BZh", b"7z\xbc\xaf", b"Rar!", b"\xd0\xcf\x11\xe0", b"SQLite format 3\x00",
    b"OggS", b"ID3", b"RIFF", b"\xca\xfe\xba\xbe", b"\x00asm", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd",
)  # fmt: skip
_CONTROLS: Final = bytes(set(range(32)) - set(b"\t\n\r\f\b\x1b\x1a"))


def recognise(name: str, head: bytes) -> FileType:
    """The type by content and extension, which must agree; what the sender says of it counts
    nothing. `head` is the beginning of the content, HEAD_BYTES if there are so many.

    Raises UnsupportedFileType.
    """
    stem, dot, extension = name.rpartition(".")
    extension = extension.lower() if dot and stem else ""
    if b"%PDF-" in head[:1024]:
        if extension == "pdf":
            return FileType(FileKind.PDF, _PDF)
        raise UnsupportedFileType("This is a PDF by its content, but not by its name.")
    if head.startswith(b"PK\x03\x04") and extension == "docx":
        return FileType(FileKind.DOCX, _DOCX)
    if extension in ("pdf", "docx"):
        raise UnsupportedFileType(f"The content is not that of a .{extension} file.")
    if extension in _NO_TEXT or not _may_be_text(head):
        raise UnsupportedFileType("Only text and source files, PDF and DOCX can be read.")
    return FileType(FileKind.TEXT, _TEXT_TYPES.get(extension, "text/plain"))


def _may_be_text(head: bytes) -> bool:
    if head.startswith(_TEXT_MARKS):
        return True
    if head.startswith(_MAGIC):
        return False
    if (
        b"\x00" in head
    ):  # UTF-16 or UTF-32 without a mark: every second byte, or most, of Latin text
        return _is_wide(head)
    return not head.translate(None, bytes(set(range(256)) - set(_CONTROLS)))


def _is_wide(head: bytes) -> bool:
    even, odd = head[::2].count(0), head[1::2].count(0)
    half = max(1, len(head) // 2)
    return max(even, odd) / half > 0.4 and abs(even - odd) / half > 0.3
