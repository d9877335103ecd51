from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field

import pytest

from application.accepting import Accepted, StoreGeneration
from application.announce import AnnounceTo
from application.answer_message import AnswerMessage
from application.change_session import ChangeSession, ClearHistory, DeleteSession
from application.choose_model import ChooseModel
from application.claim_generation import Claimed, ClaimGeneration
from application.claims import Claims
from application.clear_strays import ClearStrays
from application.end_generation import EndGeneration
from application.events import Entry
from application.follow_session import FollowGeneration, FollowSession
from application.following import Followers
from application.ports import Cache, ChatModel, Finish, Piece, TextPiece
from application.recollect import Recollect
from application.regenerate_answer import RegenerateAnswer
from application.renew_claims import RenewClaims
from application.stop_generation import StopGeneration
from application.submit_message import Submission, SubmitMessage
from application.sweep_generations import SweepGenerations
from application.watch_sessions import WatchSessions
from domain.events import DomainEvent
from domain.generation import Generation
from domain.identifiers import GenerationId, SessionId, UserId
from domain.limits import Room
from domain.message import Usage
from domain.prompt import ContextWindow, Prompt
from infrastructure.memory.cache import MemoryCache
from infrastructure.memory.event_stream import MemoryEventStream
from infrastructure.memory.wake_ups import MemoryWakeUps
from tests.builders import add_session, add_user
from tests.fakes import (
    CountingIds,
    FakeDatabase,
    FakeFileStore,
    FakeModels,
    FakePersonas,
    FakeQueue,
    FakeSpans,
    Script,
    ScriptedModel,
)

WINDOW = ContextWindow(messages=20, tokens=1_000, count=len)


async def hello(_: Prompt) -> AsyncGenerator[Piece, None]:
    yield TextPiece("Hel")
    yield TextPiece("lo")
    yield Finish("stop", Usage(1, 2))


@dataclass
class Chat:
    """The use cases over fakes, for one user with one session."""

    user: UserId
    session_id: SessionId
    database: FakeDatabase
    stream: MemoryEventStream
    queue: FakeQueue = field(default_factory=FakeQueue)
    model: ScriptedModel = field(default_factory=lambda: ScriptedModel(hello))
    configured_model: ScriptedModel = field(default_factory=lambda: ScriptedModel(hello))
    personas: FakePersonas = field(default_factory=lambda: FakePersonas({"teacher": "Teach."}))
    claims: Claims = field(default_factory=Claims)
    followers: Followers = field(default_factory=Followers)
    ids: CountingIds = field(default_factory=CountingIds)
    wake_ups: MemoryWakeUps = field(default_factory=MemoryWakeUps)
    cache: Cache = field(default_factory=MemoryCache)
    happened: list[DomainEvent] = field(default_factory=list)
    files: FakeFileStore = field(default_factory=FakeFileStore)
    lease_seconds: float = 60
    room: Room = field(default_factory=Room)
    window: ContextWindow = WINDOW
    spans: FakeSpans = field(default_factory=FakeSpans)

    def __post_init__(self) -> None:
        own: dict[str, ChatModel] = {"scripted": self.model, "other": self.model}
        self.models = FakeModels(own, behind=self.configured_model)

    @property
    def choose_model(self) -> ChooseModel:
        return ChooseModel(self.models)

    @property
    def submit(self) -> SubmitMessage:
        return SubmitMessage(
            self.database,
            self.queue,
            self.store_generation,
            self.ids,
            self.announce,
            self.spans,
        )

    @property
    def store_generation(self) -> StoreGeneration:
        return StoreGeneration(self.choose_model, self.personas, self.room)

    @property
    def announce(self) -> AnnounceTo:
        return AnnounceTo([self.happened.append])

    @property
    def stop(self) -> StopGeneration:
        return StopGeneration(self.database, self.end, self.wake_ups)

    @property
    def regenerate(self) -> RegenerateAnswer:
        return RegenerateAnswer(
            self.database,
            self.queue,
            self.store_generation,
            self.ids,
            self.announce,
            self.spans,
        )

    @property
    def change(self) -> ChangeSession:
        return ChangeSession(self.database, self.choose_model, self.personas, self.cache)

    @property
    def clear(self) -> ClearHistory:
        return ClearHistory(self.database, self.cache)

    @property
    def clear_strays(self) -> ClearStrays:
        return ClearStrays(self.database, self.files)

    @property
    def delete(self) -> DeleteSession:
        return DeleteSession(
            self.database,
            self.stream,
            self.wake_ups,
            self.announce,
            self.cache,
            self.clear_strays,
        )

    @property
    def recollect(self) -> Recollect:
        return Recollect(self.cache)

    @property
    def claim(self) -> ClaimGeneration:
        return ClaimGeneration(
            self.database,
            self.choose_model,
            self.personas,
            self.window,
            self.lease_seconds,
            self.announce,
            self.recollect,
            self.room,
        )

    @property
    def end(self) -> EndGeneration:
        return EndGeneration(self.database, self.stream, self.queue, self.announce)

    @property
    def answer(self) -> AnswerMessage:
        return AnswerMessage(
            self.database,
            self.stream,
            self.claims,
            self.end,
            self.queue,
            self.recollect,
            spans=self.spans,
        )

    @property
    def renew(self) -> RenewClaims:
        return RenewClaims(self.database, self.claims, self.lease_seconds)

    @property
    def sweep(self) -> SweepGenerations:
        return SweepGenerations(self.database, self.stream, self.end, self.claims, 0)

    @property
    def follow(self) -> FollowSession:
        return FollowSession(self.database, self.stream, self.followers)

    @property
    def follow_generation(self) -> FollowGeneration:
        return FollowGeneration(self.database, self.stream, self.followers)

    @property
    def watch(self) -> WatchSessions:
        return WatchSessions(self.database, self.followers)

    def scripted(self, script: Script) -> None:
        self.model.script = script

    async def ask(self, text: str = "why?", key: str | None = None) -> Accepted:
        submission = Submission(text, idempotency_key=key)
        return await self.submit(self.user, self.session_id, submission)

    async def take(self) -> Claimed:
        """Claim the oldest request."""
        claimed = await self.claim((await self.queue.take()).generation_id)
        assert claimed is not None
        return claimed

    async def ask_and_answer(self, text: str = "why?") -> GenerationId:
        accepted = await self.ask(text)
        await self.answer(await self.take())
        return accepted.generation_id

    async def generation(self, generation_id: GenerationId) -> Generation:
        async with self.database(read_only=True) as work:
            found = await work.generations.find(generation_id, self.user)
        assert found is not None
        return found

    async def held(self) -> list[Entry]:
        async with self.stream.subscribe(self.session_id) as subscription:
            return list(await subscription.held())

    async def contents(self) -> list[str]:
        async with self.database(read_only=True) as work:
            messages = await work.messages.page(self.session_id, 100, None, False)
        return [message.content for message in messages]


@pytest.fixture
async def chat() -> AsyncIterator[Chat]:
    database = FakeDatabase()
    user = await add_user(database)
    stream = MemoryEventStream()
    yield Chat(user, await add_session(database, user), database, stream)
    stream.close()
