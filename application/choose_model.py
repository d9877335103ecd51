from dataclasses import dataclass

from application.ports import ChatModel, ChatModels, UnitOfWork
from domain.errors import ModelNotFound
from domain.identifiers import UserId


@dataclass(frozen=True, slots=True)
class ChooseModel:
    """Which model answers a user: their own configuration of that model, else the server's."""

    models: ChatModels

    async def name(self, work: UnitOfWork, user: UserId, wished: str | None) -> str:
        """The model that is wished for, or else the user's first, or else the server's default.

        Raises ModelNotFound if it is neither configured by the user nor offered by the server.
        """
        if wished is None:
            first = await work.api_configs.first(user)
            return self.models.offered[0].name if first is None else first.model_name
        if self.models.own(wished) is None and await work.api_configs.first(user, wished) is None:
            raise ModelNotFound("There is no model of that name.")
        return wished

    async def __call__(self, work: UnitOfWork, user: UserId, model_name: str) -> ChatModel:
        """Raises ModelNotFound, KeyUnreadable."""
        config = await work.api_configs.first(user, model_name)
        if config is not None:
            return self.models.configured(config)
        own = self.models.own(model_name)
        if own is None:
            raise ModelNotFound("There is no model of that name.")
        return own
