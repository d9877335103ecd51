from dataclasses import dataclass

from application.choose_model import ChooseModel
from application.claims import Claim
from application.ports import ChatModel, OpenUnitOfWork, Personas, UnitOfWork
from domain.errors import KeyUnreadable, ModelNotFound, PersonaNotFound
from domain.generation import Failure, Generation
from domain.identifiers import GenerationId
from domain.prompt import ContextWindow, Prompt, build_prompt


@dataclass(frozen=True, slots=True)
class Claimed:
    """A claim, and all that answering needs, so that no transaction is open while streaming."""

    claim: Claim
    model: ChatModel | Failure
    prompt: Prompt
    title: str | None


@dataclass(frozen=True, slots=True)
class ClaimGeneration:
    """Make a waiting generation ours, if it is its turn."""

    open_unit_of_work: OpenUnitOfWork
    choose_model: ChooseModel
    personas: Personas
    window: ContextWindow
    lease_seconds: float

    async def __call__(self, generation_id: GenerationId) -> Claimed | None:
        """None if there is nothing to do: it is answered, somebody else's, or not yet its turn."""
        async with self.open_unit_of_work() as work:
            generation = await work.generations.claim(generation_id, self.lease_seconds)
            if generation is None:
                return None
            session = await work.sessions.find(generation.session_id, generation.owner)
            recent = await work.messages.recent(
                generation.session_id, generation.number, self.window.messages
            )
            model = await self._model(work, generation)
            await work.commit()
        own = session.system_prompt if session else None
        prompt = build_prompt(own or self._persona(generation), recent, self.window)
        return Claimed(Claim(generation), model, prompt, session.title if session else None)

    async def _model(self, work: UnitOfWork, generation: Generation) -> ChatModel | Failure:
        try:
            return await self.choose_model.chosen(work, generation)
        except (ModelNotFound, KeyUnreadable) as error:  # it was there when it was accepted
            return Failure(error.code, str(error))

    def _persona(self, generation: Generation) -> str | None:
        try:
            persona = self.personas.choose(generation.persona)
        except PersonaNotFound:  # it was there when the message was accepted
            persona = self.personas.choose(None)
        return persona.content if persona else None
