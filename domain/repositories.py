"""What the database remembers. Every method belongs to the transaction of its unit of work.

All times are the database's. Methods raise DatabaseUnavailable when it does not answer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol

from domain.api_config import ApiChanges, ApiConfig, NewApiConfig
from domain.chat_session import ChatSession
from domain.generation import Ending, Failure, Generation
from domain.identifiers import ApiId, GenerationId, MessageId, SessionId, UserId
from domain.message import Message
from domain.position import Position
from domain.user import User


class Users(Protocol):
    async def get_or_add(self, username: str) -> User: ...


class SessionPage(NamedTuple):
    """Where a list of sessions goes on: after the one with this activity time and id."""

    updated_at: datetime
    session_id: SessionId


@dataclass(frozen=True, slots=True)
class NewSession:
    id: SessionId
    owner: UserId
    title: str | None = None
    model_name: str | None = None
    persona: str | None = None
    system_prompt: str | None = None


class ChatSessions(Protocol):
    async def add(self, new: NewSession) -> bool:
        """False, and nothing is changed, if the id is taken, be it by a deleted session."""

    async def find(self, session_id: SessionId, owner: UserId) -> ChatSession | None:
        """None if it does not exist, is deleted, or is another user's."""

    async def lock(self, session_id: SessionId, owner: UserId) -> ChatSession | None:
        """As `find`; and until the transaction ends nobody else changes this session."""

    async def save(self, session: ChatSession) -> None:
        """Store title, counts and choices, and note the activity. The session must be locked."""

    async def page(
        self, owner: UserId, limit: int, after: SessionPage | None
    ) -> Sequence[ChatSession]:
        """Newest activity first."""

    async def ends(self, session_ids: Sequence[SessionId]) -> Mapping[SessionId, Position]:
        """Where each session's last ended answer ended. Sessions that are gone are left out."""


@dataclass(frozen=True, slots=True)
class NewQuestion:
    session_id: SessionId
    generation_id: GenerationId
    number: int
    content: str


class Messages(Protocol):
    async def add_question(self, new: NewQuestion) -> MessageId: ...

    async def recent(
        self, session_id: SessionId, up_to_number: int, limit: int
    ) -> Sequence[Message]:
        """The last `limit` messages up to that number, oldest first."""

    async def page(
        self, session_id: SessionId, limit: int, after_number: int | None, newest_first: bool
    ) -> Sequence[Message]:
        """In the order of the conversation, going on after that number."""


@dataclass(frozen=True, slots=True)
class NewGeneration:
    id: GenerationId
    session_id: SessionId
    owner: UserId
    message_id: MessageId
    number: int
    model_name: str
    api_id: ApiId | None
    persona: str | None
    request_id: str | None


class Renewal(NamedTuple):
    """A claim that still holds, and whether its owner is asked to stop."""

    generation_id: GenerationId
    stop_requested: bool


class Generations(Protocol):
    """Each change is one conditional update: None or False says that the condition did not hold."""

    async def add(self, new: NewGeneration) -> None: ...

    async def find(self, generation_id: GenerationId, owner: UserId) -> Generation | None: ...

    async def claim(self, generation_id: GenerationId, lease_seconds: float) -> Generation | None:
        """Make it running under a new fence. None unless it may be claimed: it waits or its lease
        is over, attempts are left, nobody asked to stop it, and it is its session's turn."""

    async def renew(
        self, claims: Sequence[tuple[GenerationId, int]], lease_seconds: float
    ) -> Sequence[Renewal]:
        """Prolong these claims (id, fence), in one statement. Those left out are lost."""

    async def release(self, generation_id: GenerationId, fence: int) -> bool:
        """Give a claim back at once; the attempt is not counted against the generation."""

    async def finish(
        self, generation_id: GenerationId, fence: int, ending: Ending
    ) -> "Finished | None":
        """End it and store the answer. None if the claim is not held any more."""

    async def due(self, limit: int, waiting_seconds: float) -> Sequence[GenerationId]:
        """What may be claimed now: its lease is over, or it has waited at least so long."""

    async def lost(self, limit: int) -> Sequence[Generation]:
        """Running ones whose lease is over and whose attempts are used up."""

    async def fail_lost(
        self, generation_id: GenerationId, text: str, failure: Failure
    ) -> "Finished | None":
        """End one of the `lost` as failed, under a new fence, with the text that was seen.

        None if it is not lost any more. Its terminal event has seq 1, after a snapshot at 0.
        """

    async def since(
        self, session_id: SessionId, fence: int | None, limit: int
    ) -> Sequence[Generation]:
        """The first `limit` claimed generations with at least this fence, by fence. Without a
        fence, or where none has it, the running one only."""


@dataclass(frozen=True, slots=True)
class Finished:
    """An ended generation, and the next one of its session, if one waits."""

    generation: Generation
    next_id: GenerationId | None


@dataclass(frozen=True, slots=True)
class KeptRequest:
    """What an idempotency key stands for: a digest of the request, and what it made."""

    digest: str
    session_id: SessionId
    message_id: MessageId
    generation_id: GenerationId


class IdempotencyKeys(Protocol):
    async def find(self, owner: UserId, key: str) -> KeptRequest | None: ...

    async def add(self, owner: UserId, key: str, kept: KeptRequest) -> bool:
        """False, and nothing is changed, if the key is kept already. Waits for a transaction that
        is adding the same one."""


class ApiConfigs(Protocol):
    """Users' model configurations. Keys are stored sealed: whoever reads the database, a copy of
    it or another user's row has no use of them."""

    async def add(self, new: NewApiConfig) -> ApiConfig:
        """Raises NameTaken, and nothing is changed."""

    async def change(self, owner: UserId, api_id: ApiId, changes: ApiChanges) -> ApiConfig | None:
        """None if there is no such configuration. Raises NameTaken, and nothing is changed."""

    async def delete(self, owner: UserId, api_id: ApiId) -> bool:
        """The row goes, and with it the key. False if there is no such configuration."""

    async def find(self, owner: UserId, api_id: ApiId) -> ApiConfig | None: ...

    async def named(self, owner: UserId, name: str) -> ApiConfig | None: ...

    async def first(self, owner: UserId, model_name: str | None = None) -> ApiConfig | None:
        """The oldest one, or the oldest one of that model."""

    async def page(
        self, owner: UserId, limit: int, after: ApiId | None, model_name: str | None = None
    ) -> Sequence[ApiConfig]:
        """Oldest first, or the oldest ones of that model."""

    async def model_names(self, owner: UserId) -> Sequence[tuple[str, str]]:
        """All models that the user has configured, once each, with the provider of the oldest
        configuration, oldest first: (model name, provider)."""
