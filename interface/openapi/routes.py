from collections.abc import Sequence
from functools import cache

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from interface.openapi.document import Key, document_of, keys_of
from interface.wire.encoding import encode


def openapi_routes(routes: Sequence[BaseRoute]) -> list[BaseRoute]:
    """The description of these routes: it holds nothing that is anybody's, so everybody may have
    it."""
    content = _encoded(tuple(keys_of(routes)))

    async def read(_: Request) -> Response:
        return Response(content, media_type="application/json")

    return [Route("/openapi.json", read)]


@cache
def _encoded(routed: Sequence[Key]) -> bytes:
    return encode(document_of(routed))
