"""What the database remembers. Every method belongs to the transaction of its unit of work.

All times are the database's. Methods raise DatabaseUnavailable when it does not answer.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol

from domain.access import Caller, Refresh
from domain.api_config import ApiChanges, ApiConfig, NewApiConfig
from domain.api_token import ApiToken, NewApiToken
from domain.call import Call
from domain.chat_session import ChatSession
from domain.conversation import Mark
from domain.generation import Ending, Failure, Generation, Progress
from domain.identifiers import (
    ApiId,
    ApiTokenId,
    FileId,
    FileKey,
    GenerationId,
    MessageId,
    SessionId,
    SignInId,
    UserId,
)
from domain.limits import Room, Unanswered
from domain.message import Message
from domain.meter import Spent
from domain.position import Position
from domain.prompt import Prompt
from domain.uploaded_file import FileText, HeldFiles, NewFile, UploadedFile
from domain.user import User


class KeptPassword(NamedTuple):
    """What a password is checked against, and whose it is."""

    user: User
    hashed: str


class Users(Protocol):
    """A deleted user is not found, and the name stays taken."""

    async def get_or_add(self, username: str) -> User: ...

    async def named(self, username: str) -> User | None: ...

    async def default_persona(self, user: UserId) -> str | None: ...

    async def choose_default_persona(self, user: UserId, name: str) -> None: ...

    async def add(self, username: str, hashed: str) -> User:
        """With the hash of a password. Raises UsernameTaken, and nothing is changed."""

    async def find(self, user: UserId) -> User | None: ...

    async def password_of(self, username: str) -> KeptPassword | None:
        """None also for a user without one, who can't log in."""


class SignIns(Protocol):
    """Log-ins, each with its chain of refreshes. No token is kept: `rotation` is the number of
    the only refresh token that is good for one more."""

    async def begin(self, sign_in: SignInId, user: UserId, seconds: float) -> None:
        """With rotation 0, for so long. Forgets those of this user that are over."""

    async def renew(self, refresh: Refresh, seconds: float) -> bool:
        """Raise the rotation, in one conditional update, and let it last so long from now on.
        False if it is over, or the rotation is another: of two that come at once one gets True."""

    async def prolong(self, refresh: Refresh, seconds: float) -> bool:
        """Let it last so long from now on, in one conditional update; the rotation stays. False if
        it is over, or the rotation is another: all that come at once get True."""

    async def end_reused(self, refresh: Refresh) -> bool:
        """End it if its rotation is higher than this: somebody has a refresh token that was used
        before. False if there was nothing to end."""

    async def end_all(self, user: UserId) -> None: ...


class Callers(Protocol):
    async def standing(self, callers: Collection[Caller]) -> Collection[Caller]:
        """Those who may still ask: the user is not deleted, the sign-in not over, the API token
        there and not expired. One statement for a kind of them, however many."""


class ApiTokens(Protocol):
    """Of a token its digest is kept, by which it is found."""

    async def add(self, new: NewApiToken) -> ApiToken:
        """Raises TooManyApiTokens, and nothing is changed."""

    async def caller(self, digest: str) -> Caller | None:
        """Whom the token with this digest speaks for, in one statement; None if it is not there,
        has expired, or its user is deleted."""

    async def page(self, owner: UserId, limit: int, after: ApiTokenId | None) -> Sequence[ApiToken]:
        """Oldest first."""

    async def delete(self, owner: UserId, token_id: ApiTokenId) -> bool:
        """False if there is no such token."""


class Tickets(Protocol):
    """A ticket lets one stream in, on any web process, in the name of who had it made."""

    async def add(self, digest: str, caller: Caller, seconds: float) -> None:
        """Good for so long. Forgets all that are not good any more."""

    async def take(self, digest: str) -> Caller | None:
        """Whose it was; of two who take it at once one gets it. None if it is not there, was
        taken, or is too old."""


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
    kept_seconds: int | None = None


class ChatSessions(Protocol):
    async def add(self, new: NewSession) -> bool:
        """False, and nothing is changed, if the id is taken, be it by a deleted session."""

    async def find(self, session_id: SessionId, owner: UserId) -> ChatSession | None:
        """None if it does not exist, is deleted, or is another user's."""

    async def lock(self, session_id: SessionId, owner: UserId) -> ChatSession | None:
        """As `find`; and until the transaction ends nobody else changes this session."""

    async def save(self, session: ChatSession) -> None:
        """Store title, counts and choices, and note the activity. The session must be locked."""

    async def delete(self, session_id: SessionId) -> Sequence[GenerationId]:
        """It does not exist any more, nor do its messages, and its id stays taken. What was active
        in it has stopped: the ids of that. The session must be locked."""

    async def page(
        self, owner: UserId, limit: int, after: SessionPage | None
    ) -> Sequence[ChatSession]:
        """Those that are listed, newest activity first."""

    async def reached(self, session_ids: Sequence[SessionId]) -> Mapping[SessionId, Position]:
        """How far each session is: where the progress is that was saved of its running answer, or
        else where its last ended answer ended. Sessions that are gone are left out."""


