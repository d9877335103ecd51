"""Where a request comes from, as browsers say it and as no page can make them say otherwise."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final

from starlette.requests import HTTPConnection

from domain.errors import ChatError

ANY_ORIGIN: Final = "*"

_PORTS: Final[Mapping[str, int]] = {"http": 80, "https": 443}
_OWN_SITES: Final = frozenset({"same-origin", "none"})
# A name or an address, and perhaps a port: whatever browsers make of what was typed, and no more.
_AUTHORITY: Final = re.compile(r"([^\s\[\]@:/?#\\,%]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?", re.ASCII)

Authority = tuple[str, int]


class ForeignOrigin(ChatError):
    """A page of another site asks, with what the browser of its visitor has."""

    code = "foreign_origin"

    def __init__(self) -> None:
        super().__init__("A page of another site may not do this.")


class ForeignHost(ChatError):
    """The browser was led here by a name that is not ours: of a site whose page it has loaded, and
    which has made its name point here since (DNS rebinding)."""

    code = "foreign_host"

    def __init__(self) -> None:
        super().__init__("This server has no such name. Ask it as localhost, or by its address.")


@dataclass(frozen=True, slots=True)
class Origins:
    """Whose pages may ask beside our own, as `clean_origin` writes them, or ANY_ORIGIN; and what
    the server is `called` where only this machine can reach it and nobody is asked who they are:
    it must be asked by that name then, or another that no site can have: by its address, or in one
    word, such as `localhost`. None: by any."""

    allowed: frozenset[str] = frozenset()
    called: str | None = None

    def refuse_foreign_page(self, connection: HTTPConnection) -> None:
        """Raises ForeignOrigin."""
        said = _said(connection, "origin")
        if not said or not all(self._allows(origin) for origin in said):
            refuse_foreign(connection)

    def refuse_foreign_host(self, connection: HTTPConnection) -> None:
        """Raises ForeignHost. Browsers always name one; who names none is an old program."""
        if self.called is not None:
            for host in _said(connection, "host"):
                if not self._is_ours(host):
                    raise ForeignHost

    def _allows(self, origin: str) -> bool:
        return ANY_ORIGIN in self.allowed or origin in self.allowed

    def _is_ours(self, host: str) -> bool:
        authority = _authority(host, "http")
        if authority is None:
            return False
        name = authority[0].removesuffix(".")
        if "." not in name:  # of the network here, if of any: none of a site is that short
            return True
        friends = map(_authority_of, self.allowed)
        return (
            name == self.called
            or name.endswith(".localhost")
            or _is_address(name)
            or any(friend is not None and friend[0] == authority[0] for friend in friends)
        )


def refuse_foreign(connection: HTTPConnection) -> None:
    """Raises ForeignOrigin, also for pages that are allowed elsewhere. Who is no browser says
    nothing of an origin, and is let pass. The host and its port must be this one's, not the scheme:
    TLS may end at a proxy."""
    said, sites = _said(connection, "origin"), _said(connection, "sec-fetch-site")
    # At a WebSocket each browser says its origin, and to some ws:// is another site than http://.
    told_enough = connection.scope["type"] == "websocket" and said
    if not told_enough and any(site not in _OWN_SITES for site in sites):
        raise ForeignOrigin
    if any(not _is_own(origin, _said(connection, "host")) for origin in said):
        raise ForeignOrigin


def is_own_page(connection: HTTPConnection) -> bool:
    """Or no browser."""
    try:
        refuse_foreign(connection)
    except ForeignOrigin:
        return False
    return True


def came_by_https(connection: HTTPConnection) -> bool:
    """To us, or to a proxy before us: it may say so, and the browser does."""
    forwarded = connection.headers.get("x-forwarded-proto", "").split(",")[0].strip().lower()
    origin = connection.headers.get("origin", "").lower()
    return "https" in (connection.url.scheme, forwarded) or origin.startswith("https://")


def clean_origin(text: str) -> str:
    """As browsers write it. Raises ValueError."""
    origin = text.strip().lower()
    authority = _authority_of(origin)
    if authority is None or "*" in origin or not origin.isascii():
        raise ValueError("is no origin")
    scheme, (host, port) = origin.partition(":")[0], authority
    if host.startswith("["):
        try:
            host = f"[{IPv6Address(host[1:-1])}]"
        except AddressValueError:
            raise ValueError("is no origin") from None
    return f"{scheme}://{host}" if port == _PORTS[scheme] else f"{scheme}://{host}:{port}"


def _said(connection: HTTPConnection, name: str) -> list[str]:
    """Blanks around what is said belong to no field (RFC 9110, 5.5); not each server takes them
    away."""
    return [said.strip(" \t") for said in connection.headers.getlist(name)]


def _is_own(origin: str, hosts: list[str]) -> bool:
    """`null` is that of whom nobody should know, and nobody's own."""
    authority, scheme = _authority_of(origin), origin.partition(":")[0]
    return authority is not None and [authority] == [_authority(host, scheme) for host in hosts]


def _authority_of(origin: str) -> Authority | None:
    scheme, _, rest = origin.partition("://")
    return _authority(rest, scheme) if scheme in _PORTS else None


def _authority(text: str, scheme: str) -> Authority | None:
    """Host and port; None if it is none."""
    found = _AUTHORITY.fullmatch(text.lower())
    if found is None:
        return None
    port = int(found[2] or _PORTS[scheme])
    return (found[1], port) if 0 < port < 2**16 else None


def _is_address(name: str) -> bool:
    try:
        IPv6Address(name[1:-1]) if name.startswith("[") else IPv4Address(name)
    except AddressValueError:
        return False
    return True
