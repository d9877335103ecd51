"""Where a model's server is."""

import re
from ipaddress import AddressValueError, IPv6Address
from typing import Final

MAX_BASE_URL_CHARACTERS: Final = 2_000

_MAX_PORT: Final = 65_535
_LABEL: Final = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_SITE: Final = re.compile(
    rf"https?://(?:{_LABEL}(?:\.{_LABEL})*\.?|\[(?P<ipv6>[0-9a-f:.]+)\])(?::(?P<port>[1-9][0-9]{{0,4}}))?",
    re.ASCII,
)
_PATH: Final = re.compile(r"(?:/[!-~]*)?", re.ASCII)


def clean_base_url(text: str) -> str:
    """The address in the form in which equal ones are equal: trimmed, its scheme and host in small
    letters, without a slash at the end.

    Raises ValueError, whose sentence does not repeat the text: it may hold what is secret.
    """
    text = text.strip()
    if len(text) > MAX_BASE_URL_CHARACTERS:
        raise ValueError(f"must not be longer than {MAX_BASE_URL_CHARACTERS:,} characters")
    scheme, slashes, rest = text.partition("://")
    host, slash, path = rest.partition("/")
    site = f"{scheme}{slashes}{host}".lower()
    path = slash + path
    if "@" in host:
        raise ValueError("must not hold a user or a password")
    if set("?#") & set(rest):
        raise ValueError("must not have a query or a fragment")
    found = _SITE.fullmatch(site)
    if found is None or not (text.isascii() and _PATH.fullmatch(path)) or "\\" in path:
        raise ValueError("must be an http or https address: a host, perhaps a port and a path")
    if found["port"] is not None and int(found["port"]) > _MAX_PORT:
        raise ValueError(f"must have a port from 1 to {_MAX_PORT}")
    if found["ipv6"] is not None and not _is_ipv6(found["ipv6"]):
        raise ValueError("must have a valid IPv6 address")
    return (site + path).rstrip("/")


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except AddressValueError:
        return False
    return True
