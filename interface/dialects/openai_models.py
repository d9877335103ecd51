"""OpenAI's list of models: the names that a call may give."""

from dataclasses import dataclass
from typing import Literal

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from typing_extensions import TypedDict

from application.list_models import ListedModel, ListModels
from domain.errors import ModelNotFound
from interface.asker import Asker
from interface.replies import json_reply


class OpenAIModelJson(TypedDict):
    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class OpenAIModelsJson(TypedDict):
    object: Literal["list"]
    data: list[OpenAIModelJson]


@dataclass(frozen=True, slots=True)
class OpenAIModelRoutes:
    who: Asker
    list_models: ListModels

    def routes(self) -> list[BaseRoute]:
        # Many names have slashes.
        return [Route("/v1/models", self.list), Route("/v1/models/{model:path}", self.read)]

    async def list(self, request: Request) -> Response:
        listed = await self.list_models(await self.who(request))
        return json_reply(models_json([model_json(each) for each in listed.models]))

    async def read(self, request: Request) -> Response:
        listed = await self.list_models(await self.who(request))
        name = request.path_params["model"]
        for each in listed.models:
            if each.name == name:
                return json_reply(model_json(each))
        raise ModelNotFound("There is no model of that name: see /v1/models.")


def models_json(models: list[OpenAIModelJson]) -> OpenAIModelsJson:
    return {"object": "list", "data": models}


def model_json(model: ListedModel) -> OpenAIModelJson:
    """When it was made is not known here."""
    return {"id": model.name, "object": "model", "created": 0, "owned_by": model.provider}
