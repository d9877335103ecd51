"""The last net for secrets: nobody writes them into the log, but a text from elsewhere may.

It is by their looks, so it can miss one. What never tells a secret is `domain.secret.Secret`.
"""

import re
from functools import lru_cache
from typing import Final

REDACTED: Final = "[redacted]"
CUT: Final = "…"

_KEY: Final = re.compile(
    r"authori[sz]ation|passw(?:or)?d|passphrase|secret|api[-_.]?key|private[-_.]?key|credential"
    r"|cookie|ticket|encryption|token",
    re.IGNORECASE,
)
_NAMES: Final = (
    r"(?:authori[sz]ation|passw(?:or)?d|passphrase|secret(?:[-_]key)?|(?:api|private)[-_]?key"
    r"|encryption[-_]keys?|credentials?|cookie|ticket|token)"
)
# No part can be matched in two ways, and what has no end (`*+`, `++`) gives nothing back: a text
# costs time by its length.
_SECRET: Final = re.compile(
    # A name and its value: in a query or a setting, in JSON or Python, in a head of HTTP.
    rf"(?P<name>{_NAMES}(?:=(?=[^\s&])|\\?[\"'] ?[:,] ?(?-i:b)?))"
    r"(?:(?:Bearer|Basic) )?+"
    r"(?:\\\"[^\"]*+\"?|\"(?:[^\"\\]++|\\[\s\S])*+\"?|'(?:[^'\\]++|\\[\s\S])*+'?|[^\s&\"';)}\]]*+)"
    r"|(?P<field>\b(?:authorization|(?:set-)?cookie|(?:x-)?api-?key) ?: ?)[^\s][^\r\n]*+"
    # What tells by itself what it is.
    r"|\bBearer\s++[A-Za-z0-9._~+/=-]{6,}+"
    r"|(?<![a-z0-9])sk-[A-Za-z0-9_-]{6,}+"
    r"|(?-i:eyJ)[A-Za-z0-9_-]{6,}+[A-Za-z0-9._=-]*+"
    r"|(?<=://)[^\s/?#\"'<>]+(?=@)",
    re.IGNORECASE,
)
_HINTS: Final = (
    *("authori", "passw", "passphrase", "secret", "encryption", "credential"),
    *(
        "api-key",
        "api_key",
        "apikey",
        "private",
        "cookie",
        "ticket",
        "token",
        "bearer",
        "sk-",
        "eyj",
        "@",
    ),
)
"""One of them is in each of these, and in few lines: most are not searched any further."""
_MOST_OF_A_BEGINNING: Final = 64
"""A secret of which so much is there is known as one."""


@lru_cache(1024)
def is_secret(key: str) -> bool:
    """What stands behind such a key is not told."""
    return _KEY.search(key) is not None


def shown(text: str, most: int) -> str:
    """At most so many characters of it, and a mark if there were more; without its secrets."""
    if len(text) <= most:
        return _SECRET.sub(_without, text) if _may_hold_one(text) else text
    # Not half a secret either: what begins in the part that is shown is looked at beyond it. The @
    # is for the password of an address that ends further on.
    window = text[: most + _MOST_OF_A_BEGINNING] + "@"
    pieces: list[str] = []
    end = 0
    for found in _SECRET.finditer(window):
        if found.start() >= most:
            break
        pieces += window[end : found.start()], _without(found)
        end = found.end()
    pieces.append(window[end:most])
    return "".join(pieces)[:most] + CUT


def _may_hold_one(text: str) -> bool:
    lowered = text.lower()
    for hint in _HINTS:  # noqa: SIM110 - any() takes three times as long
        if hint in lowered:
            return True
    return False


def _without(found: re.Match[str]) -> str:
    return (found["name"] or found["field"] or "") + REDACTED
