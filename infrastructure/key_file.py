"""The keys that the embedded mode makes for itself: random bytes in base64, a file each."""

import base64
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from secrets import token_bytes, token_hex
from typing import Final

from domain.secret import Secret
from infrastructure.key_ring import KEY_BYTES, BadEncryptionKeys, parse_keys
from infrastructure.regular_file import open_regular_file

MOST_BYTES: Final = 64 * 1024
"""That are read: more are no keys."""


def read_key_file(path: Path) -> Sequence[bytes] | None:
    """None if there is no such file. Raises BadEncryptionKeys."""
    text = _read(path)
    return None if text is None else parse_keys(text, str(path))


def read_secret_file(path: Path) -> Secret | None:
    """The text of such a file, as a person might copy it to elsewhere. Raises BadEncryptionKeys
    also if it is no key: half a file is no secret."""
    text = _read(path)
    if text is None:
        return None
    parse_keys(text, str(path))
    return Secret(text.strip())


def _read(path: Path) -> str | None:
    try:
        with open_regular_file(path) as file:
            return file.read(MOST_BYTES).decode("ascii", errors="replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BadEncryptionKeys(f"{path} can't be read: {error.strerror}") from error


def make_key_file(path: Path) -> None:
    """Nobody but the user of this process may read it. If a file is there it stays as it is, so
    that processes which start at once agree on one key. Raises BadEncryptionKeys."""
    fresh = path.with_name(f"{path.name}.{token_hex(8)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            _write(fresh, base64.b64encode(token_bytes(KEY_BYTES)) + b"\n")
            # Whole or not at all, even if the power fails; unlike a rename it replaces nothing.
            with suppress(FileExistsError):
                os.link(fresh, path)
            _sync(path.parent)
        finally:
            fresh.unlink(missing_ok=True)
    except OSError as error:
        raise BadEncryptionKeys(f"{path} can't be made: {error.strerror}") from error


def _write(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
