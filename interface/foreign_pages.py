"""What becomes of requests that pages of other sites make their visitors' browsers send."""

import logging
from typing import Final

from starlette.middleware.cors import CORSMiddleware
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from interface.origins import ForeignHost, ForeignOrigin, Origins
from interface.problems import problem_of
from interface.replies import problem_reply
from interface.request_id import request_id_of

log = logging.getLogger(__name__)

METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
EXPOSED: Final = (
    "Location",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "X-Generation-Id",
    "X-Request-ID",
    "X-Session-Id",
)
"""What scripts of allowed pages may read of an answer's headers, beside what they always may."""
PREFLIGHT_SECONDS: Final = 600
"""How long a browser need not ask again whether it may ask."""

# What anybody may look at, led there by a link of another site: it is nobody's and does nothing.
_PUBLIC: Final = frozenset(
    {
        "/",
        "/asyncapi.json",
        "/chat",
        "/docs",
        "/favicon.ico",
        "/healthz",
        "/openapi.json",
        "/readyz",
    }
)
_PUBLIC_FOLDERS: Final = ("/docs/", "/page/")


class NoForeignPages:
    """ASGI middleware. Who asks is decided at the doors; here, whose page made them ask. That can't
    be left to the doors' methods: a GET may send a message (an EventSource has no other way), and
    in open mode an address is all it takes."""

    def __init__(self, app: ASGIApp, origins: Origins) -> None:
        self._app: Final = app
        self._origins: Final = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            connection = HTTPConnection(scope)
            try:
                self._origins.refuse_foreign_host(connection)
                if not _is_harmless(scope):
                    self._origins.refuse_foreign_page(connection)
            except (ForeignHost, ForeignOrigin) as error:
                log.info("%s: %s", error.code, _said_of_it(connection))
                shown = problem_of(error, scope["path"], request_id_of(scope))
                # A WebSocket is refused by it too, before it is one.
                await problem_reply(shown)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def open_to_pages(app: ASGIApp, origins: Origins) -> ASGIApp:
    """Lets scripts of the allowed pages read what they are answered (CORS). Cookies are no part of
    it: they send a token, if one is asked for."""
    if not origins.allowed:
        return app
    return CORSMiddleware(
        app,
        allow_origins=origins.allowed,
        allow_methods=METHODS,
        allow_headers=["*"],  # which is to say: those that are asked for
        allow_private_network=True,  # from a public page to a server on its visitor's machine
        expose_headers=EXPOSED,
        max_age=PREFLIGHT_SECONDS,
    )


def _is_harmless(scope: Scope) -> bool:
    path: str = scope["path"]
    looks = scope["type"] == "http" and scope["method"] in ("GET", "HEAD")
    return looks and (path in _PUBLIC or path.startswith(_PUBLIC_FOLDERS))


def _said_of_it(connection: HTTPConnection) -> str:
    """For an operator whose proxy passes something else on than what came."""
    named = {
        name: connection.headers.getlist(name) for name in ("host", "origin", "sec-fetch-site")
    }
    return ", ".join(f"{name} {said!r:.200}" for name, said in named.items() if said)
