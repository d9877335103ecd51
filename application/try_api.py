import asyncio
import logging
from contextlib import aclosing
from dataclasses import dataclass
from time import perf_counter
from typing import Final

from application.ports import ChatModel, ChatModels, OpenUnitOfWork
from domain.api_config import ApiConfig
from domain.errors import ApiConfigNotFound, KeyUnreadable, ModelFailed, ModelNotFound
from domain.identifiers import ApiId, UserId
from domain.message import Role
from domain.prompt import Prompt, PromptMessage

log = logging.getLogger(__name__)

_PING: Final = Prompt((PromptMessage(Role.USER, "ping"),))


@dataclass(frozen=True, slots=True)
class Trial:
    """Whether a model answers, how long it took to know, and a sentence about it."""

    ok: bool
    latency_ms: int
    detail: str


@dataclass(frozen=True, slots=True)
class TryApi:
    """Test the connection: ask the model behind a configuration, and hang up at its first word."""

    open_unit_of_work: OpenUnitOfWork
    models: ChatModels
    seconds: float = 30

    async def __call__(self, user: UserId, api_id: ApiId) -> Trial:
        """Raises ApiConfigNotFound. Whatever else is wrong is what the trial says."""
        async with self.open_unit_of_work(read_only=True) as work:
            config = await work.api_configs.find(user, api_id)
        if config is None:
            raise ApiConfigNotFound
        began = perf_counter()
        flaw = await self._flaw(config)
        latency_ms = round((perf_counter() - began) * 1000)
        return Trial(flaw is None, latency_ms, flaw or "The model answers.")

    async def _flaw(self, config: ApiConfig) -> str | None:
        limit = asyncio.timeout(self.seconds)
        try:
            async with limit:
                answers = await _answers(self.models.configured(config))
        except (ModelFailed, KeyUnreadable, ModelNotFound) as error:
            return str(error)
        except Exception:
            if limit.expired():
                return f"The model gave no answer within {self.seconds:g} seconds."
            log.exception("trying model configuration %d failed", config.id)
            return "The model could not be asked."
        return None if answers else "The model ended without an answer."


async def _answers(model: ChatModel) -> bool:
    async with aclosing(model.stream(_PING)) as pieces:
        async for _ in pieces:
            return True
    return False
