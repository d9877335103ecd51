"""The refresh token where no script can read it: in a cookie that goes to `/api/auth` only."""

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from application.sign_in import SignedIn
from domain.errors import NotSignedIn
from domain.secret import Secret
from interface.origins import came_by_https

NAME: Final = "llm_chat_refresh"


def read_cookie(request: Request) -> Secret:
    """Raises NotSignedIn."""
    token = request.cookies.get(NAME)
    if not token:
        raise NotSignedIn
    return Secret(token)


def set_cookie(reply: Response, request: Request, signed_in: SignedIn) -> Response:
    reply.set_cookie(
        NAME,
        signed_in.refresh.reveal(),
        max_age=signed_in.refresh_seconds,
        **_attributes(request),
    )
    return reply


def delete_cookie(reply: Response, request: Request) -> Response:
    reply.delete_cookie(NAME, **_attributes(request))
    return reply


def _attributes(request: Request) -> dict[str, Any]:
    return {
        "path": "/api/auth",
        "httponly": True,
        "samesite": "strict",
        "secure": came_by_https(request),
    }
