"""`/metrics`, for whoever watches over this process, and not for the public."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

Scrape = Callable[[], Awaitable[tuple[bytes, str]]]
"""What is measured now, as text, and its content type."""


async def measure_nothing() -> tuple[bytes, str]:
    return b"", "text/plain"


_OF_PROXIES: Final = (
    "cf-connecting-ip",
    "fly-client-ip",
    "forwarded",
    "true-client-ip",
    "via",
    "x-client-ip",
    "x-envoy-external-address",
    "x-forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-forwarded-server",
    "x-real-ip",
)


@dataclass(frozen=True, slots=True)
class MetricsRoutes:
    """Nobody is asked who they are. But who comes through a proxy comes from outside, and there is
    nothing here for them, whatever the proxy lets through."""

    scrape: Scrape

    def routes(self) -> list[BaseRoute]:
        return [Route("/metrics", self.read)]

    async def read(self, request: Request) -> Response:
        if any(name in request.headers for name in _OF_PROXIES):
            raise HTTPException(404)
        text, content_type = await self.scrape()
        headers = {"Content-Type": content_type, "Cache-Control": "no-store"}
        return Response(text, headers=headers)
