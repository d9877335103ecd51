from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from application.ports import ChatModel, ServerModel
from domain.api_config import ApiConfig
from domain.errors import ModelNotFound
from infrastructure.models.simulated import SimulatedLongModel, SimulatedModel


@dataclass(frozen=True, slots=True)
class Models:
    """The server's own models by name; the first one is the default."""

    by_name: Mapping[str, ChatModel]
    providers: Collection[str] = ()

    @property
    def offered(self) -> Sequence[ServerModel]:
        return [ServerModel(name, "simulated") for name in self.by_name]

    def own(self, model_name: str) -> ChatModel | None:
        return self.by_name.get(model_name)

    def configured(self, _: ApiConfig) -> ChatModel:
        raise ModelNotFound("This server does not know the provider of that configuration.")


def server_models(simulated_delay: float, simulated_chunks: int) -> Models:
    """One line a provider."""
    return Models(
        {
            "simulated": SimulatedModel(simulated_delay),
            "simulated-long": SimulatedLongModel(simulated_delay, simulated_chunks),
        }
    )
