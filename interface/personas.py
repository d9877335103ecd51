from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from application.personas import ChooseDefaultPersona, ListPersonas
from interface.asker import Asker
from interface.bodies import read_body
from interface.replies import json_reply
from interface.wire.outgoing import personas_json
from interface.wire.request_bodies import DefaultPersonaBody, parse_body


@dataclass(frozen=True, slots=True)
class PersonaRoutes:
    who: Asker
    list_personas: ListPersonas
    choose_default: ChooseDefaultPersona

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/api/personas/", self.list),
            Route("/api/personas/default", self.choose, methods=["PUT"]),
        ]

    async def list(self, request: Request) -> Response:
        user = await self.who(request)
        return json_reply(personas_json(await self.list_personas(user)))

    async def choose(self, request: Request) -> Response:
        user = await self.who(request)
        body = parse_body(DefaultPersonaBody, await read_body(request))
        await self.choose_default(user, body.name)
        return Response(status_code=204)