@dataclass(frozen=True, slots=True)
class Forgotten:
    """A session of which nothing is left. `was_there` says that it was not deleted before;
    `contents` are those of its files, which are stray now."""

    session_id: SessionId
    owner: UserId
    was_there: bool
    contents: Sequence[FileKey] = ()


class Retention(Protocol):
    """What was kept for long enough."""

    async def forget_untouched(self, days: float, limit: int) -> Sequence[Forgotten]:
        """Rows and all of sessions in which nothing has happened for so long and nothing is being
        answered, the longest untouched first, however many; and of those that were deleted so long
        ago. Their ids are free again. Passes over what another transaction has locked."""

    async def forget_expired(self, limit: int) -> Sequence[Forgotten]:
        """Likewise those that are kept for a while only, when it is over, or once they are
        deleted."""

    async def forget_keys(self, days: float) -> int:
        """Idempotency keys this old; how many there were."""


@dataclass(frozen=True, slots=True)
class NewQuestion:
    session_id: SessionId
    generation_id: GenerationId
    number: int
    content: str
    file_ids: tuple[FileId, ...] = ()


class Messages(Protocol):
    async def add_question(self, new: NewQuestion) -> MessageId: ...

    async def find(self, message_id: MessageId) -> Message | None:
        """Also an answer that was withdrawn, as long as its question is there."""

    async def last_question(self, session_id: SessionId) -> Message | None: ...

    async def withdraw_answers(self, question: Message, generation_id: GenerationId) -> int:
        """Take the answers to a question out of the conversation, and let that generation answer
        it instead. How many there were."""

    async def clear(self, session_id: SessionId) -> None:
        """No message of the session exists any more, nor does any generation."""

    async def recent(
        self, session_id: SessionId, up_to_number: int, limit: int
    ) -> Sequence[Message]:
        """The last `limit` messages up to that number, oldest first."""

    async def page(
        self, session_id: SessionId, limit: int, after_number: int | None, newest_first: bool
    ) -> Sequence[Message]:
        """In the order of the conversation, going on after that number."""


class Calls(Protocol):
    """Each belongs to the session that was made for it."""

    async def add(self, session_id: SessionId, call: Call) -> None: ...

    async def find(self, session_id: SessionId) -> Call | None:
        """None if the session was not made for a call, or is deleted."""


class UploadedFiles(Protocol):
    """What is known of files. What they hold is stored elsewhere, each under its key; a content is
    stray if it belongs to no file: it is to be deleted there, and then to be forgotten here."""

    async def expect(self, key: FileKey, seconds: float) -> None:
        """A content will be stored under this key. It is stray if it has no file by then."""

    async def held(self, owner: UserId, session_id: SessionId) -> HeldFiles:
        """Until the transaction ends nobody else adds a file of this owner."""

    async def add(self, new: NewFile) -> UploadedFile | None:
        """None, and nothing is changed, if its content was not expected, or is stray by now."""

    async def find(self, owner: UserId, file_id: FileId) -> UploadedFile | None:
        """None if it does not exist, is deleted, or is another user's."""

    async def page(
        self, session_id: SessionId, limit: int, after: FileId | None
    ) -> Sequence[UploadedFile]:
        """Oldest first."""

    async def named(
        self, session_id: SessionId, file_ids: Collection[FileId]
    ) -> Mapping[FileId, UploadedFile]:
        """Those of this session that exist."""

    async def texts(
        self, file_ids: Collection[FileId], characters: int
    ) -> Mapping[FileId, FileText]:
        """What was read of each, at most so many characters from the beginning. Also of those that
        are deleted, which have no text any more."""

    async def delete(self, owner: UserId, file_id: FileId) -> FileKey | None:
        """Its text goes, and its content is stray now. None if there is no such file."""

    async def delete_all(self, session_id: SessionId) -> Sequence[FileKey]:
        """Likewise, all of a session."""

    async def strays(self, limit: int) -> Sequence[FileKey]:
        """The longest known first."""

    async def stray_now(self, key: FileKey) -> bool:
        """What was expected will not come. False if it has come, or was cleared."""

    async def clear(self, keys: Collection[FileKey]) -> None:
        """These are not stored any more."""


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


