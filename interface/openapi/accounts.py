from collections.abc import Mapping
from typing import Any, Final

from interface.openapi.operation import NO_CONTENT, Access, Answer, Area, Operation, RequestBody
from interface.wire.answers import SignedInJson, TicketJson, UserJson
from interface.wire.request_bodies import CredentialsBody, RefreshBody

_COOKIE: Final = {"Set-Cookie": "The refresh token, if it was asked to be in a cookie."}
_CREDENTIALS: Final[Mapping[str, Mapping[str, Any]]] = {
    "program": {"username": "grace", "password": "correct-horse-battery"},
}

ACCOUNTS: Final = Area(
    "Accounts",
    "Who is asking. An access token is short-lived; a refresh token is good for one new pair.",
    {
        ("POST", "/api/auth/register"): Operation(
            "register",
            "Make an account, and sign in",
            {201: Answer("Signed in.", SignedInJson, headers=_COOKIE)},
            "`cookie` is for web pages: the refresh token is kept where no script can read it.",
            RequestBody(CredentialsBody, _CREDENTIALS),
            errors=["username_taken", "foreign_origin", "rate_limited", "overloaded"],
            access=Access.ANYBODY,
        ),
        ("POST", "/api/auth/login"): Operation(
            "log_in",
            "Sign in",
            {200: Answer("Signed in.", SignedInJson, headers=_COOKIE)},
            body=RequestBody(CredentialsBody, _CREDENTIALS),
            errors=["invalid_credentials", "foreign_origin", "rate_limited", "overloaded"],
            access=Access.ANYBODY,
        ),
        ("POST", "/api/auth/refresh"): Operation(
            "refresh_sign_in",
            "Exchange a refresh token for a new pair",
            {200: Answer("Signed in on.", SignedInJson, headers=_COOKIE)},
            "A refresh token is good once: whoever sends it again ends the whole sign-in, as it may"
            " have been stolen. With `cookie` it is taken from the cookie instead.",
            RequestBody(RefreshBody, {"program": {"refresh_token": "eyJhbGciOi…"}}),
            errors=["not_signed_in", "invalid_token", "foreign_origin", "rate_limited"],
            access=Access.ANYBODY,
        ),
        ("POST", "/api/auth/logout"): Operation(
            "log_out",
            "End all sign-ins of the user, and their open streams",
            {204: NO_CONTENT},
            "API tokens stay good.",
        ),
        ("GET", "/api/auth/me"): Operation(
            "read_user", "Who you are", {200: Answer("The user.", UserJson)}
        ),
        ("POST", "/api/auth/ticket"): Operation(
            "make_ticket",
            "Make a ticket, for a stream or socket that can't carry a header",
            {201: Answer("Good once, and not for long.", TicketJson)},
            "Send it as `ticket` in the query of `/sse/…` or `/ws`.",
        ),
    },
)
