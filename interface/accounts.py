from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from application.identify import TICKET_SECONDS, MakeTicket
from application.sign_in import (
    LogIn,
    LogOut,
    ProlongSignIn,
    ReadUser,
    RefreshSignIn,
    Register,
    SignedIn,
)
from domain.errors import ChatError, InvalidToken
from domain.secret import Secret
from interface.asker import Asker
from interface.attempts import Attempts
from interface.bodies import read_body
from interface.origins import is_own_page, refuse_foreign
from interface.refresh_cookie import delete_cookie, read_cookie, set_cookie
from interface.replies import json_reply, on_chat_error, secret_reply
from interface.wire.outgoing import (
    signed_in_by_cookie_json,
    signed_in_json,
    ticket_json,
    user_json,
)
from interface.wire.request_bodies import CredentialsBody, RefreshBody, parse_body


@dataclass(frozen=True, slots=True)
class AccountRoutes:
    """Signing in and out. Only the first three can be used by anybody; with a cookie, which
    browsers send by themselves, only by our own page and by who is no browser."""

    who: Asker
    attempts: Attempts
    register_user: Register
    log_in: LogIn
    refresh_sign_in: RefreshSignIn
    prolong_sign_in: ProlongSignIn
    log_out: LogOut
    read_user: ReadUser
    make_ticket: MakeTicket

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/api/auth/register", self.register, methods=["POST"]),
            Route("/api/auth/login", self.login, methods=["POST"]),
            Route("/api/auth/refresh", self.refresh, methods=["POST"]),
            Route("/api/auth/logout", self.logout, methods=["POST"]),
            Route("/api/auth/me", self.me),
            Route("/api/auth/ticket", self.ticket, methods=["POST"]),
        ]

    async def register(self, request: Request) -> Response:
        body, password = await _credentials(request)
        await self.attempts.before_registration(request)
        signed_in = await self.register_user(body.username, password)
        return _reply(request, signed_in, 201, cookie=body.cookie)

    async def login(self, request: Request) -> Response:
        body, password = await _credentials(request)
        async with self.attempts.log_in(request, body.username):
            signed_in = await self.log_in(body.username, password)
        return _reply(request, signed_in, cookie=body.cookie)

    async def refresh(self, request: Request) -> Response:
        await self.attempts.before_refresh(request)
        token = parse_body(RefreshBody, await read_body(request)).token
        if token is not None:
            return _reply(request, await self.refresh_sign_in(token), cookie=False)
        refuse_foreign(request)
        try:
            signed_in = await self.prolong_sign_in(read_cookie(request))
        except InvalidToken as error:
            return delete_cookie(await on_chat_error(request, error), request)
        return _reply(request, signed_in, cookie=True)

    async def logout(self, request: Request) -> Response:
        """Whatever becomes of it, this browser knows no token any more; if another page asked, it
        keeps what that page has no business with: our own one's sign-in."""
        try:
            await self.log_out(await self.who(request))
            reply = Response(status_code=204)
        except ChatError as error:
            reply = await on_chat_error(request, error)
        return delete_cookie(reply, request) if is_own_page(request) else reply

    async def me(self, request: Request) -> Response:
        return json_reply(user_json(await self.read_user(await self.who(request))))

    async def ticket(self, request: Request) -> Response:
        made = await self.make_ticket(await self.who.caller(request))
        return secret_reply(ticket_json(made, TICKET_SECONDS), 201)


async def _credentials(request: Request) -> tuple[CredentialsBody, Secret]:
    body = parse_body(CredentialsBody, await read_body(request))
    if body.cookie:
        refuse_foreign(request)
    return body, Secret(body.password.get_secret_value())


def _reply(request: Request, signed_in: SignedIn, status: int = 200, *, cookie: bool) -> Response:
    if not cookie:
        return secret_reply(signed_in_json(signed_in), status)
    return set_cookie(secret_reply(signed_in_by_cookie_json(signed_in), status), request, signed_in)
