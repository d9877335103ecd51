"""Where a request comes from, as browsers say it and as no page can make them say otherwise."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import SplitResult, urlsplit

from starlette.requests import HTTPConnection

from domain.errors import ChatError

_PORTS: Final[Mapping[str, int]] = {"http": 80, "https": 443}
_OWN_SITES: Final = frozenset({"same-origin", "none"})


class ForeignOrigin(ChatError):
    """A page of another site asks, with what the browser of its visitor has."""

    code = "foreign_origin"

    def __init__(self) -> None:
        super().__init__("A page of another site may not do this.")


def refuse_foreign(connection: HTTPConnection) -> None:
    """Raises ForeignOrigin. Who is no browser says nothing of an origin, and is let pass. The host
    and its port must be this one's, not the scheme: TLS may end at a proxy."""
    headers = connection.headers
    if any(site not in _OWN_SITES for site in headers.getlist("sec-fetch-site")):
        raise ForeignOrigin
    for said in headers.getlist("origin"):
        origin = _split(said)
        if origin is None or _authority(origin) != _own_authority(connection, origin.scheme):
            raise ForeignOrigin


def came_by_https(connection: HTTPConnection) -> bool:
    """To us, or to a proxy before us: it may say so, and the browser does."""
    forwarded = connection.headers.get("x-forwarded-proto", "").split(",")[0].strip().lower()
    origin = connection.headers.get("origin", "").lower()
    return "https" in (connection.url.scheme, forwarded) or origin.startswith("https://")


def _own_authority(connection: HTTPConnection, scheme: str) -> tuple[str, int] | None:
    host = _split(f"{scheme}://{connection.headers.get('host', '')}")
    return None if host is None else _authority(host)


def _split(origin: str) -> SplitResult | None:
    """None if it is none, or `null`: that of whom nobody should know."""
    try:
        split = urlsplit(origin)
        usable = split.scheme in _PORTS and split.hostname and split.port != 0
    except ValueError:
        return None
    return split if usable and origin == f"{split.scheme}://{split.netloc}" else None


def _authority(origin: SplitResult) -> tuple[str, int]:
    assert origin.hostname is not None
    return origin.hostname, origin.port or _PORTS[origin.scheme]
