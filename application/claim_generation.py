import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Final

from application.choose_model import ChooseModel
from application.claims import Claim
from application.ports import Announce, ChatModel, OpenUnitOfWork, Personas, UnitOfWork
from application.recollect import Recollect
from domain.api_config import ApiConfig
from domain.conversation import Asked
from domain.errors import KeyUnreadable, ModelNotFound, PersonaNotFound
from domain.events import GenerationStarted
from domain.generation import Failure, Generation
from domain.identifiers import FileId, GenerationId
from domain.limits import NO_LIMIT, Room, TokenBudgetSpent
from domain.message import Message, Role
from domain.prompt import ContextWindow, Prompt, PromptMessage, build_prompt
from domain.repositories import Turn
from domain.uploaded_file import FileText

_CHARACTERS_PER_TOKEN: Final = 8
"""Hardly any text has more, so nothing that would fit is left in the database."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A claim, and all that answering needs, so that no transaction is open while streaming.
    `accepted_at` is when its question was, by the monotonic clock of this process."""

    claim: Claim
    model: ChatModel | Failure
    prompt: Prompt
    title: str | None
    asked: Asked | None
    accepted_at: float
    provider: str | None = None


@dataclass(frozen=True, slots=True)
class ClaimGeneration:
    """Make a waiting generation ours, if it is its turn."""

    open_unit_of_work: OpenUnitOfWork
    choose_model: ChooseModel
    personas: Personas
    window: ContextWindow
    lease_seconds: float
    announce: Announce
    recollect: Recollect
    room: Room = NO_LIMIT

    async def __call__(self, generation_id: GenerationId) -> Claimed | None:
        """None if there is nothing to do: it is answered, somebody else's, or not yet its turn."""
        async with self.open_unit_of_work() as work:
            turn = await work.generations.claim(generation_id, self.lease_seconds)
            if turn is None:
                return None
            accepted_at = monotonic() - turn.waited_seconds
            generation = turn.generation
            found = await self.recollect(work, turn, self.window.messages)
            recent = found.asked.messages if found.asked else ()
            files = await self._files(work, recent)
            spent = await self._spent(work, generation)
            await work.commit()
        await self.recollect.keep_config(found)
        self.announce(
            GenerationStarted(
                generation.owner, generation.session_id, generation.id, generation.attempt
            )
        )
        model = spent or self._model(generation, found.config)
        if isinstance(turn.given, Failure):
            model, prompt = turn.given, Prompt((PromptMessage(Role.USER, turn.question.content),))
        else:
            prompt = turn.given or await self._told(turn, recent, files)
        provider = self.choose_model.provider(generation, found.config)
        return Claimed(
            Claim(generation), model, prompt, turn.title, found.asked, accepted_at, provider
        )

    async def _spent(self, work: UnitOfWork, generation: Generation) -> Failure | None:
        """What was accepted in time may have waited behind others that took all there was. What
        has begun once may be begun again."""
        if not self.room.tokens_per_day or generation.api_id is not None or generation.attempt > 1:
            return None
        try:
            self.room.refuse_spent(await work.generations.spent_today(generation.owner))
        except TokenBudgetSpent as error:
            return Failure(error.code, str(error))
        return None

    async def _told(
        self, turn: Turn, recent: Sequence[Message], files: Mapping[FileId, FileText]
    ) -> Prompt:
        told = partial(build_prompt, self._system_prompt(turn), recent, self.window, files)
        # Long texts take their time to count.
        return await asyncio.to_thread(told) if files else told()

    async def _files(
        self, work: UnitOfWork, recent: Sequence[Message]
    ) -> Mapping[FileId, FileText]:
        named = {file_id for message in recent for file_id in message.file_ids}
        if not named:
            return {}
        return await work.files.texts(named, self.window.tokens * _CHARACTERS_PER_TOKEN)

    def _model(self, generation: Generation, config: ApiConfig | None) -> ChatModel | Failure:
        try:
            return self.choose_model.chosen(generation, config)
        except (ModelNotFound, KeyUnreadable) as error:  # it was there when it was accepted
            return Failure(error.code, str(error))

    def _system_prompt(self, turn: Turn) -> str | None:
        """That of the persona which was chosen for the message or its session, else the session's
        own, else that of the user's default persona, else of the first one."""
        own, default = turn.system_prompt or None, self._content(turn.default_persona)
        for content in (self._content(turn.generation.persona), own, default):
            if content is not None:
                return content
        first = self.personas.choose(None)
        return first.content if first else None

    def _content(self, name: str | None) -> str | None:
        """None if there is none of that name: it may be gone since it was chosen."""
        try:
            persona = self.personas.choose(name) if name else None
        except PersonaNotFound:
            return None
        return persona.content if persona else None
