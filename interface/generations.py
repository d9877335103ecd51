from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from application.browse import ReadGeneration
from application.stop_generation import StopGeneration
from domain.identifiers import GenerationId
from interface.asker import Asker
from interface.replies import json_reply
from interface.wire.outgoing import generation_json, stopping_json
from interface.wire.parameters import parse_generation_id


@dataclass(frozen=True, slots=True)
class GenerationRoutes:
    who: Asker
    read_generation: ReadGeneration
    stop_generation: StopGeneration

    def routes(self) -> list[BaseRoute]:
        one = "/api/chat/generations/{generation_id}"
        return [Route(one, self.read), Route(f"{one}/cancel", self.cancel, methods=["POST"])]

    async def read(self, request: Request) -> Response:
        user = await self.who(request)
        return json_reply(generation_json(await self.read_generation(user, _id_of(request))))

    async def cancel(self, request: Request) -> Response:
        user = await self.who(request)
        generation = await self.stop_generation(user, _id_of(request))
        return json_reply(stopping_json(generation), 200 if generation.ended else 202)


def _id_of(request: Request) -> GenerationId:
    return parse_generation_id(request.path_params["generation_id"])
