"""What the use cases need of the world. Each docstring is a promise that every adapter keeps."""

from collections.abc import AsyncGenerator, AsyncIterable, Collection, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from application.events import Entry, Snapshot, StreamEvent
from domain.access import Caller, Refresh
from domain.api_config import ApiConfig
from domain.conversation import Conversation
from domain.events import DomainEvent
from domain.file_type import FileKind
from domain.identifiers import ApiId, FileKey, GenerationId, SessionId, SignInId, UserId
from domain.limits import Rate, Standing
from domain.message import Usage
from domain.persona import Persona
from domain.position import Position
from domain.prompt import Prompt
from domain.repositories import (
    ApiConfigs,
    ApiTokens,
    Callers,
    Calls,
    ChatSessions,
    Generations,
    IdempotencyKeys,
    Messages,
    Retention,
    SignIns,
    Tickets,
    UploadedFiles,
    Users,
)
from domain.secret import Secret


class UnitOfWork(Protocol):
    """One transaction: all of it is kept by `commit`, or nothing."""

    @property
    def users(self) -> Users: ...
    @property
    def sessions(self) -> ChatSessions: ...
    @property
    def messages(self) -> Messages: ...
    @property
    def calls(self) -> Calls: ...
    @property
    def files(self) -> UploadedFiles: ...
    @property
    def generations(self) -> Generations: ...
    @property
    def idempotency_keys(self) -> IdempotencyKeys: ...
    @property
    def api_configs(self) -> ApiConfigs: ...
    @property
    def sign_ins(self) -> SignIns: ...
    @property
    def callers(self) -> Callers: ...
    @property
    def api_tokens(self) -> ApiTokens: ...
    @property
    def tickets(self) -> Tickets: ...
    @property
    def retention(self) -> Retention: ...

    async def commit(self) -> None:
        """Once it returns, the changes survive the loss of every process."""


class OpenUnitOfWork(Protocol):
    def __call__(self, *, read_only: bool = False) -> AbstractAsyncContextManager[UnitOfWork]:
        """Leaving it without a commit rolls back. A read-only one sees one moment of the database,
        waits for no writer, and is never committed."""


@dataclass(frozen=True, slots=True)
class Request:
    """A hint that a generation waits. It carries ids, not copies. `traceparent` is the span that
    its answer is part of, as W3C writes it, if somebody traces."""

    generation_id: GenerationId
    request_id: str | None = None
    traceparent: str | None = None


class RequestQueue(Protocol):
    """Hands each request to one worker, oldest first. A hint: the database holds what must be
    answered, so a request may be lost with a process, or seen twice."""

    @property
    def away(self) -> bool:
        """It hands out nothing at present: look into the database instead."""

    async def put(self, request: Request) -> None:
        """Returns once a worker can take it. Raises QueueUnavailable: it is late then, not lost."""

    async def take(self) -> Request:
        """Waits for a request. Cancelling the wait loses none."""

    async def done(self, request: Request) -> None:
        """The request was claimed, or needs no claim: forget it."""


class WakeUps(Protocol):
    """Tells all workers at once that a session was changed under an answer: it is to stop, or is
    gone. A hint, like a request: the database holds what is wished, and the next heartbeat finds
    it."""

    async def wake(self, session_id: SessionId) -> None:
        """Never waits for a worker, and raises nothing: it may be lost."""

    def woken(self) -> AsyncGenerator[SessionId, None]:
        """Those that are woken from the first `anext` on, without end, and perhaps some of just
        before. Who is slow misses some."""


class Announce(Protocol):
    """Tells listeners what has happened, once it is committed."""

    def __call__(self, event: DomainEvent) -> None:
        """Neither waits nor raises, whatever the listeners do. A process that dies tells nothing:
        listeners that must miss nothing read the database."""


class PositionLost(Exception):
    """What came right after a position is no longer held: look into the database, and go on from
    `floor`, after which everything is held."""

    def __init__(self, floor: Position) -> None:
        super().__init__(f"events up to {floor} are no longer held")
        self.floor = floor


class Subscription(Protocol):
    """One subscriber's view of a session's stream, from its registration on."""

    async def held(self, since: Position | None = None) -> Sequence[Entry]:
        """All that is held, or what is from this position on, in order, without a gap."""

    async def next(self, after: Position) -> Sequence[Entry]:
        """What comes right after a position, without a gap; waits until there is something.
        Empty when woken. Raises PositionLost."""

    def wake(self) -> None:
        """Let a waiting `next` return, or the next one if none waits."""


