"""The web page: what browsers load, kept as it is sent."""

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import PurePosixPath
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

INDEX: Final = "index.html"

# What has another ending, or none, is no part of the page.
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

CONTENT_SECURITY_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "font-src 'self'",
        "manifest-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types dompurify",
    )
)

_HEADERS: Final[Mapping[str, str]] = {
    "Cache-Control": "no-cache",  # kept, but asked about each time: a new version is seen at once
    "Vary": "Accept-Encoding",
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
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
    """By their paths: of what is in the page's folder, that which may be served."""
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
class PageRoutes:
    """`/` and all that it loads. It holds nothing that is anybody's, so everybody may have it."""

    assets: Mapping[str, Asset]

    def routes(self) -> list[BaseRoute]:
        return [Route("/", self.index), Route("/page/{path:path}", self.asset)]

    async def index(self, request: Request) -> Response:
        return self._reply(INDEX, request)

    async def asset(self, request: Request) -> Response:
        return self._reply(request.path_params["path"], request)

    def _reply(self, path: str, request: Request) -> Response:
        asset = self.assets.get(path)
        if asset is None:
            raise HTTPException(404)
        gzipped = asset.gzipped if _takes_gzip(request) else None
        sent = gzipped or asset.plain
        headers = {**_HEADERS, "ETag": sent.etag}
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
