from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from application.api_configs import (
    AddApi,
    ChangeApi,
    DeleteApi,
    ListApis,
    ReadFirstApi,
    ReadNamedApi,
)
from application.list_models import ListModels
from application.try_api import TryApi
from domain.api_config import ApiChanges, NewApiConfig
from domain.identifiers import ApiId
from domain.secret import Secret
from interface.asker import Asker
from interface.bodies import read_body
from interface.replies import json_reply, page_reply
from interface.wire.outgoing import api_cursor, api_json, models_json, trial_json
from interface.wire.parameters import (
    parse_api_cursor,
    parse_api_id,
    parse_api_name,
    parse_limit,
    parse_model_name,
)
from interface.wire.request_bodies import ChangeApiBody, CreateApiBody, parse_body


@dataclass(frozen=True, slots=True)
class ApiConfigRoutes:
    """A user's own model configurations, and all models that they may name."""

    who: Asker
    add_api: AddApi
    list_apis: ListApis
    read_first: ReadFirstApi
    read_named: ReadNamedApi
    change_api: ChangeApi
    delete_api: DeleteApi
    try_api: TryApi
    list_models: ListModels

    def routes(self) -> list[BaseRoute]:
        every = "/api/user/apis"
        one = f"{every}/{{api_id}}"
        return [
            Route(every, self.list),
            Route(every, self.create, methods=["POST"]),
            Route(f"{every}/first", self.first),
            Route(f"{one}/test", self.test, methods=["POST"]),
            Route(one, self.change, methods=["PUT"]),
            Route(one, self.delete, methods=["DELETE"]),
            Route(f"{every}/{{name:path}}", self.named),  # a name may hold slashes
            Route("/api/models", self.models),
        ]

    async def list(self, request: Request) -> Response:
        user = await self.who(request)
        limit = parse_limit(request.query_params.get("limit"))
        after = parse_api_cursor(request.query_params.get("cursor"))
        model_name = parse_model_name(request.query_params.get("model_name"))
        found = await self.list_apis(user, limit + 1, after, model_name)
        return page_reply(found, limit, api_json, api_cursor)

    async def create(self, request: Request) -> Response:
        user = await self.who(request)
        body = parse_body(CreateApiBody, await read_body(request))
        key = body.api_key.get_secret_value()
        new = NewApiConfig(
            user,
            body.name,
            body.model_name,
            body.base_url,
            body.provider,
            Secret(key) if key else None,
        )
        return json_reply(api_json(await self.add_api(new)), 201)

    async def first(self, request: Request) -> Response:
        user = await self.who(request)
        return json_reply(api_json(await self.read_first(user)))

    async def named(self, request: Request) -> Response:
        user = await self.who(request)
        name = parse_api_name(request.path_params["name"])
        return json_reply(api_json(await self.read_named(user, name)))

    async def change(self, request: Request) -> Response:
        user = await self.who(request)
        api_id = _api_id(request)
        body = parse_body(ChangeApiBody, await read_body(request))
        changes = ApiChanges(
            body.name,
            body.model_name,
            body.base_url,
            body.provider,
            Secret(body.api_key.get_secret_value()) if body.api_key is not None else None,
        )
        return json_reply(api_json(await self.change_api(user, api_id, changes)))

    async def delete(self, request: Request) -> Response:
        user = await self.who(request)
        await self.delete_api(user, _api_id(request))
        return Response(status_code=204)

    async def test(self, request: Request) -> Response:
        user = await self.who(request)
        return json_reply(trial_json(await self.try_api(user, _api_id(request))))

    async def models(self, request: Request) -> Response:
        user = await self.who(request)
        return json_reply(models_json(await self.list_models(user)))


def _api_id(request: Request) -> ApiId:
    return parse_api_id(request.path_params["api_id"])