class EventWriter(Protocol):
    """The pen of one claim. Its events get positions `<fence>-0`, `-1`, …"""

    @property
    def top(self) -> Position:
        """Of the last event that has a place, whether it could be stored or not; seq -1 before
        the first."""

    @property
    def broken(self) -> bool:
        """Something that was written is not stored and will not be: the stream is away, or has
        lost what it held, or a higher fence rules. From then on nothing is stored until `restart`
        or `rise`; events go on to take their places."""

    def write(self, event: StreamEvent) -> None:
        """Never waits. Pieces of text that come faster than they are shown are joined."""

    def restart(self, snapshot: Snapshot) -> Position:
        """Go on after it broke, from all that there is so far, and return this snapshot's place.
        Only who has just proved that the claim holds may do this. Never waits; it may break again
        at once."""

    def rise(self, fence: int) -> None:
        """Go on under a higher fence, from its seq 0. What is not stored yet is dropped: a snapshot
        is to be written next."""

    async def flush(self) -> Position:
        """Returns the new `top` once all that was written is stored, or will not be. Takes a
        second at most and raises nothing: the stream may be away, the database decides."""


class EventStream(Protocol):
    """A short-lived, replayable view of each session, in order of position.

    It holds the running answer and the one before it, for a while. The writer with the highest
    fence rules: what an older one writes is not stored.
    """

    @property
    def away(self) -> bool:
        """What other processes write does not come at present: look into the database instead."""

    def writer(self, session_id: SessionId, fence: int) -> EventWriter: ...

    def subscribe(self, session_id: SessionId) -> AbstractAsyncContextManager[Subscription]: ...

    async def held(self, session_id: SessionId) -> Sequence[Entry]:
        """All that is held, in order, without a gap; nothing if the stream is away."""

    async def remove(self, session_id: SessionId) -> None:
        """The session is gone: nothing of it is held, nothing of what a claim of before writes is
        stored, and for its subscribers `next` raises PositionLost. Raises nothing."""


@dataclass(frozen=True, slots=True)
class Recalled:
    """What a cache knows; it may have been otherwise for a long time."""

    conversation: Conversation | None = None
    config: ApiConfig | None = None


class Cache(Protocol):
    """Recalls what was in the database, so that it need not be read again.

    It decides nothing: what it recalls is used only if the database says, in a transaction that is
    open anyway, that it is still so. So it may recall what is old, and forget anything at any time.
    Whatever it holds is gone ten minutes after it was kept, at the latest.

    Nothing raises, and one that is away is not waited for: it knows nothing then. Of a key it holds
    what the database holds: sealed.
    """

    async def recall(self, session_id: SessionId, api_id: ApiId | None) -> Recalled:
        """The conversation of a session, and that configuration, if one is named."""

    async def keep_conversation(self, conversation: Conversation) -> None: ...

    async def keep_config(self, config: ApiConfig) -> None: ...

    async def forget_conversation(self, session_id: SessionId) -> None:
        """Nobody is to have these words any more. While the cache is away they stay until they
        expire."""

    async def forget_config(self, api_id: ApiId) -> None:
        """Likewise, what it was or is."""


@dataclass(frozen=True, slots=True)
class TextPiece:
    text: str


@dataclass(frozen=True, slots=True)
class ReasoningPiece:
    text: str


@dataclass(frozen=True, slots=True)
class Finish:
    """The model says that its answer is whole. Always the last piece. Some say so without a
    reason."""

    reason: str | None
    usage: Usage | None = None


Piece = TextPiece | ReasoningPiece | Finish


class ChatModel(Protocol):
    def stream(self, prompt: Prompt) -> AsyncGenerator[Piece, None]:
        """The answer as it is made. Ends with Finish, or raises ModelFailed; an end without
        either is not a success. Closing the generator ends the call at once."""


@dataclass(frozen=True, slots=True)
class ServerModel:
    """A model that the server itself offers to everybody."""

    name: str
    provider: str


class ChatModels(Protocol):
    """All models that can be called."""

    @property
    def offered(self) -> Sequence[ServerModel]:
        """The server's own; the first one is its default."""

    @property
    def providers(self) -> Collection[str]:
        """The dialects that a user's configuration may name."""

    def own(self, model_name: str) -> ChatModel | None:
        """The server's own model of that name."""

    def configured(self, config: ApiConfig) -> ChatModel:
        """The model behind a user's configuration. Raises KeyUnreadable, and ModelNotFound if this
        server does not know its provider."""


class Personas(Protocol):
    @property
    def names(self) -> Sequence[str]:
        """The first one is the default."""

    def choose(self, name: str | None) -> Persona | None:
        """The persona of that name, or the default one; None if there are none at all.
        Raises PersonaNotFound."""


