from dataclasses import dataclass, replace

from application.ports import ChatModel, ChatModels, UnitOfWork
from domain.api_config import ApiConfig
from domain.chat_session import OwnModel
from domain.errors import ModelNotFound
from domain.generation import Generation
from domain.identifiers import ApiId, UserId


@dataclass(frozen=True, slots=True)
class Choice:
    """A model by name: of this configuration of the user's, or else the server's own."""

    model_name: str
    api_id: ApiId | None


@dataclass(frozen=True, slots=True)
class ChooseModel:
    """Which model answers a user. It is chosen once, when the message is accepted: what was meant
    for a user's own server goes to no other, whatever becomes of the configuration."""

    models: ChatModels

    async def __call__(self, work: UnitOfWork, user: UserId, wished: str | None) -> Choice:
        """The user's own of the wished name, or the server's; if none is wished for, the user's
        first, or the server's default. Raises ModelNotFound."""
        config = await work.api_configs.first(user, wished)
        own = OwnModel(config.id, config.model_name) if config else None
        if own is not None or wished is None:
            return self.default(own)
        if self.models.own(wished) is None:
            raise ModelNotFound("There is no model of that name: see /api/models.")
        return Choice(wished, None)

    def default(self, own: OwnModel | None) -> Choice:
        """The user's own, or else the server's default."""
        if own is not None:
            return Choice(own.model_name, own.api_id)
        return Choice(self.models.offered[0].name, None)

    def chosen(self, generation: Generation, config: ApiConfig | None) -> ChatModel:
        """The one that was chosen for it, with its configuration if that is one and there still.
        Raises ModelNotFound, KeyUnreadable."""
        model = None
        if generation.api_id is None:
            model = self.models.own(generation.model_name)
        elif config is not None:
            named = replace(config, model_name=generation.model_name)
            model = self.models.configured(named)
        if model is None:
            raise ModelNotFound("The model that was chosen for this answer is gone.")
        return model

    def provider(self, generation: Generation, config: ApiConfig | None) -> str | None:
        """Of that one; None if it is gone."""
        if generation.api_id is not None:
            return config.provider if config else None
        name = generation.model_name
        return next((own.provider for own in self.models.offered if own.name == name), None)
