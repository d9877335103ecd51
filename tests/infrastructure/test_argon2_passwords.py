import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Literal

import argon2
import pytest
from argon2 import Type, extract_parameters

from domain.errors import Overloaded
from domain.secret import Secret
from infrastructure.argon2_passwords import Argon2Passwords

PASSWORD = Secret("correct horse")


@dataclass
class HeldHasher(argon2.PasswordHasher):
    """Begins, and goes on only when it is let."""

    let: threading.Event = field(default_factory=threading.Event)
    began: "list[int]" = field(default_factory=list)
    running: int = 0
    most_running: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    seen: Callable[[], None] = lambda: None

    def __post_init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)

    def hash(self, password: str | bytes, *, salt: bytes | None = None) -> str:
        with self.lock:
            self.began.append(threading.get_ident())
            self.running += 1
            self.most_running = max(self.running, self.most_running)
        self.seen()
        self.let.wait()
        with self.lock:
            self.running -= 1
        return super().hash(password, salt=salt)


@pytest.fixture
async def held() -> AsyncIterator[HeldHasher]:
    made = HeldHasher()
    yield made
    made.let.set()


def watched(held: HeldHasher, count: int) -> asyncio.Event:
    """Set once so many hashes have begun."""
    loop, begun = asyncio.get_running_loop(), asyncio.Event()

    def seen() -> None:
        if len(held.began) >= count:
            loop.call_soon_threadsafe(begun.set)

    held.seen = seen
    return begun


async def test_a_hash_is_argon2id_with_the_parameters_of_the_library() -> None:
    passwords = Argon2Passwords()
    hashed = await passwords.hash(PASSWORD)
    assert extract_parameters(hashed) == argon2.profiles.RFC_9106_LOW_MEMORY
    assert await passwords.matches(PASSWORD, hashed)
    passwords.close()


async def test_nobodys_hash_costs_what_any_other_costs() -> None:
    """A hash of the same parameters is computed for it: what else takes time is the same."""
    seen: list[str] = []

    class Noting(argon2.PasswordHasher):
        def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:  # noqa: A002
            seen.append(hash if isinstance(hash, str) else hash.decode())
            return super().verify(hash, password)

    passwords = Argon2Passwords(Noting())
    assert not await passwords.matches(PASSWORD, None)
    (verified,) = seen
    assert extract_parameters(verified) == extract_parameters(await passwords.hash(PASSWORD))
    assert extract_parameters(verified).type is Type.ID
    passwords.close()


async def test_the_loop_goes_on_while_a_password_is_hashed(held: HeldHasher) -> None:
    passwords = Argon2Passwords(held)
    begun = watched(held, 1)
    hashing = asyncio.create_task(passwords.hash(PASSWORD))
    await begun.wait()
    assert not hashing.done()
    assert held.began != [threading.get_ident()]
    held.let.set()
    assert await passwords.matches(PASSWORD, await hashing)
    passwords.close()


async def test_few_are_hashed_at_once_few_wait_and_the_rest_is_refused(held: HeldHasher) -> None:
    passwords = Argon2Passwords(held, at_once=2, waiting=3)
    begun = watched(held, 2)
    hashing = [asyncio.create_task(passwords.hash(PASSWORD)) for _ in range(5)]
    await begun.wait()
    with pytest.raises(Overloaded):
        await passwords.hash(PASSWORD)
    with pytest.raises(Overloaded):
        await passwords.matches(PASSWORD, None)
    assert held.running == 2
    held.let.set()
    assert len(set(await asyncio.gather(*hashing))) == 5
    assert held.most_running == 2
    assert await passwords.hash(PASSWORD)
    passwords.close()


async def test_whoever_leaves_makes_place_only_when_nothing_is_hashed_for_them(
    held: HeldHasher,
) -> None:
    passwords = Argon2Passwords(held, at_once=1, waiting=1)
    begun = watched(held, 1)
    first = asyncio.create_task(passwords.hash(PASSWORD))
    await begun.wait()
    second = asyncio.create_task(passwords.hash(PASSWORD))
    await asyncio.sleep(0)
    for task in (first, second):
        task.cancel()
    await asyncio.wait((first, second))
    third = asyncio.create_task(passwords.hash(PASSWORD))
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await passwords.hash(PASSWORD)
    held.let.set()
    assert await third
    assert len(held.began) == 2
    passwords.close()


async def test_a_hash_that_is_none_matches_nothing() -> None:
    passwords = Argon2Passwords(argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    for hashed in ("!", "$argon2id$v=19$broken", "$2b$12$abcdefghijklmnopqrstuv"):
        assert not await passwords.matches(PASSWORD, hashed)
    passwords.close()
