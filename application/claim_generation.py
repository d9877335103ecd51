from dataclasses import dataclass

from application.claims import Claim
from application.ports import OpenUnitOfWork, Personas
from domain.errors import PersonaNotFound
from domain.generation import Generation
from domain.identifiers import GenerationId
from domain.prompt import Prompt, build_prompt


@dataclass(frozen=True, slots=True)
class Claimed:
    """A claim, and all that answering needs, so that no transaction is open while streaming."""

    claim: Claim
    prompt: Prompt
    title: str | None


@dataclass(frozen=True, slots=True)
class ClaimGeneration:
    """Make a waiting generation ours, if it is its turn."""

    open_unit_of_work: OpenUnitOfWork
    personas: Personas
    lease_seconds: float
    context_messages: int

    async def __call__(self, generation_id: GenerationId) -> Claimed | None:
        """None if there is nothing to do: it is answered, somebody else's, or not yet its turn."""
        async with self.open_unit_of_work() as work:
            generation = await work.generations.claim(generation_id, self.lease_seconds)
            if generation is None:
                return None
            session = await work.sessions.find(generation.session_id, generation.owner)
            recent = await work.messages.recent(
                generation.session_id, generation.number, self.context_messages
            )
            await work.commit()
        own = session.system_prompt if session else None
        prompt = build_prompt(own or self._persona(generation), recent)
        return Claimed(Claim(generation), prompt, session.title if session else None)

    def _persona(self, generation: Generation) -> str | None:
        try:
            persona = self.personas.choose(generation.persona)
        except PersonaNotFound:  # it was there when the message was accepted
            persona = self.personas.choose(None)
        return persona.content if persona else None
