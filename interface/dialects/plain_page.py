"""The shortest page that chats, for whoever wants to read how: one file with nothing beside it."""

import re
from base64 import b64encode
from dataclasses import dataclass
from hashlib import sha256

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route


@dataclass(frozen=True, slots=True)
class PlainPageRoutes:
    """It holds nothing that is anybody's, so everybody may have it."""

    page: bytes

    def routes(self) -> list[BaseRoute]:
        return [Route("/chat", self.show)]

    async def show(self, _: Request) -> Response:
        headers = {
            "Cache-Control": "no-cache",
            "Content-Security-Policy": _policy(self.page),
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        }
        return Response(self.page, headers=headers, media_type="text/html; charset=utf-8")


def _policy(page: bytes) -> str:
    """Its own script and style may be there, as they are, and it may ask this server."""
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {_hashes(page, b'script')}",
            f"style-src {_hashes(page, b'style')}",
            "img-src data:",
            "connect-src 'self'",
            "form-action 'none'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        )
    )


def _hashes(page: bytes, tag: bytes) -> str:
    inline = re.findall(rb"<%b>(.*?)</%b>" % (tag, tag), page, re.DOTALL)
    hashes = (b64encode(sha256(each).digest()).decode() for each in inline)
    return " ".join(f"'sha256-{each}'" for each in hashes) or "'none'"
