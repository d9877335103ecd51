"""All providers, and which models there are."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from application.ports import ChatModel, ServerModel
from domain.api_config import ApiConfig
from domain.errors import ModelNotFound
from domain.secret import Secret
from infrastructure.models.openai_compatible import OpenAICompatibleModel
from infrastructure.models.simulated import SimulatedLongModel, SimulatedModel
from infrastructure.upstreams.breaker import Breakers
from infrastructure.upstreams.connections import Connections
from infrastructure.upstreams.limits import Limits
from infrastructure.upstreams.model_server import ModelServer

Dialect = Callable[[ModelServer, str], ChatModel]
"""Makes the model of that name at a server."""


def dialects(
    connections: Connections, limits: Limits, breakers: Breakers | None = None
) -> Mapping[str, Dialect]:
    """By the name of the provider. A new one is a line here."""
    breakers = Breakers() if breakers is None else breakers

    def openai(server: ModelServer, model_name: str, *, streams: bool) -> ChatModel:
        breaker = breakers.of(server.name)
        return OpenAICompatibleModel(server, model_name, streams, connections, breaker, limits)

    return {
        "openai": lambda server, model_name: openai(server, model_name, streams=True),
        "openai-unstreamed": lambda server, model_name: openai(server, model_name, streams=False),
    }


def simulated_models(delay: float, chunks: int) -> "Sequence[OwnModel]":
    """The models that need no server."""
    return (
        OwnModel("simulated", "simulated", SimulatedModel(delay)),
        OwnModel("simulated-long", "simulated", SimulatedLongModel(delay, chunks)),
    )


@dataclass(frozen=True, slots=True)
class OwnModel:
    """A model that the server offers to everybody."""

    name: str
    provider: str
    model: ChatModel


@dataclass(frozen=True, slots=True)
class Models:
    """The server's own models, the default first, and users' through the dialects.

    `open_key` gives the key of a configuration, and raises KeyUnreadable. `trusts_users`: their
    models may be anywhere, because they are the operator.
    """

    own_models: Sequence[OwnModel]
    dialects: Mapping[str, Dialect]
    open_key: Callable[[ApiConfig], Secret | None]
    trusts_users: bool

    @property
    def offered(self) -> Sequence[ServerModel]:
        return [ServerModel(own.name, own.provider) for own in self.own_models]

    @property
    def providers(self) -> Collection[str]:
        return self.dialects.keys()

    def own(self, model_name: str) -> ChatModel | None:
        return next((own.model for own in self.own_models if own.name == model_name), None)

    def configured(self, config: ApiConfig) -> ChatModel:
        speak = self.dialects.get(config.provider)
        if speak is None:
            raise ModelNotFound("This server does not know the provider of that model.")
        server = ModelServer(
            config.base_url, self.open_key(config), self.trusts_users, config.owner
        )
        return speak(server, config.model_name)