class Ids(Protocol):
    def session(self) -> SessionId: ...

    def generation(self) -> GenerationId: ...

    def sign_in(self) -> SignInId: ...

    def file(self) -> FileKey: ...

    def api_token(self) -> Secret:
        """Nobody can guess it."""

    def ticket(self) -> Secret:
        """Likewise."""


class FileStore(Protocol):
    """Keeps what files hold, each under its key. What is known of a file is in the database."""

    async def save(self, key: FileKey, content: AsyncIterable[bytes]) -> None:
        """Returns once all of it survives a loss of power. Never holds all of it in memory. If it
        raises, some of it may be there: delete it. Raises StorageFull, StorageUnavailable, and
        whatever the content raises."""

    async def size(self, key: FileKey) -> int | None:
        """In bytes; None if it is not there. Raises StorageUnavailable."""

    def read(self, key: FileKey) -> AsyncGenerator[bytes, None]:
        """All of it, in pieces. Raises StorageUnavailable, also if it is not there."""

    async def delete(self, key: FileKey) -> None:
        """It is not there any more, or was not. Raises StorageUnavailable."""


class UnreadableDocument(Exception):
    """The text of a document can't be had; the sentence says why, for whoever sent it."""


class DocumentReader(Protocol):
    async def text(self, kind: FileKind, content: AsyncIterable[bytes]) -> str:
        """The text of a document, as a database can hold it. Whatever it holds costs bounded time
        and memory, and neither blocks nor harms this process. Raises UnreadableDocument;
        Overloaded, at once, if too many are being read; and whatever the content raises."""


class PasswordHasher(Protocol):
    """Makes of passwords what tells nothing of them, at a cost on purpose; so only a few are done
    at a time and few may wait. Both methods raise Overloaded at once if more are asked for."""

    async def hash(self, password: Secret) -> str:
        """Another one each time, also for the same password."""

    async def matches(self, password: Secret, hashed: str | None) -> bool:
        """Whether it was made of this password. None is no password's, and costs the same."""


class Tokens(Protocol):
    """Texts that prove who asks, made by this server, or another process with the same secret.
    A token of one kind is none of the other."""

    @property
    def access_seconds(self) -> int:
        """How long an access token holds."""

    @property
    def refresh_seconds(self) -> int:
        """How long a refresh token holds."""

    def access(self, caller: Caller) -> Secret:
        """For a caller by sign-in."""

    def refresh(self, refresh: Refresh) -> Secret: ...

    def read_access(self, token: Secret) -> Caller:
        """Raises InvalidToken; also when it has expired."""

    def read_refresh(self, token: Secret) -> Refresh:
        """Raises InvalidToken, likewise."""


class RateLimiter(Protocol):
    """Counts what is done too often, by who does it: within a window that moves on with time, and
    that all processes share, as long as they can reach each other. While they can't, each counts
    by itself. Neither method raises, and neither says that all is well because it can't count."""

    async def hit(self, rate: Rate, key: str) -> Standing:
        """Counts one more of this key, unless that would be too many: then it is not allowed, and
        not counted."""

    async def look(self, rate: Rate, key: str) -> Standing:
        """Whether one more would be allowed. Counts nothing."""


class TakenSeats(Protocol):
    """Which seats are taken in all processes together, as long as they can reach each other. While
    they can't, each counts its own. Nothing raises."""

    async def take(self, user: UserId, most: int) -> str | None:
        """One more of this user's, if that makes at most so many; by this name it is left."""

    def leave(self, user: UserId, seat: str) -> None:
        """Others may know of it later. Never waits."""

    async def renew(self) -> None:
        """Those of this process are still taken. To be done every half a minute: others take a seat
        for left of which they have heard nothing for three times as long."""


class Span(Protocol):
    """Something that takes its time. It is told ids, codes, names of the operator's and counts:
    never what people say or are called, nor keys or addresses."""

    def tell(self, name: str, value: str | int) -> None: ...

    def fail(self, code: str) -> None:
        """It ends by this error."""


class Spans(Protocol):
    """Shows whoever traces what took how long, and what was part of what. Nothing waits or raises
    by itself, and while nobody can be told, nobody is."""

    def span(self, name: str, parent: str | None = None) -> AbstractContextManager[Span]:
        """The time inside: part of the `parent`, a traceparent, or without one of what is around.
        What is raised through it is told by its code alone."""

    def within(self, parent: str) -> AbstractContextManager[object]:
        """What is inside is part of a span of somebody else's, if that is a valid traceparent."""

    def traceparent(self) -> str | None:
        """Of what is around, for who does a part of it elsewhere."""
