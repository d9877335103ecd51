from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from application.browse import ReadGeneration
from interface.asker import Asker
from interface.replies import json_reply
from interface.wire.incoming import parse_generation_id
from interface.wire.outgoing import generation_json


@dataclass(frozen=True, slots=True)
class GenerationRoutes:
    who: Asker
    read_generation: ReadGeneration

    def routes(self) -> list[BaseRoute]:
        return [Route("/api/chat/generations/{generation_id}", self.read)]

    async def read(self, request: Request) -> Response:
        user = await self.who(request)
        generation_id = parse_generation_id(request.path_params["generation_id"])
        return json_reply(generation_json(await self.read_generation(user, generation_id)))
