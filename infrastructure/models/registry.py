from collections.abc import Mapping
from dataclasses import dataclass

from application.ports import ChatModel
from domain.errors import ModelNotFound
from infrastructure.models.simulated import SimulatedLongModel, SimulatedModel


@dataclass(frozen=True, slots=True)
class Models:
    """The server's own models by name."""

    by_name: Mapping[str, ChatModel]
    default: str

    def choose(self, model_name: str) -> ChatModel:
        model = self.by_name.get(model_name)
        if model is None:
            raise ModelNotFound("There is no model of that name.")
        return model


def server_models(simulated_delay: float, simulated_chunks: int) -> Models:
    """One line a provider."""
    return Models(
        {
            "simulated": SimulatedModel(simulated_delay),
            "simulated-long": SimulatedLongModel(simulated_delay, simulated_chunks),
        },
        default="simulated",
    )
