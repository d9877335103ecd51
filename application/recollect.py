from dataclasses import dataclass

from application.ports import Cache, Recalled, UnitOfWork
from domain.api_config import ApiConfig
from domain.conversation import Asked
from domain.generation import Generation
from domain.repositories import Turn


@dataclass(frozen=True, slots=True)
class Recollected:
    """What an answer needs besides what its claim says, as it is in the database now; of a call's
    conversation nothing."""

    asked: Asked | None
    config: ApiConfig | None
    unknown: ApiConfig | None = None
    """The configuration, if the cache does not know it as it is."""


@dataclass(frozen=True, slots=True)
class Recollect:
    """The conversation up to a claimed question, and the configuration that answers it: from the
    cache, if the claim tells that they still are as it knows them, else from the database."""

    cache: Cache

    async def __call__(self, work: UnitOfWork, turn: Turn, most: int) -> Recollected:
        """The conversation has at most so many messages."""
        generation = turn.generation
        known = await self.cache.recall(generation.session_id, generation.api_id)
        asked = None if turn.given else await _asked(work, turn, most, known)
        if generation.api_id is None or turn.api_changed_at is None:
            return Recollected(asked, None)
        if known.config is not None and _is_as_claimed(known.config, turn):
            return Recollected(asked, known.config)
        config = await work.api_configs.find(generation.owner, generation.api_id)
        return Recollected(asked, config, unknown=config)

    async def keep_config(self, recollected: Recollected) -> None:
        """If the cache does not know it."""
        if recollected.unknown is not None:
            await self.cache.keep_config(recollected.unknown)

    async def keep_answered(self, asked: Asked | None, ended: Generation) -> None:
        """For the next question."""
        if asked is not None:
            await self.cache.keep_conversation(asked.answered(ended))


async def _asked(work: UnitOfWork, turn: Turn, most: int, known: Recalled) -> Asked:
    if known.conversation is not None:
        asked = known.conversation.asked(turn.question, turn.mark, most)
        if asked is not None:
            return asked
    generation = turn.generation
    recent = await work.messages.recent(generation.session_id, generation.number, most)
    return Asked(turn.mark, most, recent)


def _is_as_claimed(config: ApiConfig, turn: Turn) -> bool:
    claimed = turn.generation
    known = (config.owner, config.id, config.updated_at)
    return known == (claimed.owner, claimed.api_id, turn.api_changed_at)
