from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from application.choose_model import ChooseModel
from application.ports import ChatModels, OpenUnitOfWork
from domain.identifiers import UserId


class ModelSource(StrEnum):
    USER = "user"
    SERVER = "server"


@dataclass(frozen=True, slots=True)
class ListedModel:
    name: str
    provider: str
    source: ModelSource


@dataclass(frozen=True, slots=True)
class ModelList:
    """Each name once, as it would be answered; `default` is who answers when none is named."""

    models: Sequence[ListedModel]
    default: str


@dataclass(frozen=True, slots=True)
class ListModels:
    """What a user may name as a model: what they have configured, then what the server offers."""

    open_unit_of_work: OpenUnitOfWork
    models: ChatModels

    async def __call__(self, user: UserId) -> ModelList:
        async with self.open_unit_of_work(read_only=True) as work:
            configured = await work.api_configs.model_names(user)
            default = await ChooseModel(self.models)(work, user, None)
        listed = [ListedModel(name, provider, ModelSource.USER) for name, provider in configured]
        shadowed = {model.name for model in listed}
        listed += [
            ListedModel(model.name, model.provider, ModelSource.SERVER)
            for model in self.models.offered
            if model.name not in shadowed
        ]
        return ModelList(listed, default.model_name)
