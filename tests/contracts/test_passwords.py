"""What every hasher of passwords promises."""

import pytest

from application.ports import PasswordHasher
from domain.secret import Secret

PASSWORD = Secret("correct horse battery staple")


async def test_a_password_matches_its_hash_and_no_other_does(passwords: PasswordHasher) -> None:
    hashed = await passwords.hash(PASSWORD)
    assert await passwords.matches(PASSWORD, hashed)
    for other in ("", "correct horse", f"{PASSWORD.reveal()} ", PASSWORD.reveal().upper()):
        assert not await passwords.matches(Secret(other), hashed)


async def test_a_hash_tells_nothing_of_its_password(passwords: PasswordHasher) -> None:
    one, two = await passwords.hash(PASSWORD), await passwords.hash(PASSWORD)
    assert one != two
    for hashed in (one, two):
        assert "horse" not in hashed
        assert await passwords.matches(PASSWORD, hashed)


@pytest.mark.parametrize(
    "password", ["", "p\u00e5ssw\u00f6rd", "nul\x00byte", "p" * 128, "\U0001f419" * 128]
)
async def test_a_password_may_be_of_any_characters(
    passwords: PasswordHasher, password: str
) -> None:
    hashed = await passwords.hash(Secret(password))
    assert await passwords.matches(Secret(password), hashed)
    assert not await passwords.matches(Secret(password + "x"), hashed)


async def test_nobodys_hash_matches_nothing(passwords: PasswordHasher) -> None:
    for password in (PASSWORD, Secret("")):
        assert not await passwords.matches(password, None)
