"""A user's personal API tokens: made, listed, deleted."""

from collections.abc import Sequence
from dataclasses import dataclass

from application.ports import Ids, OpenUnitOfWork
from domain.api_token import ApiToken, NewApiToken
from domain.errors import ApiTokenNotFound
from domain.identifiers import ApiTokenId, UserId
from domain.secret import Secret


@dataclass(frozen=True, slots=True)
class MadeApiToken:
    """With the token itself, which nobody sees again."""

    kept: ApiToken
    token: Secret


@dataclass(frozen=True, slots=True)
class MakeApiToken:
    open_unit_of_work: OpenUnitOfWork
    ids: Ids

    async def __call__(self, user: UserId, name: str, expires_in_days: int | None) -> MadeApiToken:
        """Raises TooManyApiTokens."""
        token = self.ids.api_token()
        async with self.open_unit_of_work() as work:
            kept = await work.api_tokens.add(NewApiToken(user, name, token, expires_in_days))
            await work.commit()
        return MadeApiToken(kept, token)


@dataclass(frozen=True, slots=True)
class ListApiTokens:
    open_unit_of_work: OpenUnitOfWork

    async def __call__(
        self, user: UserId, limit: int, after: ApiTokenId | None
    ) -> Sequence[ApiToken]:
        """Oldest first."""
        async with self.open_unit_of_work(read_only=True) as work:
            return await work.api_tokens.page(user, limit, after)


@dataclass(frozen=True, slots=True)
class DeleteApiToken:
    open_unit_of_work: OpenUnitOfWork

    async def __call__(self, user: UserId, token_id: ApiTokenId) -> None:
        """Raises ApiTokenNotFound."""
        async with self.open_unit_of_work() as work:
            if not await work.api_tokens.delete(user, token_id):
                raise ApiTokenNotFound
            await work.commit()
