"""Files that browsers load, kept in memory as they are sent."""

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import PurePosixPath
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

# What has another ending, or none, is no part of a page.
MEDIA_TYPES: Final[Mapping[str, str]] = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".md": "text/markdown; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}

_HEADERS: Final[Mapping[str, str]] = {
    "Cache-Control": "no-cache",  # kept, but asked about each time: a new version is seen at once
    "Vary": "Accept-Encoding",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": (
        "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True, slots=True)
class Encoded:
    """An asset as it is sent in one encoding, and the ETag of exactly these bytes."""

    content: bytes
    etag: str


@dataclass(frozen=True, slots=True)
class Asset:
    """`gzipped` only if that is smaller."""

    media_type: str
    plain: Encoded
    gzipped: Encoded | None


def assets_of(files: Mapping[str, bytes]) -> Mapping[str, Asset]:
    """By their paths: of what is in a page's folder, that which may be served."""
    paths = ((PurePosixPath(name), content) for name, content in files.items())
    return {
        str(path): _asset(MEDIA_TYPES[path.suffix], content)
        for path, content in paths
        if path.suffix in MEDIA_TYPES and not any(part.startswith(".") for part in path.parts)
    }


def _asset(media_type: str, content: bytes) -> Asset:
    # Without a time, so that each process has the same bytes.
    smaller = gzip.compress(content, compresslevel=9, mtime=0)
    gzipped = _encoded(smaller) if len(smaller) < len(content) else None
    return Asset(media_type, _encoded(content), gzipped)


def _encoded(content: bytes) -> Encoded:
    return Encoded(content, f'"{sha256(content).hexdigest()[:32]}"')


@dataclass(frozen=True, slots=True)
class Shelf:
    """Assets by their paths, and the Content-Security-Policy of all of them."""

    assets: Mapping[str, Asset]
    policy: str

    def reply(self, path: str, request: Request) -> Response:
        """Raises HTTPException for what is not there."""
        asset = self.assets.get(path)
        if asset is None:
            raise HTTPException(404)
        gzipped = asset.gzipped if _takes_gzip(request) else None
        sent = gzipped or asset.plain
        headers = {**_HEADERS, "Content-Security-Policy": self.policy, "ETag": sent.etag}
        if _has(sent.etag, request):
            return Response(status_code=304, headers=headers)
        headers["Content-Type"] = asset.media_type
        if gzipped is not None:
            headers["Content-Encoding"] = "gzip"
        return Response(sent.content, headers=headers)


def _takes_gzip(request: Request) -> bool:
    """RFC 9110, 12.5.3. What is named goes before `*`; a weight of 0 is a no."""
    weights: dict[str, float] = {}
    for part in ",".join(request.headers.getlist("accept-encoding")).split(","):
        coding, _, parameter = part.partition(";")
        name, _, weight = parameter.partition("=")
        try:
            said = float(weight) if name.strip().lower() == "q" else 1.0
        except ValueError:
            said = 0.0
        weights[coding.strip().lower()] = said
    return weights.get("gzip", weights.get("*", 0.0)) > 0


def _has(etag: str, request: Request) -> bool:
    """Whether the client has it already. RFC 9110, 13.1.2: compared weakly, as a proxy on the way
    may have made a weak one of it."""
    said = ",".join(request.headers.getlist("if-none-match")).split(",")
    return any(each.strip().removeprefix("W/") in (etag, "*") for each in said)
