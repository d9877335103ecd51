from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from application.identify import TICKET_SECONDS, MakeTicket
from application.sign_in import LogIn, LogOut, ReadUser, RefreshSignIn, Register
from domain.secret import Secret
from interface.asker import Asker
from interface.bodies import read_body
from interface.replies import json_reply, secret_reply
from interface.wire.outgoing import signed_in_json, ticket_json, user_json
from interface.wire.request_bodies import CredentialsBody, RefreshBody, parse_body


@dataclass(frozen=True, slots=True)
class AccountRoutes:
    """Signing in and out. Only the first three can be used by anybody."""

    who: Asker
    register_user: Register
    log_in: LogIn
    refresh_sign_in: RefreshSignIn
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
        username, password = await _credentials(request)
        return secret_reply(signed_in_json(await self.register_user(username, password)), 201)

    async def login(self, request: Request) -> Response:
        username, password = await _credentials(request)
        return secret_reply(signed_in_json(await self.log_in(username, password)))

    async def refresh(self, request: Request) -> Response:
        body = parse_body(RefreshBody, await read_body(request))
        token = Secret(body.refresh_token.get_secret_value())
        return secret_reply(signed_in_json(await self.refresh_sign_in(token)))

    async def logout(self, request: Request) -> Response:
        await self.log_out(await self.who(request))
        return Response(status_code=204)

    async def me(self, request: Request) -> Response:
        return json_reply(user_json(await self.read_user(await self.who(request))))

    async def ticket(self, request: Request) -> Response:
        made = await self.make_ticket(await self.who.caller(request))
        return secret_reply(ticket_json(made, TICKET_SECONDS), 201)


async def _credentials(request: Request) -> tuple[str, Secret]:
    body = parse_body(CredentialsBody, await read_body(request))
    return body.username, Secret(body.password.get_secret_value())
