"""What the wiring is given: adapters, and what the doors show."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from application.announce import Listener
from application.ports import (
    Cache,
    ChatModels,
    DocumentReader,
    EventStream,
    FileStore,
    Ids,
    OpenUnitOfWork,
    PasswordHasher,
    Personas,
    RateLimiter,
    RequestQueue,
    Spans,
    TakenSeats,
    Tokens,
    WakeUps,
)
from application.spans import UNTRACED
from domain.limits import NO_LIMIT, Rate, Room
from domain.uploaded_file import FileLimits
from interface.client_address import ClientAddress


@dataclass(frozen=True, slots=True)
class Ports:
    """What keeps the promises of `application/ports.py`."""

    open_unit_of_work: OpenUnitOfWork
    queue: RequestQueue
    stream: EventStream
    wake_ups: WakeUps
    cache: Cache
    models: ChatModels
    personas: Personas
    ids: Ids
    files: FileStore
    documents: DocumentReader
    rate_limiter: RateLimiter
    seats: TakenSeats
    listeners: Sequence[Listener] = ()
    spans: Spans = UNTRACED


@dataclass(frozen=True, slots=True)
class Pages:
    """What browsers load: the web page and `/docs`, by path, and the plain page at `/chat`."""

    chat: Mapping[str, bytes]
    docs: Mapping[str, bytes]
    plain: bytes


@dataclass(frozen=True, slots=True)
class Bounds:
    """For how long a request waits for its whole answer, in seconds, and how much there may be of
    files, of answers, and of each user's streams at a time; 0 is no limit to these."""

    sync_timeout: float
    files: FileLimits
    room: Room = NO_LIMIT
    streams_per_user: int = 0


@dataclass(frozen=True, slots=True)
class Admission:
    """How people prove who they are, and whether they must; how often they may try that, and ask
    for anything, if it is limited."""

    passwords: PasswordHasher
    tokens: Tokens
    required: bool
    address_of: ClientAddress
    guesses: Rate | None = None
    registrations: Rate | None = None
    of_user: Rate | None = None
    of_token: Rate | None = None
    of_address: Rate | None = None
