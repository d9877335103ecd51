"""Users' API keys at rest: sealed with AES-256-GCM, each for its own row."""

import base64
import binascii
import hashlib
from collections.abc import Sequence
from secrets import token_bytes
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from domain.api_config import ApiConfig
from domain.errors import KeyUnreadable
from domain.identifiers import ApiId, UserId
from domain.secret import Secret

KEY_BYTES: Final = 32

_VERSION: Final = b"\x01"
_ID_BYTES: Final = 4
_HEAD_BYTES: Final = len(_VERSION) + _ID_BYTES
_NONCE_BYTES: Final = 12
"""As GCM wants it. Random, which is safe for 2^32 seals under one key (NIST SP 800-38D, 8.3)."""


class BadEncryptionKeys(Exception):
    """They can't be used; the sentence says why, and never what they are."""


class KeyRing:
    """Seals with its first key and opens with any.

    What is sealed is: a version byte, 4 bytes that tell the key, a nonce of 12, the ciphertext and
    its tag of 16. All of it is authenticated, together with the row that it belongs to.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._ciphers: Final = {_id(key): AESGCM(key) for key in keys}
        self._first: Final = _id(keys[0])

    def seal(self, secret: Secret, owner: UserId, api_id: ApiId) -> bytes:
        head = _VERSION + self._first
        nonce = token_bytes(_NONCE_BYTES)
        text = secret.reveal().encode()
        bound = _bound(head, owner, api_id)
        return head + nonce + self._ciphers[self._first].encrypt(nonce, text, bound)

    def open(self, config: ApiConfig) -> Secret | None:
        """The key of a configuration, if it has one. Raises KeyUnreadable."""
        if config.sealed_key is None:
            return None
        head, rest = config.sealed_key[:_HEAD_BYTES], config.sealed_key[_HEAD_BYTES:]
        cipher = self._ciphers.get(head.removeprefix(_VERSION))
        if cipher is None:
            raise KeyUnreadable
        nonce, sealed = rest[:_NONCE_BYTES], rest[_NONCE_BYTES:]
        try:
            text = cipher.decrypt(nonce, sealed, _bound(head, config.owner, config.id))
        except (InvalidTag, ValueError):  # ValueError: what is left of the nonce is too short
            raise KeyUnreadable from None
        return Secret(text.decode())


def parse_keys(text: str, source: str) -> Sequence[bytes]:
    """Keys with commas between them: 32 bytes each, in either alphabet of base64, with or without
    padding. Raises BadEncryptionKeys, which names the source."""
    keys = [_key(part) for part in text.split(",")]
    for number, key in enumerate(keys, 1):
        if len(key) != KEY_BYTES:
            raise BadEncryptionKeys(f"{source}: key {number} is not {KEY_BYTES} bytes in base64")
    return keys


def _key(text: str) -> bytes:
    text = text.strip().rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):  # ValueError: not ASCII
        return b""


def _id(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()[:_ID_BYTES]


def _bound(head: bytes, owner: UserId, api_id: ApiId) -> bytes:
    """What a seal is valid for: it can't be moved to another user or row, nor be relabelled."""
    return head + f"user_apis:{owner}:{api_id}".encode()
