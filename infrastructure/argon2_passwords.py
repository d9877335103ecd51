"""Passwords, hashed by argon2id with the library's own parameters: RFC 9106, little memory."""

import asyncio
import base64
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from domain.errors import Overloaded
from domain.secret import Secret

T = TypeVar("T")

_AT_ONCE: Final = 2
"""A hash takes 64 MiB, and a core for some 200 ms; the loop and the streams need theirs."""
_WAITING: Final = 32
"""A few seconds' worth."""


class Argon2Passwords:
    """Hashes in threads of its own, off the loop."""

    def __init__(
        self,
        hasher: PasswordHasher | None = None,
        at_once: int = _AT_ONCE,
        waiting: int = _WAITING,
    ) -> None:
        self._hasher: Final = hasher or PasswordHasher()
        self._most: Final = at_once + waiting
        self._threads: Final = ThreadPoolExecutor(at_once, thread_name_prefix="argon2")
        self._hashing: set[Future[object]] = set()
        self._nobodys: Final = _never_matching(self._hasher)

    async def hash(self, password: Secret) -> str:
        return await self._in_thread(lambda: self._hasher.hash(password.reveal()))

    async def matches(self, password: Secret, hashed: str | None) -> bool:
        return await self._in_thread(lambda: self._verify(hashed or self._nobodys, password))

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _verify(self, hashed: str, password: Secret) -> bool:
        try:
            return self._hasher.verify(hashed, password.reveal())
        except (VerificationError, InvalidHashError):  # the latter if an operator locked it
            return False

    async def _in_thread(self, work: Callable[[], T]) -> T:
        # What its caller has left is still being hashed, and counts until it is not.
        self._hashing = {each for each in self._hashing if not each.done()}
        if len(self._hashing) >= self._most:
            raise Overloaded
        future = self._threads.submit(work)
        self._hashing.add(future)  # type: ignore[arg-type]  # a Future only gives what it is of
        return await asyncio.wrap_future(future)


def _never_matching(hasher: PasswordHasher) -> str:
    """As a hash of this hasher looks, but made of nothing: to check a password against it costs
    what it costs against any other."""
    costs = f"m={hasher.memory_cost},t={hasher.time_cost},p={hasher.parallelism}"
    salt, digest = _base64(os.urandom(hasher.salt_len)), _base64(os.urandom(hasher.hash_len))
    return f"$argon2id$v=19${costs}${salt}${digest}"


def _base64(data: bytes) -> str:
    return base64.b64encode(data).rstrip(b"=").decode("ascii")
