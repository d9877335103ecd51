from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from application.api_tokens import DeleteApiToken, ListApiTokens, MakeApiToken
from interface.asker import Asker
from interface.bodies import read_body
from interface.replies import page_reply, secret_reply
from interface.wire.outgoing import api_token_cursor, api_token_json, made_api_token_json
from interface.wire.parameters import parse_api_token_cursor, parse_api_token_id, parse_limit
from interface.wire.request_bodies import CreateApiTokenBody, parse_body


@dataclass(frozen=True, slots=True)
class ApiTokenRoutes:
    """A user's personal API tokens, by which programs come in."""

    who: Asker
    make_token: MakeApiToken
    list_tokens: ListApiTokens
    delete_token: DeleteApiToken

    def routes(self) -> list[BaseRoute]:
        every = "/api/user/tokens"
        return [
            Route(every, self.list),
            Route(every, self.create, methods=["POST"]),
            Route(f"{every}/{{token_id}}", self.delete, methods=["DELETE"]),
        ]

    async def list(self, request: Request) -> Response:
        user = await self.who(request)
        limit = parse_limit(request.query_params.get("limit"))
        after = parse_api_token_cursor(request.query_params.get("cursor"))
        found = await self.list_tokens(user, limit + 1, after)
        return page_reply(found, limit, api_token_json, api_token_cursor)

    async def create(self, request: Request) -> Response:
        user = await self.who(request)
        body = parse_body(CreateApiTokenBody, await read_body(request))
        made = await self.make_token(user, body.name, body.expires_in_days)
        return secret_reply(made_api_token_json(made), 201)

    async def delete(self, request: Request) -> Response:
        user = await self.who(request)
        await self.delete_token(user, parse_api_token_id(request.path_params["token_id"]))
        return Response(status_code=204)
