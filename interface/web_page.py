"""The web page."""

from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from interface.assets import Shelf

INDEX: Final = "index.html"

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


@dataclass(frozen=True, slots=True)
class PageRoutes:
    """`/` and all that it loads. It holds nothing that is anybody's, so everybody may have it."""

    files: Shelf

    def routes(self) -> list[BaseRoute]:
        return [Route("/", self.index), Route("/page/{path:path}", self.asset)]

    async def index(self, request: Request) -> Response:
        return self.files.reply(INDEX, request)

    async def asset(self, request: Request) -> Response:
        return self.files.reply(request.path_params["path"], request)
