"""Files that people give to a session, for the model to read."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from unicodedata import category, normalize

from domain.errors import (
    FileTooLarge,
    Flaw,
    InvalidInput,
    StorageQuotaExceeded,
    TooManyFiles,
)
from domain.identifiers import FileId, FileKey, SessionId, UserId

MAX_NAME_CHARACTERS: Final = 255


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """`name` is its owner's, and data only: it is stored under `key`. `size` is in bytes, `sha256`
    in hexadecimal. `flaw` says why its text could not be read, if that is so."""

    id: FileId
    owner: UserId
    session_id: SessionId
    key: FileKey
    name: str
    media_type: str
    size: int
    sha256: str
    flaw: str | None
    created_at: datetime

    @property
    def is_processed(self) -> bool:
        return self.flaw is None


@dataclass(frozen=True, slots=True)
class NewFile:
    """`text` is what was read of it; None with the `flaw` that kept it from being read."""

    owner: UserId
    session_id: SessionId
    key: FileKey
    name: str
    media_type: str
    size: int
    sha256: str
    text: str | None
    flaw: str | None


@dataclass(frozen=True, slots=True)
class FileText:
    """What was read of a file, or its beginning: it has so many `characters` in all. None if the
    file is deleted."""

    name: str
    text: str | None
    characters: int


@dataclass(frozen=True, slots=True)
class HeldFiles:
    """How many files a session has, and how many bytes all files of its owner."""

    in_session: int
    bytes_of_owner: int


@dataclass(frozen=True, slots=True)
class FileLimits:
    """Bytes of a file, files of a session, bytes of all files of a user."""

    file_bytes: int
    files_of_session: int
    bytes_of_user: int

    def expect_size(self, size: int) -> None:
        """Raises FileTooLarge."""
        if size > self.file_bytes:
            raise FileTooLarge(f"A file may have {self.file_bytes:,} bytes.")

    def expect_room(self, held: HeldFiles, size: int) -> None:
        """For one more file. Raises TooManyFiles, StorageQuotaExceeded."""
        if held.in_session >= self.files_of_session:
            raise TooManyFiles(
                f"A session may have {self.files_of_session:,} files; delete one first."
            )
        if held.bytes_of_owner + size > self.bytes_of_user:
            raise StorageQuotaExceeded(
                f"All your files together may have {self.bytes_of_user:,} bytes; delete some first."
            )


_BIDI: Final = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""They can make `gnp.exe` look like `exe.png`; a name is read without them too."""


def clean_file_name(text: str) -> str:
    """The name alone, without folders, and without what is not seen but changes how it looks.

    Raises InvalidInput if nothing is left, or too much: cut off it would be another name.
    """
    if "\x00" in text:
        raise InvalidInput(Flaw("/file", "The file's name contains a NUL character."))
    if len(text) > 4 * MAX_NAME_CHARACTERS:  # not even looked at
        raise _TOO_LONG
    last = text.replace("\\", "/").rpartition("/")[2]
    seen = "".join(each for each in normalize("NFC", last) if _is_shown(each)).strip()
    if len(seen) > MAX_NAME_CHARACTERS:
        raise _TOO_LONG
    if not seen.strip("."):
        raise InvalidInput(Flaw("/file", "The file has no name."))
    return seen


_TOO_LONG: Final = InvalidInput(
    Flaw("/file", f"The file's name is longer than {MAX_NAME_CHARACTERS} characters.")
)


def _is_shown(character: str) -> bool:
    return character not in _BIDI and category(character) not in ("Cc", "Cs", "Zl", "Zp")
