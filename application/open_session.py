from dataclasses import dataclass

from application.choose_model import ChooseModel
from application.ports import Ids, OpenUnitOfWork, Personas
from domain.chat_session import ChatSession
from domain.errors import SessionNotFound
from domain.identifiers import SessionId, UserId
from domain.repositories import NewSession


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a new session may be given; None leaves the choice to the server."""

    session_id: SessionId | None = None
    title: str | None = None
    model_name: str | None = None
    persona: str | None = None
    system_prompt: str | None = None


@dataclass(frozen=True, slots=True)
class Opened:
    session: ChatSession
    created: bool


@dataclass(frozen=True, slots=True)
class OpenSession:
    """Make a session, or open the user's own one of that id as it is."""

    open_unit_of_work: OpenUnitOfWork
    choose_model: ChooseModel
    personas: Personas
    ids: Ids

    async def __call__(self, user: UserId, wishes: Wishes) -> Opened:
        """Raises SessionNotFound when the id is another user's, ModelNotFound, PersonaNotFound."""
        self.personas.choose(wishes.persona)
        session_id = wishes.session_id or self.ids.session()
        new = NewSession(
            session_id,
            user,
            wishes.title,
            wishes.model_name,
            wishes.persona,
            wishes.system_prompt,
        )
        async with self.open_unit_of_work() as work:
            created = await work.sessions.add(new)
            if created and wishes.model_name is not None:
                await self.choose_model(work, user, wishes.model_name)
            session = await work.sessions.find(session_id, user)
            if session is None:
                raise SessionNotFound
            await work.commit()
        return Opened(session, created)
