"""A user's own model configurations: kept, read, changed, deleted."""

from collections.abc import Sequence
from dataclasses import dataclass

from application.ports import Cache, ChatModels, OpenUnitOfWork
from domain.api_config import ApiChanges, ApiConfig, NewApiConfig
from domain.errors import ApiConfigNotFound, Flaw, InvalidInput
from domain.identifiers import ApiId, UserId


@dataclass(frozen=True, slots=True)
class AddApi:
    open_unit_of_work: OpenUnitOfWork
    models: ChatModels

    async def __call__(self, new: NewApiConfig) -> ApiConfig:
        """Raises InvalidInput for an unknown provider, NameTaken."""
        _expect_known(new.provider, self.models)
        async with self.open_unit_of_work() as work:
            config = await work.api_configs.add(new)
            await work.commit()
        return config


@dataclass(frozen=True, slots=True)
class ChangeApi:
    open_unit_of_work: OpenUnitOfWork
    models: ChatModels
    cache: Cache

    async def __call__(self, user: UserId, api_id: ApiId, changes: ApiChanges) -> ApiConfig:
        """Raises ApiConfigNotFound, InvalidInput for an unknown provider, NameTaken."""
        if changes.provider is not None:
            _expect_known(changes.provider, self.models)
        async with self.open_unit_of_work() as work:
            config = await work.api_configs.change(user, api_id, changes)
            await work.commit()
        await self.cache.forget_config(api_id)
        return _expect_found(config)


@dataclass(frozen=True, slots=True)
class DeleteApi:
    open_unit_of_work: OpenUnitOfWork
    cache: Cache

    async def __call__(self, user: UserId, api_id: ApiId) -> None:
        """Raises ApiConfigNotFound."""
        async with self.open_unit_of_work() as work:
            if not await work.api_configs.delete(user, api_id):
                raise ApiConfigNotFound
            await work.commit()
        await self.cache.forget_config(api_id)


@dataclass(frozen=True, slots=True)
class ListApis:
    open_unit_of_work: OpenUnitOfWork

    async def __call__(
        self, user: UserId, limit: int, after: ApiId | None, model_name: str | None
    ) -> Sequence[ApiConfig]:
        """Oldest first; all, or those of one model."""
        async with self.open_unit_of_work(read_only=True) as work:
            return await work.api_configs.page(user, limit, after, model_name)


@dataclass(frozen=True, slots=True)
class ReadFirstApi:
    """The configuration that answers when a user names no model."""

    open_unit_of_work: OpenUnitOfWork

    async def __call__(self, user: UserId) -> ApiConfig:
        """Raises ApiConfigNotFound."""
        async with self.open_unit_of_work(read_only=True) as work:
            return _expect_found(await work.api_configs.first(user))


@dataclass(frozen=True, slots=True)
class ReadNamedApi:
    open_unit_of_work: OpenUnitOfWork

    async def __call__(self, user: UserId, name: str) -> ApiConfig:
        """Raises ApiConfigNotFound."""
        async with self.open_unit_of_work(read_only=True) as work:
            return _expect_found(await work.api_configs.named(user, name))


def _expect_found(config: ApiConfig | None) -> ApiConfig:
    if config is None:
        raise ApiConfigNotFound
    return config


def _expect_known(provider: str, models: ChatModels) -> None:
    if provider not in models.providers:
        known = ", ".join(sorted(models.providers))
        raise InvalidInput(Flaw("/provider", f"provider must be one of: {known}."))
