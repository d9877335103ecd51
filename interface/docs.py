"""What describes the product: a page to read it at and try it out, and the document of the
streams."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from interface.assets import Shelf, assets_of
from interface.asyncapi.document import asyncapi_document
from interface.wire.encoding import encode

INDEX: Final = "index.html"
ASYNCAPI: Final = "asyncapi.json"

DOCS_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",  # the icons of its style sheet
        "connect-src 'self'",
        "form-action 'none'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
DATA_POLICY: Final = "default-src 'none'; frame-ancestors 'none'"


@dataclass(frozen=True, slots=True)
class DocsRoutes:
    """Everybody may have it."""

    page: Shelf
    documents: Shelf

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/docs", self.index),
            Route("/docs/{path:path}", self.asset),
            Route(f"/{ASYNCAPI}", self.asyncapi),
        ]

    async def index(self, request: Request) -> Response:
        return self.page.reply(INDEX, request)

    async def asset(self, request: Request) -> Response:
        return self.page.reply(request.path_params["path"], request)

    async def asyncapi(self, request: Request) -> Response:
        return self.documents.reply(ASYNCAPI, request)


def docs_routes(page: Mapping[str, bytes]) -> list[BaseRoute]:
    """`page`: what `/docs` is made of, by path. The document is made here, once."""
    documents = {ASYNCAPI: encode(asyncapi_document())}
    return DocsRoutes(
        Shelf(assets_of(page), DOCS_POLICY), Shelf(assets_of(documents), DATA_POLICY)
    ).routes()
