"""The real web application over plain memory, as the composition root wires it."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from application.accepting import StoreGeneration
from application.announce import AnnounceTo
from application.answer_message import AnswerMessage
from application.choose_model import ChooseModel
from application.claim_generation import ClaimGeneration
from application.claims import Claims
from application.end_generation import EndGeneration
from application.ports import EventWriter, Finish, Piece, Request, Spans, Subscription, TextPiece
from application.recollect import Recollect
from application.renew_claims import RenewClaims
from application.spans import UNTRACED
from application.submit_message import Submission, SubmitMessage
from domain.access import Caller
from domain.events import DomainEvent
from domain.identifiers import GenerationId, SessionId, UserId
from domain.limits import Rate, Room
from domain.message import Usage
from domain.prompt import ContextWindow, Prompt
from domain.secret import Secret
from domain.uploaded_file import FileLimits
from domain.user import LOCAL_USERNAME
from infrastructure.jwt_tokens import JwtTokens
from infrastructure.memory.cache import MemoryCache
from infrastructure.memory.event_stream import MemoryEventStream
from infrastructure.memory.rate_limiter import MemoryRateLimiter
from infrastructure.memory.seats import MemorySeats
from infrastructure.memory.wake_ups import MemoryWakeUps
from interface.client_address import ClientAddress, Network
from interface.origins import Origins
from tests.builders import SECRET_KEY, SESSION, add_question, add_session, add_user, claim, sign_in
from tests.fakes import (
    CountingIds,
    FakeDatabase,
    FakeDocumentReader,
    FakeFileStore,
    FakeModels,
    FakePasswords,
    FakePersonas,
    FakeQueue,
    ScriptedModel,
)
from wiring.given import Admission, Bounds, Pages, Ports
from wiring.web import build_web


class CountedStream(MemoryEventStream):
    """Counts who is subscribed."""

    subscribed = 0

    @asynccontextmanager
    async def subscribe(self, session_id: SessionId) -> AsyncIterator[Subscription]:
        async with super().subscribe(session_id) as subscription:
            self.subscribed += 1
            try:
                yield subscription
            finally:
                self.subscribed -= 1


@dataclass
class HeardQueue(FakeQueue):
    """Lets a test wait for what is put into it."""

    _put: "asyncio.Queue[GenerationId]" = field(default_factory=asyncio.Queue)

    async def put(self, request: Request) -> None:
        await super().put(request)
        self._put.put_nowait(request.generation_id)

    async def heard(self) -> GenerationId:
        return await asyncio.wait_for(self._put.get(), 10)


async def hello(_: Prompt) -> AsyncGenerator[Piece, None]:
    yield TextPiece("Hello")
    yield TextPiece(" there")
    yield Finish("stop", Usage(3, 2))


@dataclass(frozen=True)
class Running:
    """An answer in the middle of being written."""

    generation_id: GenerationId
    writer: EventWriter


@dataclass
class Doors:
    database: FakeDatabase = field(default_factory=FakeDatabase)
    stream: CountedStream = field(default_factory=CountedStream)
    queue: HeardQueue = field(default_factory=HeardQueue)
    model: ScriptedModel = field(default_factory=lambda: ScriptedModel(hello))
    personas: FakePersonas = field(default_factory=lambda: FakePersonas({"teacher": "Teach."}))
    happened: list[DomainEvent] = field(default_factory=list)
    sync_timeout: float = 60
    files: FakeFileStore = field(default_factory=FakeFileStore)
    file_limits: FileLimits = field(default_factory=lambda: FileLimits(1_000, 3, 2_000))
    passwords: FakePasswords = field(default_factory=FakePasswords)
    sign_in_required: bool = False
    proxies: tuple[Network, ...] = ()
    guesses: Rate | None = None
    registrations: Rate | None = None
    of_user: Rate | None = None
    of_token: Rate | None = None
    of_address: Rate | None = None
    origins: Origins = field(default_factory=Origins)
    spans: Spans = UNTRACED
    pages: Pages = field(
        default_factory=lambda: Pages(
            {"index.html": b"<!doctype html>"}, {"index.html": b"<!doctype a>"}, b"<!doctype html>"
        )
    )

    def __post_init__(self) -> None:
        database, stream, ids = self.database, self.stream, CountingIds()
        self.models = FakeModels({"scripted": self.model, "other": self.model}, behind=self.model)
        announce = AnnounceTo([self.happened.append])
        self.wake_ups, cache = MemoryWakeUps(), MemoryCache()
        ports = Ports(
            database,
            self.queue,
            stream,
            self.wake_ups,
            cache,
            self.models,
            self.personas,
            ids,
            self.files,
            FakeDocumentReader(),
            MemoryRateLimiter(),
            MemorySeats(),
            announce.listeners,
            self.spans,
        )
        self.tokens = JwtTokens(SECRET_KEY, access_seconds=900)
        admission = Admission(
            self.passwords,
            self.tokens,
            self.sign_in_required,
            ClientAddress(self.proxies),
            self.guesses,
            self.registrations,
            self.of_user,
            self.of_token,
            self.of_address,
        )
        bounds = Bounds(self.sync_timeout, self.file_limits)
        web = build_web(ports, admission, bounds, self.origins, self.pages)
        self.routes, self.visits, self.recheck = web.routes, web.visits, web.recheck
        self.app, self.health, self.watch = web.app, web.health, web.watch
        self.followers, self.heartbeats = web.followers, web.heartbeats
        choose_model = ChooseModel(self.models)
        self.submit = SubmitMessage(
            database,
            self.queue,
            StoreGeneration(choose_model, self.personas, Room()),
            ids,
            announce,
        )
        end = EndGeneration(database, stream, self.queue, announce)
        window = ContextWindow(messages=20, tokens=1_000, count=len)
        recollect = Recollect(cache)
        self._claim = ClaimGeneration(
            database, choose_model, self.personas, window, 60, announce, recollect
        )
        self.claims = Claims()
        self.renew = RenewClaims(database, self.claims, 60)
        self._answer = AnswerMessage(database, stream, self.claims, end, self.queue, recollect)

    async def local(self) -> UserId:
        """Who everybody is here."""
        return await add_user(self.database, LOCAL_USERNAME)

    async def sign_in(self, username: str = "ada") -> tuple[Caller, Secret]:
        """Who that is, and an access token."""
        user = await add_user(self.database, username)
        caller = await sign_in(self.database, user, f"signin_of_{username}")
        return caller, self.tokens.access(caller)

    async def log_out(self, user: UserId) -> None:
        async with self.database() as work:
            await work.sign_ins.end_all(user)
            await work.commit()

    async def session(self, session_id: str = SESSION) -> SessionId:
        """A session of whoever asks."""
        return await add_session(self.database, await self.local(), session_id)

    async def foreign_session(self, session_id: str = "session_of_bob") -> SessionId:
        return await add_session(self.database, await add_user(self.database, "bob"), session_id)

    async def foreign_question(self) -> GenerationId:
        session_id = await self.foreign_session()
        return await add_question(self.database, await add_user(self.database, "bob"), session_id)

    async def ask(self, session_id: SessionId, text: str = "why?") -> GenerationId:
        submission = Submission(text, request_id="request-1")
        return (await self.submit(await self.local(), session_id, submission)).generation_id

    async def answer(self, generation_id: GenerationId) -> None:
        """What a worker does: events `<fence>-0` start, -1 and -2 text, -3 done."""
        claimed = await self._claim(generation_id)
        assert claimed is not None
        await self._answer(claimed)

    async def answered(self, session_id: SessionId, text: str = "why?") -> GenerationId:
        generation_id = await self.ask(session_id, text)
        await self.answer(generation_id)
        return generation_id

    async def running(self, session_id: SessionId, text: str = "why?") -> Running:
        """A claimed generation, whose events the test writes itself."""
        generation = await claim(self.database, await self.ask(session_id, text))
        assert generation is not None
        return Running(generation.id, self.stream.writer(session_id, generation.fence))

    def delete(self, session_id: SessionId) -> None:
        del self.database.state.sessions[session_id]