@dataclass(frozen=True, slots=True)
class Turn:
    """A claimed generation with its question, and what of its session the model is told.

    `mark` is its conversation's, and `api_changed_at` that of the configuration which was chosen;
    None if none was, or if it is gone. By these two can be seen whether what is known of them
    still holds. If it answers a call, it is `given` the prompt instead, or why that can't be read.
    `waited_seconds` have gone by since it was accepted.
    """

    generation: Generation
    question: Message
    title: str | None
    system_prompt: str | None
    default_persona: str | None
    mark: Mark
    api_changed_at: datetime | None
    given: Prompt | Failure | None = None
    waited_seconds: float = 0.0


class Renewal(NamedTuple):
    """A claim that still holds, and whether its owner is asked to stop."""

    generation_id: GenerationId
    stop_requested: bool


class Generations(Protocol):
    """Each change is one conditional update: None or False says that the condition did not hold."""

    async def add(self, new: NewGeneration) -> None: ...

    async def unanswered(self, owner: UserId, room: Room) -> Unanswered:
        """What is not over yet; counted up to where there is no room for more."""

    async def spent_today(self, owner: UserId) -> Spent:
        """What the owner's answers that have ended today say that they took, also if they are not
        there any more."""

    async def backlog(self, most: int) -> "Backlog":
        """What waits of all users; counted up to `most`."""

    async def find(self, generation_id: GenerationId, owner: UserId) -> Generation | None:
        """None if it does not exist, if its question or its session is deleted, or if it is
        another user's."""

    async def claim(self, generation_id: GenerationId, lease_seconds: float) -> Turn | None:
        """Make it running under a new fence. None unless it may be claimed: it waits or its lease
        is over, attempts are left, nobody asked to stop it, and it is its session's turn."""

    async def renew(
        self, claims: Sequence[tuple[GenerationId, int]], lease_seconds: float
    ) -> Sequence[Renewal]:
        """Prolong these claims (id, fence), in one statement. Those left out are lost."""

    async def save_progress(
        self, saved: Sequence[tuple[GenerationId, int, Progress]]
    ) -> Collection[GenerationId]:
        """Keep what these claims (id, fence) have said so far, in place of what was kept of them
        before; it is forgotten when the fence changes or the answer ends. Which were kept: those
        left out are lost."""

    async def take_of_deleted(self, generation_id: GenerationId, tokens: int) -> None:
        """Count what an answer took of its owner's day though its session was deleted meanwhile. If
        that is there still, nothing: the answer is to end otherwise."""

    async def release(self, generation_id: GenerationId, fence: int) -> bool:
        """Give a claim back at once; the attempt is not counted against the generation."""

    async def finish(
        self, generation_id: GenerationId, fence: int, ending: Ending
    ) -> "Finished | None":
        """End it and store the answer. None if the claim is not held any more."""

    async def stop(self, generation_id: GenerationId) -> "Finished | None":
        """End one that waits, under a new fence: its terminal event has seq 0. None if that was
        not possible: one that runs is only marked, for its worker to end it."""

    async def step_aside(
        self, generation_id: GenerationId, fence: int
    ) -> "tuple[Sequence[Generation], Generation] | None":
        """Let those be told that were stopped while they waited behind this running one: they, in
        the order of their fences, and itself under a new fence above theirs. None if there are
        none, or the claim is not held any more."""

    async def due(self, limit: int, waiting_seconds: float) -> Sequence[GenerationId]:
        """What may be claimed now: its lease is over, or it has waited at least so long."""

    async def lost(self, limit: int) -> Sequence[Generation]:
        """Running ones whose lease is over, and whose attempts are used up or which were asked to
        stop."""

    async def end_lost(self, generation_id: GenerationId, ending: Ending) -> "Finished | None":
        """End one of the `lost`, under a new fence. None if it is not lost any more."""

    async def since(
        self, session_id: SessionId, fence: int | None, limit: int
    ) -> Sequence[Generation]:
        """The first `limit` generations with at least this fence, by fence: the running one is the
        last, for those that were stopped while they waited behind it can't be told before it has
        ended. Without a fence, or where none has it, the running one only."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """How many generations wait, and for how many seconds the oldest does of those that a worker
    could take at once: what waits behind another one of its session is not late. 0 if there is
    none."""

    waiting: int
    oldest_seconds: float


@dataclass(frozen=True, slots=True)
class Finished:
    """An ended generation, and the next one of its session that can be claimed now, if one waits.

    `is_behind` says that it was stopped while it waited behind a running one: it is to be told
    after that. `stopped_behind` are those that are to be told after this one, by fence.
    """

    generation: Generation
    next_id: GenerationId | None
    stopped_behind: Sequence[Generation] = ()
    is_behind: bool = False


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
        """None if there is no such configuration. Raises NameTaken, and nothing is changed. Its
        `updated_at` rises with each change."""

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
