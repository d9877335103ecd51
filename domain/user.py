from dataclasses import dataclass
from datetime import datetime
from typing import Final
from unicodedata import normalize

from domain.errors import Flaw, InvalidInput
from domain.identifiers import UserId
from domain.secret import Secret

LOCAL_USERNAME: Final = "local"
"""Who everybody is in open mode. Nobody can register it."""

USERNAME_CHARACTERS: Final = range(3, 51)
PASSWORD_CHARACTERS: Final = range(8, 129)

NAME_CHARACTERS: Final = range(1, 51)
"""Of the name by which a request says who is asking."""

_GUEST: Final = "guest "
"""What guests' usernames begin with. Nobody can register it: it has a space."""

GUEST_CHARACTERS: Final = range(1, USERNAME_CHARACTERS.stop - len(_GUEST))

_LONGEST_FORM: Final = 4
"""Characters that NFC may make one of. More is not even normalized: that takes time by the square
of the length."""


@dataclass(frozen=True, slots=True)
class User:
    id: UserId
    username: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Credentials:
    """A username and a password, in the form in which equal ones are equal."""

    username: str
    password: Secret


def clean_credentials(username: str, password: Secret) -> Credentials:
    """In NFC, because keyboards differ in how they write the same letter.

    Raises InvalidInput, whose sentences repeat neither of the two.
    """
    name, word = _nfc(username, USERNAME_CHARACTERS), _nfc(password.reveal(), PASSWORD_CHARACTERS)
    flaws = []
    if name is None:
        flaws.append(Flaw("/username", f"username must be {_as_text(USERNAME_CHARACTERS)}."))
    elif not name.isprintable() or " " in name:
        flaws.append(Flaw("/username", "username must be visible characters without spaces."))
    if word is None:
        flaws.append(Flaw("/password", f"password must be {_as_text(PASSWORD_CHARACTERS)}."))
    if name is None or word is None or flaws:
        raise InvalidInput(*flaws)
    return Credentials(name, Secret(word))


def clean_name(name: str) -> str:
    """As it is compared with usernames. Raises InvalidInput."""
    return _clean(name, NAME_CHARACTERS)


def guest_username(name: str) -> str:
    """The username of the guest who is called so. Whatever the name, nobody can register it, and it
    is not LOCAL_USERNAME. Raises InvalidInput."""
    return _GUEST + _clean(name, GUEST_CHARACTERS)


def _clean(name: str, characters: range) -> str:
    cleaned = _nfc(name, characters)
    if cleaned is None or not cleaned.isprintable() or cleaned != cleaned.strip():
        raise InvalidInput(
            Flaw(
                "/user_id",
                f"user_id must be {_as_text(characters)}, none of them a control character, and"
                " no space at either end.",
            )
        )
    return cleaned


def _nfc(text: str, characters: range) -> str | None:
    """None if it is not so many characters, or no text at all: half of a surrogate pair."""
    if len(text) >= characters.stop * _LONGEST_FORM:
        return None
    if any("\ud800" <= character <= "\udfff" for character in text):
        return None
    normal = normalize("NFC", text)
    return normal if len(normal) in characters else None


def _as_text(characters: range) -> str:
    return f"{characters.start} to {characters.stop - 1} characters"
