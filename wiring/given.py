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
    RequestQueue,
    Tokens,
    WakeUps,
)


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
    listeners: Sequence[Listener] = ()


@dataclass(frozen=True, slots=True)
class Pages:
    """What browsers load: the web page and `/docs`, by path, and the plain page at `/chat`."""

    chat: Mapping[str, bytes]
    docs: Mapping[str, bytes]
    plain: bytes


@dataclass(frozen=True, slots=True)
class Admission:
    """How people prove who they are, and whether they must."""

    passwords: PasswordHasher
    tokens: Tokens
    required: bool
