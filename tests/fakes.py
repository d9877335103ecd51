"""Ports kept in plain memory, for tests of use cases. The repositories pass the same contract suite
as the real ones."""

import asyncio
import copy
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Collection,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from itertools import count

from application.ports import ChatModel, Piece, Request, ServerModel, UnreadableDocument
from domain.access import Caller, Refresh
from domain.api_config import ApiChanges, ApiConfig, NewApiConfig
from domain.api_token import API_TOKEN_PREFIX, MAX_API_TOKENS, ApiToken, NewApiToken
from domain.call import Call
from domain.chat_session import ActiveGeneration, ChatSession, OwnModel
from domain.conversation import Mark
from domain.errors import (
    DatabaseUnavailable,
    KeyUnreadable,
    ModelNotFound,
    NameTaken,
    Overloaded,
    PersonaNotFound,
    QueueUnavailable,
    StorageFull,
    StorageUnavailable,
    TooManyApiTokens,
    UsernameTaken,
)
from domain.file_type import FileKind
from domain.generation import MAX_ATTEMPTS, Ending, Generation, GenerationStatus, Progress
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
from domain.message import AnswerStatus, Message, Role
from domain.meter import Spent
from domain.persona import Persona
from domain.position import Position
from domain.prompt import Prompt
from domain.repositories import (
    Backlog,
    Finished,
    Forgotten,
    KeptPassword,
    KeptRequest,
    NewGeneration,
    NewQuestion,
    NewSession,
    Renewal,
    SessionPage,
    Turn,
)
from domain.secret import Secret
from domain.uploaded_file import FileText, HeldFiles, NewFile, UploadedFile
from domain.user import User


@dataclass
class Row:
    """A generation, and what only the database sees of it."""

    generation: Generation
    lease_until: datetime | None = None
    releases: int = 0


@dataclass
class SignInRow:
    """A sign-in, as only the database sees it."""

    user: UserId
    expires_at: datetime
    rotation: int = 0
    ended: bool = False


@dataclass
class FileRow:
    """A file, and what only the database sees of it."""

    file: UploadedFile
    text: str | None
    deleted: bool = False


@dataclass
class State:
    users: list[User] = field(default_factory=list)
    passwords: dict[UserId, str] = field(default_factory=dict)
    deleted_users: set[UserId] = field(default_factory=set)
    sign_ins: dict[SignInId, SignInRow] = field(default_factory=dict)
    api_tokens: dict[str, ApiToken] = field(default_factory=dict)
    api_tokens_made: int = 0
    tickets: dict[str, tuple[Caller, datetime]] = field(default_factory=dict)
    sessions: dict[SessionId, ChatSession] = field(default_factory=dict)
    default_personas: dict[UserId, str] = field(default_factory=dict)
    gone: dict[SessionId, datetime] = field(default_factory=dict)
    fences: dict[SessionId, int] = field(default_factory=dict)
    messages: list[Message] = field(default_factory=list)
    withdrawn: set[MessageId] = field(default_factory=set)
    rows: dict[GenerationId, Row] = field(default_factory=dict)
    keys: dict[tuple[UserId, str], KeptRequest] = field(default_factory=dict)
    keys_made: dict[tuple[UserId, str], datetime] = field(default_factory=dict)
    apis: list[ApiConfig] = field(default_factory=list)
    apis_made: int = 0
    files: dict[FileId, "FileRow"] = field(default_factory=dict)
    strays: dict[FileKey, datetime] = field(default_factory=dict)
    calls: dict[SessionId, Call] = field(default_factory=dict)
    spending: dict[tuple[UserId, date], int] = field(default_factory=dict)
    ticks: int = field(default=0, compare=False)

    def now(self) -> datetime:
        """The wall clock, but no two moments are equal."""
        self.ticks += 1
        return datetime.now(UTC) + timedelta(microseconds=self.ticks)


class FakeDatabase:
    """Hand it to a use case as `open_unit_of_work`."""

    def __init__(self) -> None:
        self.state = State()
        self.away = 0
        self.reads = 0
        self.open = 0
        self._writing = asyncio.Lock()

    @asynccontextmanager
    async def __call__(self, *, read_only: bool = False) -> AsyncIterator["FakeUnitOfWork"]:
        if self.away:
            self.away -= 1
            raise DatabaseUnavailable("away")
        self.open += 1
        try:
            if read_only:
                self.reads += 1
                yield FakeUnitOfWork(self, copy.deepcopy(self.state))
                return
            async with self._writing:
                yield FakeUnitOfWork(self, copy.deepcopy(self.state))
        finally:
            self.open -= 1


class FakeUnitOfWork:
    def __init__(self, database: FakeDatabase, state: State) -> None:
        self._database = database
        self._state = state
        self.users = FakeUsers(state)
        self.sessions = FakeChatSessions(state)
        self.messages = FakeMessages(state)
        self.calls = FakeCalls(state)
        self.files = FakeUploadedFiles(state)
        self.generations = FakeGenerations(state)
        self.idempotency_keys = FakeIdempotencyKeys(state)
        self.api_configs = FakeApiConfigs(state)
        self.sign_ins = FakeSignIns(state)
        self.callers = FakeCallers(state)
        self.api_tokens = FakeApiTokens(state)
        self.tickets = FakeTickets(state)
        self.retention = FakeRetention(state)

    async def commit(self) -> None:
        self._database.state = self._state


@dataclass
class FakeUsers:
    state: State

    async def get_or_add(self, username: str) -> User:
        return self._named(username) or self._add(username)

    async def add(self, username: str, hashed: str) -> User:
        if self._named(username) is not None:
            raise UsernameTaken
        user = self._add(username)
        self.state.passwords[user.id] = hashed
        return user

    async def named(self, username: str) -> User | None:
        user = self._named(username)
        return None if user is None else await self.find(user.id)

    async def find(self, user: UserId) -> User | None:
        if user in self.state.deleted_users:
            return None
        return next((known for known in self.state.users if known.id == user), None)

    async def password_of(self, username: str) -> KeptPassword | None:
        user = self._named(username)
        if user is None or user.id in self.state.deleted_users:
            return None
        hashed = self.state.passwords.get(user.id)
        return None if hashed is None else KeptPassword(user, hashed)

    def _named(self, username: str) -> User | None:
        return next((user for user in self.state.users if user.username == username), None)

    def _add(self, username: str) -> User:
        user = User(UserId(len(self.state.users) + 1), username, self.state.now())
        self.state.users.append(user)
        return user

    async def default_persona(self, user: UserId) -> str | None:
        return self.state.default_personas.get(user)

    async def choose_default_persona(self, user: UserId, name: str) -> None:
        self.state.default_personas[user] = name


@dataclass
class FakeSignIns:
    state: State

    async def begin(self, sign_in: SignInId, user: UserId, seconds: float) -> None:
        rows = self.state.sign_ins
        for known, row in list(rows.items()):
            if row.user == user and not self.goes_on(known, user):
                del rows[known]
        rows[sign_in] = SignInRow(user, self._after(seconds))

    async def renew(self, refresh: Refresh, seconds: float) -> bool:
        row = self._going_on(refresh)
        if row is None or row.rotation != refresh.rotation:
            return False
        row.rotation += 1
        row.expires_at = self._after(seconds)
        return True

    async def prolong(self, refresh: Refresh, seconds: float) -> bool:
        row = self._going_on(refresh)
        if row is None or row.rotation != refresh.rotation:
            return False
        row.expires_at = self._after(seconds)
        return True

    async def end_reused(self, refresh: Refresh) -> bool:
        row = self._going_on(refresh)
        if row is None or row.rotation <= refresh.rotation:
            return False
        row.ended = True
        return True

    async def end_all(self, user: UserId) -> None:
        for row in self.state.sign_ins.values():
            row.ended = row.ended or row.user == user

    def goes_on(self, sign_in: SignInId, user: UserId) -> bool:
        row = self.state.sign_ins.get(sign_in)
        if row is None or row.user != user:
            return False
        return not row.ended and row.expires_at > self.state.now()

    def _going_on(self, refresh: Refresh) -> SignInRow | None:
        if not self.goes_on(refresh.sign_in, refresh.user):
            return None
        return self.state.sign_ins[refresh.sign_in]

    def _after(self, seconds: float) -> datetime:
        return self.state.now() + timedelta(seconds=seconds)


@dataclass
class FakeCallers:
    state: State

    async def standing(self, callers: Collection[Caller]) -> Collection[Caller]:
        return {caller for caller in callers if await self._stands(caller)}

    async def _stands(self, caller: Caller) -> bool:
        if await FakeUsers(self.state).find(caller.user) is None:
            return False
        if caller.sign_in is not None:
            return FakeSignIns(self.state).goes_on(caller.sign_in, caller.user)
        if caller.api_token is not None:
            tokens = FakeApiTokens(self.state)
            return any([caller == await tokens.caller(each) for each in self.state.api_tokens])
        return True


@dataclass
class FakeApiTokens:
    state: State

    async def add(self, new: NewApiToken) -> ApiToken:
        if len(self._of(new.owner)) >= MAX_API_TOKENS:
            raise TooManyApiTokens
        self.state.api_tokens_made += 1
        now, days = self.state.now(), new.expires_in_days
        token = ApiToken(
            ApiTokenId(self.state.api_tokens_made),
            new.owner,
            new.name,
            new.token.hint,
            created_at=now,
            expires_at=None if days is None else now + timedelta(days=days),
        )
        self.state.api_tokens[new.token.digest] = token
        return token

    async def caller(self, digest: str) -> Caller | None:
        token = self.state.api_tokens.get(digest)
        if token is None or token.owner in self.state.deleted_users:
            return None
        if token.expires_at is not None and token.expires_at <= self.state.now():
            return None
        return Caller(token.owner, api_token=token.id)

    async def page(self, owner: UserId, limit: int, after: ApiTokenId | None) -> Sequence[ApiToken]:
        return [token for token in self._of(owner) if token.id > (after or 0)][:limit]

    async def delete(self, owner: UserId, token_id: ApiTokenId) -> bool:
        for digest, token in self.state.api_tokens.items():
            if (token.owner, token.id) == (owner, token_id):
                del self.state.api_tokens[digest]
                return True
        return False

    def _of(self, owner: UserId) -> Sequence[ApiToken]:
        return [token for token in self.state.api_tokens.values() if token.owner == owner]


@dataclass
class FakeTickets:
    state: State

    async def add(self, digest: str, caller: Caller, seconds: float) -> None:
        now, tickets = self.state.now(), self.state.tickets
        for known, (_, expires_at) in list(tickets.items()):
            if expires_at <= now:
                del tickets[known]
        tickets[digest] = caller, now + timedelta(seconds=seconds)

    async def take(self, digest: str) -> Caller | None:
        caller, expires_at = self.state.tickets.get(digest, (None, self.state.now()))
        if caller is None or expires_at <= self.state.now():
            return None
        del self.state.tickets[digest]
        return caller


@dataclass
class FakeChatSessions:
    state: State

    async def add(self, new: NewSession) -> bool:
        if new.id in self.state.sessions:
            return False
        now = self.state.now()
        self.state.fences[new.id] = 0
        self.state.sessions[new.id] = ChatSession(
            new.id,
            new.owner,
            new.title,
            new.model_name,
            new.persona,
            new.system_prompt,
            message_count=0,
            last_number=0,
            created_at=now,
            updated_at=now,
            kept_seconds=new.kept_seconds,
        )
        return True

    async def find(self, session_id: SessionId, owner: UserId) -> ChatSession | None:
        session = self.state.sessions.get(session_id)
        if session is None or session.owner != owner or session_id in self.state.gone:
            return None
        return self._seen(session)

    async def lock(self, session_id: SessionId, owner: UserId) -> ChatSession | None:
        return await self.find(session_id, owner)

    async def save(self, session: ChatSession) -> None:
        self.state.sessions[session.id] = replace(session, updated_at=self.state.now())

    async def delete(self, session_id: SessionId) -> Sequence[GenerationId]:
        self.state.gone[session_id] = self.state.now()
        session = self.state.sessions[session_id]
        if session.kept_seconds is not None:
            self.state.sessions[session_id] = replace(session, kept_seconds=0)
        self.state.fences[session_id] += 1
        await FakeMessages(self.state).clear(session_id)
        active = [
            row
            for row in self.state.rows.values()
            if row.generation.session_id == session_id and not row.generation.ended
        ]
        for row in active:
            row.lease_until = None
            row.generation = replace(
                row.generation,
                status=GenerationStatus.STOPPED,
                stop_requested=True,
                ended_at=self.state.now(),
                progress=None,
            )
        return [row.generation.id for row in active]

    async def page(
        self, owner: UserId, limit: int, after: SessionPage | None
    ) -> Sequence[ChatSession]:
        mine = [
            session
            for session in self.state.sessions.values()
            if session.owner == owner
            and session.id not in self.state.gone
            and session.kept_seconds is None
        ]
        mine.sort(key=lambda session: (session.updated_at, session.id), reverse=True)
        if after is not None:
            mine = [session for session in mine if (session.updated_at, session.id) < after]
        return [self._seen(session) for session in mine[:limit]]

    async def reached(self, session_ids: Sequence[SessionId]) -> Mapping[SessionId, Position]:
        reached = {
            wanted: self.state.sessions[wanted].end
            for wanted in session_ids
            if wanted in self.state.sessions and wanted not in self.state.gone
        }
        for row in self.state.rows.values():
            running, session_id = row.generation, row.generation.session_id
            if session_id in reached and running.progress is not None:
                saved = Position(running.fence, running.progress.seq)
                reached[session_id] = max(reached[session_id], saved)
        return reached

    def _seen(self, session: ChatSession) -> ChatSession:
        active = sorted(
            (
                row.generation
                for row in self.state.rows.values()
                if row.generation.session_id == session.id and not row.generation.ended
            ),
            key=lambda generation: (
                generation.status is not GenerationStatus.RUNNING,
                generation.number,
            ),
        )
        first = ActiveGeneration(active[0].id, active[0].status) if active else None
        default = self.state.default_personas.get(session.owner)
        first_api = next((api for api in self.state.apis if api.owner == session.owner), None)
        return replace(
            session,
            unanswered=len(active),
            active=first,
            default_persona=default,
            default_model=OwnModel(first_api.id, first_api.model_name) if first_api else None,
        )


@dataclass
class FakeMessages:
    state: State

    async def add_question(self, new: NewQuestion) -> MessageId:
        message_id = self.add(new.session_id, new.number, Role.USER, new.content, new.generation_id)
        self.state.messages[-1] = replace(self.state.messages[-1], file_ids=new.file_ids)
        return message_id

    def add(
        self,
        session_id: SessionId,
        number: int,
        role: Role,
        content: str,
        generation_id: GenerationId,
        ending: Ending | None = None,
    ) -> MessageId:
        message_id = MessageId(max((each.id for each in self.state.messages), default=0) + 1)
        self.state.messages.append(
            Message(
                message_id,
                session_id,
                number,
                role,
                content,
                self.state.now(),
                generation_id,
                AnswerStatus(ending.status.value) if ending else None,
                ending.finish_reason if ending else None,
                ending.usage if ending else None,
            )
        )
        return message_id

    async def find(self, message_id: MessageId) -> Message | None:
        found = (message for message in self.state.messages if message.id == message_id)
        message = next(found, None)
        if message is None or message_id not in self.state.withdrawn:
            return message
        row = self.state.rows.get(message.generation_id) if message.generation_id else None
        gone = row is None or row.generation.message_id in self.state.withdrawn
        return None if gone else message

    async def last_question(self, session_id: SessionId) -> Message | None:
        questions = [m for m in self._of(session_id) if m.role is Role.USER]
        return questions[-1] if questions else None

    async def withdraw_answers(self, question: Message, generation_id: GenerationId) -> int:
        answers = [m.id for m in self._of(question.session_id) if m.number == question.number + 1]
        self.state.withdrawn.update(answers)
        place = self.state.messages.index(question)
        self.state.messages[place] = replace(question, generation_id=generation_id)
        return len(answers)

    async def clear(self, session_id: SessionId) -> None:
        self.state.withdrawn.update(m.id for m in self._of(session_id))

    async def recent(
        self, session_id: SessionId, up_to_number: int, limit: int
    ) -> Sequence[Message]:
        return [m for m in self._of(session_id) if m.number <= up_to_number][-limit:]

    async def page(
        self, session_id: SessionId, limit: int, after_number: int | None, newest_first: bool
    ) -> Sequence[Message]:
        found = self._of(session_id)
        if newest_first:
            found.reverse()
        if after_number is not None:
            found = [m for m in found if (m.number > after_number) != newest_first]
            found = [m for m in found if m.number != after_number]
        return found[:limit]

    def _of(self, session_id: SessionId) -> list[Message]:
        found = [
            m
            for m in self.state.messages
            if m.session_id == session_id and m.id not in self.state.withdrawn
        ]
        return sorted(found, key=lambda message: (message.number, message.id))


@dataclass
class FakeCalls:
    state: State

    async def add(self, session_id: SessionId, call: Call) -> None:
        self.state.calls[session_id] = call

    async def find(self, session_id: SessionId) -> Call | None:
        return None if session_id in self.state.gone else self.state.calls.get(session_id)


@dataclass
class FakeUploadedFiles:
    state: State

    async def expect(self, key: FileKey, seconds: float) -> None:
        self.state.strays[key] = self.state.now() + timedelta(seconds=seconds)

    async def held(self, owner: UserId, session_id: SessionId) -> HeldFiles:
        mine = [row.file for row in self._there() if row.file.owner == owner]
        in_session = [file for file in mine if file.session_id == session_id]
        return HeldFiles(len(in_session), sum(file.size for file in mine))

    async def add(self, new: NewFile) -> UploadedFile | None:
        if self.state.strays.get(new.key, self.state.now()) <= self.state.now():
            return None
        del self.state.strays[new.key]
        file = UploadedFile(
            FileId(len(self.state.files) + 1),
            new.owner,
            new.session_id,
            new.key,
            new.name,
            new.media_type,
            new.size,
            new.sha256,
            new.flaw,
            self.state.now(),
        )
        self.state.files[file.id] = FileRow(file, new.text)
        return file

    async def find(self, owner: UserId, file_id: FileId) -> UploadedFile | None:
        found = [row.file for row in self._there() if row.file.id == file_id]
        return found[0] if found and found[0].owner == owner else None

    async def page(
        self, session_id: SessionId, limit: int, after: FileId | None
    ) -> Sequence[UploadedFile]:
        found = self._of(session_id)
        return [file for file in found if after is None or file.id > after][:limit]

    async def named(
        self, session_id: SessionId, file_ids: Collection[FileId]
    ) -> Mapping[FileId, UploadedFile]:
        return {file.id: file for file in self._of(session_id) if file.id in file_ids}

    async def texts(
        self, file_ids: Collection[FileId], characters: int
    ) -> Mapping[FileId, FileText]:
        rows = {wanted: self.state.files.get(wanted) for wanted in file_ids}
        return {
            wanted: FileText(
                row.file.name,
                None if row.text is None else row.text[:characters],
                len(row.text or ""),
            )
            for wanted, row in rows.items()
            if row is not None
        }

    async def delete(self, owner: UserId, file_id: FileId) -> FileKey | None:
        if await self.find(owner, file_id) is None:
            return None
        return self._delete(self.state.files[file_id])

    async def delete_all(self, session_id: SessionId) -> Sequence[FileKey]:
        return [self._delete(self.state.files[file.id]) for file in self._of(session_id)]

    async def strays(self, limit: int) -> Sequence[FileKey]:
        due = sorted((due, key) for key, due in self.state.strays.items())
        return [key for due, key in due if due <= self.state.now()][:limit]

    async def stray_now(self, key: FileKey) -> bool:
        if key not in self.state.strays:
            return False
        self.state.strays[key] = self.state.now()
        return True

    async def clear(self, keys: Collection[FileKey]) -> None:
        for key in keys:
            self.state.strays.pop(key, None)

    def _there(self) -> list[FileRow]:
        return [row for row in self.state.files.values() if not row.deleted]

    def _of(self, session_id: SessionId) -> list[UploadedFile]:
        return [row.file for row in self._there() if row.file.session_id == session_id]

    def _delete(self, row: FileRow) -> FileKey:
        row.deleted, row.text = True, None
        self.state.strays[row.file.key] = self.state.now()
        return row.file.key


@dataclass
class FakeRetention:
    state: State

    async def forget_untouched(self, days: float, limit: int) -> Sequence[Forgotten]:
        before = self.state.now() - timedelta(days=days)
        busy = self._busy()
        old = [
            session
            for session in self.state.sessions.values()
            if max(session.updated_at, self.state.gone.get(session.id, session.updated_at)) < before
            and session.id not in busy
        ]
        old.sort(key=lambda session: session.updated_at)
        return [await self._forget(session) for session in old[:limit]]

    async def forget_expired(self, limit: int) -> Sequence[Forgotten]:
        now = self.state.now()
        busy = self._busy()
        over = [
            session
            for session in self.state.sessions.values()
            if session.kept_seconds is not None
            and session.updated_at + timedelta(seconds=session.kept_seconds) < now
            and session.id not in busy
        ]
        return [await self._forget(session) for session in over[:limit]]

    def _busy(self) -> set[SessionId]:
        return {
            row.generation.session_id
            for row in self.state.rows.values()
            if not row.generation.ended
        }

    async def forget_keys(self, days: float) -> int:
        before = self.state.now() - timedelta(days=days)
        old = [key for key, made_at in self.state.keys_made.items() if made_at < before]
        for key in old:
            del self.state.keys[key], self.state.keys_made[key]
        return len(old)

    async def _forget(self, session: ChatSession) -> Forgotten:
        state = self.state
        was_there = session.id not in state.gone
        contents = await FakeUploadedFiles(state).delete_all(session.id)
        state.files = {
            file_id: row
            for file_id, row in state.files.items()
            if row.file.session_id != session.id
        }
        state.rows = {
            generation_id: row
            for generation_id, row in state.rows.items()
            if row.generation.session_id != session.id
        }
        state.messages = [each for each in state.messages if each.session_id != session.id]
        for key in [key for key, kept in state.keys.items() if kept.session_id == session.id]:
            del state.keys[key], state.keys_made[key]
        state.gone.pop(session.id, None)
        state.calls.pop(session.id, None)
        del state.sessions[session.id], state.fences[session.id]
        return Forgotten(session.id, session.owner, was_there, contents)


class FakeFileStore:
    """Hand it to a use case as `store`. It is full after so many bytes."""

    def __init__(self, room: int = 10_000_000) -> None:
        self.room = room
        self.contents: dict[FileKey, bytes] = {}
        self.away = False

    async def save(self, key: FileKey, content: AsyncIterable[bytes]) -> None:
        self._expect_here()
        self.contents[key] = b""
        async for piece in content:
            self.contents[key] += piece
            if sum(map(len, self.contents.values())) > self.room:
                raise StorageFull

    async def size(self, key: FileKey) -> int | None:
        self._expect_here()
        return len(self.contents[key]) if key in self.contents else None

    async def read(self, key: FileKey) -> AsyncGenerator[bytes, None]:
        self._expect_here()
        if key not in self.contents:
            raise StorageUnavailable
        yield self.contents[key]

    async def delete(self, key: FileKey) -> None:
        self._expect_here()
        self.contents.pop(key, None)

    def _expect_here(self) -> None:
        if self.away:
            raise StorageUnavailable


@dataclass
class FakeDocumentReader:
    """Reads what is text as it stands; all else has the flaw."""

    read: list[FileKind] = field(default_factory=list)

    async def text(self, kind: FileKind, content: AsyncIterable[bytes]) -> str:
        self.read.append(kind)
        held = b"".join([piece async for piece in content])
        if kind is not FileKind.TEXT:
            raise UnreadableDocument("It is encrypted.")
        return held.decode()


@dataclass
class FakeGenerations:
    state: State

    async def add(self, new: NewGeneration) -> None:
        self.state.rows[new.id] = Row(
            Generation(
                new.id,
                new.session_id,
                new.owner,
                new.message_id,
                new.number,
                GenerationStatus.QUEUED,
                new.model_name,
                new.api_id,
                new.persona,
                attempt=0,
                fence=0,
                created_at=self.state.now(),
                request_id=new.request_id,
            )
        )

    async def unanswered(self, owner: UserId, room: Room) -> Unanswered:
        alive = (GenerationStatus.QUEUED, GenerationStatus.RUNNING)
        found = (row.generation for row in self.state.rows.values())
        active = [each for each in found if each.status in alive]
        own = [each for each in active if each.owner == owner]
        waiting = [each for each in active if each.status is GenerationStatus.QUEUED]
        return Unanswered(min(len(own), room.answers_per_user), min(len(waiting), room.waiting))

    async def spent_today(self, owner: UserId) -> Spent:
        now = self.state.now()
        tomorrow = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
        tokens = self.state.spending.get((owner, now.date()), 0)
        return Spent(tokens, (tomorrow - now).total_seconds())

    async def backlog(self, most: int) -> Backlog:
        queued = [
            row
            for row in self.state.rows.values()
            if row.generation.status is GenerationStatus.QUEUED
        ]
        free = [row.generation for row in queued if self._claimable(row)]
        since = min((generation.created_at for generation in free), default=None)
        waited = 0.0 if since is None else (self.state.now() - since).total_seconds()
        return Backlog(min(len(queued), most), waited)

    async def find(self, generation_id: GenerationId, owner: UserId) -> Generation | None:
        row = self.state.rows.get(generation_id)
        if row is None or row.generation.owner != owner or not self._is_visible(row.generation):
            return None
        return row.generation

    async def claim(self, generation_id: GenerationId, lease_seconds: float) -> Turn | None:
        row = self.state.rows.get(generation_id)
        if row is None or not self._claimable(row):
            return None
        generation = row.generation
        row.lease_until = self.state.now() + timedelta(seconds=lease_seconds)
        row.generation = replace(
            generation,
            status=GenerationStatus.RUNNING,
            attempt=generation.attempt + 1,
            fence=self._raise_fence(generation.session_id),
            started_at=generation.started_at or self.state.now(),
            progress=None,
        )
        return self._turn(row.generation)

    def _turn(self, generation: Generation) -> Turn:
        session = self.state.sessions[generation.session_id]
        question = next(m for m in self.state.messages if m.id == generation.message_id)
        config = next((each for each in self.state.apis if each.id == generation.api_id), None)
        return Turn(
            generation,
            question,
            session.title,
            session.system_prompt,
            self.state.default_personas.get(session.owner),
            Mark.of(session.end.fence, session.message_count, session.last_number),
            config.updated_at if config else None,
            self.state.calls[session.id].prompt if session.kept_seconds is not None else None,
            (self.state.now() - generation.created_at).total_seconds(),
        )

    async def renew(
        self, claims: Sequence[tuple[GenerationId, int]], lease_seconds: float
    ) -> Sequence[Renewal]:
        renewed = []
        for generation_id, fence in claims:
            row = self._held(generation_id, fence)
            if row is not None:
                row.lease_until = self.state.now() + timedelta(seconds=lease_seconds)
                renewed.append(Renewal(generation_id, row.generation.stop_requested))
        return renewed

    async def save_progress(
        self, saved: Sequence[tuple[GenerationId, int, Progress]]
    ) -> Collection[GenerationId]:
        kept = []
        for generation_id, fence, progress in saved:
            row = self._held(generation_id, fence)
            if row is not None:
                row.generation = replace(row.generation, progress=progress)
                kept.append(generation_id)
        return kept

    async def take_of_deleted(self, generation_id: GenerationId, tokens: int) -> None:
        generation = self.state.rows[generation_id].generation
        if generation.session_id in self.state.gone:
            today = generation.owner, self.state.now().date()
            self.state.spending[today] = self.state.spending.get(today, 0) + tokens

    async def release(self, generation_id: GenerationId, fence: int) -> bool:
        row = self._held(generation_id, fence)
        if row is None:
            return False
        row.lease_until = self.state.now()
        row.releases += 1
        return True

    async def finish(
        self, generation_id: GenerationId, fence: int, ending: Ending
    ) -> Finished | None:
        row = self._held(generation_id, fence)
        return None if row is None else self._end(row, fence, ending)

    async def stop(self, generation_id: GenerationId) -> Finished | None:
        row = self.state.rows.get(generation_id)
        if row is None or row.generation.ended:
            return None
        row.generation = replace(row.generation, stop_requested=True)
        if row.generation.status is GenerationStatus.RUNNING:
            return None
        ending = Ending(GenerationStatus.STOPPED, "", last_seq=0)
        return self._end(row, self._raise_fence(row.generation.session_id), ending)

    async def step_aside(
        self, generation_id: GenerationId, fence: int
    ) -> tuple[Sequence[Generation], Generation] | None:
        row = self._held(generation_id, fence)
        behind = self._behind(row.generation) if row else ()
        if row is None or not behind:
            return None
        session = self.state.sessions[row.generation.session_id]
        last = behind[-1].end
        assert last is not None
        self.state.sessions[session.id] = replace(session, end=last)
        fence = self._raise_fence(session.id)
        row.generation = replace(row.generation, fence=fence, progress=None)
        return behind, row.generation

    async def due(self, limit: int, waiting_seconds: float) -> Sequence[GenerationId]:
        waited = self.state.now() - timedelta(seconds=waiting_seconds)
        due = [
            row.generation
            for row in self.state.rows.values()
            if self._claimable(row)
            and (
                row.generation.status is GenerationStatus.RUNNING
                or row.generation.created_at <= waited
            )
        ]
        return [generation.id for generation in due][:limit]

    async def lost(self, limit: int) -> Sequence[Generation]:
        rows = [row for row in self.state.rows.values() if self._lost(row)]
        return [row.generation for row in rows][:limit]

    async def end_lost(self, generation_id: GenerationId, ending: Ending) -> Finished | None:
        row = self.state.rows.get(generation_id)
        if row is None or not self._lost(row):
            return None
        return self._end(row, self._raise_fence(row.generation.session_id), ending)

    async def since(
        self, session_id: SessionId, fence: int | None, limit: int
    ) -> Sequence[Generation]:
        mine = [
            row.generation
            for row in self.state.rows.values()
            if row.generation.session_id == session_id and row.generation.fence
        ]
        running = [each for each in mine if each.status is GenerationStatus.RUNNING]
        last = running[0].fence if running else self.state.fences[session_id]
        later = [
            each
            for each in mine
            if fence is not None and max(fence, 1) <= each.fence <= last and self._is_visible(each)
        ]
        return sorted(later or running, key=lambda generation: generation.fence)[:limit]

    def _is_visible(self, generation: Generation) -> bool:
        gone = generation.session_id in self.state.gone
        return not gone and generation.message_id not in self.state.withdrawn

    def _behind(self, generation: Generation) -> Sequence[Generation]:
        behind = [
            row.generation
            for row in self.state.rows.values()
            if row.generation.session_id == generation.session_id
            and row.generation.fence > generation.fence
        ]
        return sorted(behind, key=lambda each: each.fence)

    def _raise_fence(self, session_id: SessionId) -> int:
        self.state.fences[session_id] += 1
        return self.state.fences[session_id]

    def _held(self, generation_id: GenerationId, fence: int) -> Row | None:
        row = self.state.rows.get(generation_id)
        if row is None or row.generation.status is not GenerationStatus.RUNNING:
            return None
        return row if row.generation.fence == fence else None

    def _lease_over(self, row: Row) -> bool:
        running = row.generation.status is GenerationStatus.RUNNING
        return running and row.lease_until is not None and row.lease_until <= self.state.now()

    def _lost(self, row: Row) -> bool:
        used_up = row.generation.attempt >= MAX_ATTEMPTS + row.releases
        return self._lease_over(row) and (used_up or row.generation.stop_requested)

    def _claimable(self, row: Row) -> bool:
        mine = row.generation
        others = [
            other.generation
            for other in self.state.rows.values()
            if other.generation.session_id == mine.session_id
            and other.generation.id != mine.id
            and not other.generation.ended
        ]
        return (
            (mine.status is GenerationStatus.QUEUED or self._lease_over(row))
            and not mine.stop_requested
            and mine.attempt < MAX_ATTEMPTS + row.releases
            and not any(
                other.status is GenerationStatus.RUNNING or other.number < mine.number
                for other in others
            )
        )

    def _end(self, row: Row, fence: int, ending: Ending) -> Finished:
        mine = row.generation
        answer_id = None
        session = self.state.sessions[mine.session_id]
        if ending.keeps_answer:
            answer_id = FakeMessages(self.state).add(
                mine.session_id, mine.number + 1, Role.ASSISTANT, ending.text, mine.id, ending
            )
        today = mine.owner, self.state.now().date()
        self.state.spending[today] = self.state.spending.get(today, 0) + ending.tokens
        row.lease_until = None
        row.generation = replace(
            mine,
            status=ending.status,
            fence=fence,
            last_seq=ending.last_seq,
            finish_reason=ending.finish_reason,
            usage=ending.usage,
            failure=ending.failure,
            ended_at=self.state.now(),
            text=ending.text,
            answer_id=answer_id,
            progress=None,
        )
        others = [
            other.generation
            for other in self.state.rows.values()
            if other.generation.session_id == mine.session_id
        ]
        if any(other.status is GenerationStatus.RUNNING for other in others):
            return Finished(row.generation, None, is_behind=True)
        behind = self._behind(row.generation)
        self.state.sessions[session.id] = replace(
            session,
            end=(row.generation, *behind)[-1].end or session.end,
            message_count=session.message_count + (answer_id is not None),
            updated_at=self.state.now(),
        )
        waiting = [other for other in others if other.status is GenerationStatus.QUEUED]
        waiting.sort(key=lambda generation: generation.number)
        return Finished(row.generation, waiting[0].id if waiting else None, behind)


@dataclass
class FakeIdempotencyKeys:
    state: State

    async def find(self, owner: UserId, key: str) -> KeptRequest | None:
        return self.state.keys.get((owner, key))

    async def add(self, owner: UserId, key: str, kept: KeptRequest) -> bool:
        self.state.keys_made.setdefault((owner, key), self.state.now())
        return self.state.keys.setdefault((owner, key), kept) is kept


def fake_seal(key: Secret) -> bytes:
    return key.reveal()[::-1].encode()


@dataclass
class FakeApiConfigs:
    state: State

    async def add(self, new: NewApiConfig) -> ApiConfig:
        self._expect_free(new.owner, new.name)
        self.state.apis_made += 1
        now = self.state.now()
        config = ApiConfig(
            ApiId(self.state.apis_made),
            new.owner,
            new.name,
            new.model_name,
            new.base_url,
            new.provider,
            new.api_key.hint if new.api_key else "",
            fake_seal(new.api_key) if new.api_key else None,
            created_at=now,
            updated_at=now,
        )
        self.state.apis.append(config)
        return config

    async def change(self, owner: UserId, api_id: ApiId, changes: ApiChanges) -> ApiConfig | None:
        config = await self.find(owner, api_id)
        if config is None:
            return None
        changed = replace(changes.applied_to(config), updated_at=self.state.now())
        if changes.new_key is not None:
            changed = replace(changed, sealed_key=fake_seal(changes.new_key))
        if changed.name != config.name:
            self._expect_free(owner, changed.name)
        self.state.apis[self.state.apis.index(config)] = changed
        return changed

    async def delete(self, owner: UserId, api_id: ApiId) -> bool:
        config = await self.find(owner, api_id)
        if config is not None:
            self.state.apis.remove(config)
        return config is not None

    async def find(self, owner: UserId, api_id: ApiId) -> ApiConfig | None:
        return next((config for config in self._of(owner) if config.id == api_id), None)

    async def named(self, owner: UserId, name: str) -> ApiConfig | None:
        return next((config for config in self._of(owner) if config.name == name), None)

    async def first(self, owner: UserId, model_name: str | None = None) -> ApiConfig | None:
        return next(iter(self._of(owner, model_name)), None)

    async def page(
        self, owner: UserId, limit: int, after: ApiId | None, model_name: str | None = None
    ) -> Sequence[ApiConfig]:
        return [config for config in self._of(owner, model_name) if config.id > (after or 0)][
            :limit
        ]

    async def model_names(self, owner: UserId) -> Sequence[tuple[str, str]]:
        providers: dict[str, str] = {}
        for config in self._of(owner):
            providers.setdefault(config.model_name, config.provider)
        return list(providers.items())

    def _of(self, owner: UserId, model_name: str | None = None) -> Sequence[ApiConfig]:
        return [
            config
            for config in self.state.apis
            if config.owner == owner and model_name in (None, config.model_name)
        ]

    def _expect_free(self, owner: UserId, name: str) -> None:
        if any(config.name == name for config in self._of(owner)):
            raise NameTaken


@dataclass
class FakeQueue:
    """Notes what was put; `full` refuses it."""

    requests: list[Request] = field(default_factory=list)
    full: bool = False
    away: bool = False

    async def put(self, request: Request) -> None:
        if self.full:
            raise QueueUnavailable("full")
        self.requests.append(request)

    async def take(self) -> Request:
        return self.requests.pop(0)

    async def done(self, request: Request) -> None: ...


@dataclass
class FakeSpan:
    name: str
    parent: str | None
    told: dict[str, str | int] = field(default_factory=dict)
    failed: str | None = None

    def tell(self, name: str, value: str | int) -> None:
        self.told[name] = value

    def fail(self, code: str) -> None:
        self.failed = code


@dataclass
class FakeSpans:
    """Notes all that ended. While it is `on`, the traceparent of a span is its name."""

    on: bool = False
    ended: list[FakeSpan] = field(default_factory=list)
    _around: ContextVar[str | None] = field(
        default_factory=lambda: ContextVar("around", default=None)
    )

    @contextmanager
    def span(self, name: str, parent: str | None = None) -> Iterator[FakeSpan]:
        made = FakeSpan(name, parent or self._around.get())
        with self.within(name):
            yield made
        self.ended.append(made)

    @contextmanager
    def within(self, parent: str) -> Iterator[None]:
        token = self._around.set(parent)
        try:
            yield
        finally:
            self._around.reset(token)

    def traceparent(self) -> str | None:
        return self._around.get() if self.on else None


Script = Callable[[Prompt], AsyncGenerator[Piece, None]]


def says(*pieces: Piece, then: Exception | None = None) -> Script:
    """A script that gives these pieces, and then ends or fails."""

    async def script(_: Prompt) -> AsyncGenerator[Piece, None]:
        for piece in pieces:
            yield piece
        if then is not None:
            raise then

    return script


@dataclass
class ScriptedModel:
    """Answers as the script says."""

    script: Script
    prompts: list[Prompt] = field(default_factory=list)

    def stream(self, prompt: Prompt) -> AsyncGenerator[Piece, None]:
        self.prompts.append(prompt)
        return self.script(prompt)


@dataclass
class FakeModels:
    """`by_name` are the server's own; `behind` is the one behind every configuration, except the
    `unreadable` ones. `asked` notes whose turn it was."""

    by_name: dict[str, ChatModel]
    behind: ChatModel | None = None
    providers: tuple[str, ...] = ("openai", "other")
    unreadable: set[ApiId] = field(default_factory=set)
    asked: list[ApiConfig] = field(default_factory=list)

    @property
    def offered(self) -> Sequence[ServerModel]:
        return [ServerModel(name, "simulated") for name in self.by_name]

    def own(self, model_name: str) -> ChatModel | None:
        return self.by_name.get(model_name)

    def configured(self, config: ApiConfig) -> ChatModel:
        self.asked.append(config)
        if config.id in self.unreadable:
            raise KeyUnreadable
        if self.behind is None or config.provider not in self.providers:
            raise ModelNotFound("This server does not know the provider of that configuration.")
        return self.behind


@dataclass
class FakePasswords:
    """`busy` refuses; `asked` counts what would cost."""

    busy: bool = False
    asked: int = 0
    salts: "count[int]" = field(default_factory=lambda: count(1))

    async def hash(self, password: Secret) -> str:
        self._work()
        return f"{next(self.salts)}${password.digest}"

    async def matches(self, password: Secret, hashed: str | None) -> bool:
        self._work()
        await asyncio.sleep(0)  # others come meanwhile, as they do while it is hashed
        return hashed is not None and hashed.partition("$")[2] == password.digest

    def _work(self) -> None:
        if self.busy:
            raise Overloaded
        self.asked += 1


@dataclass
class FakePersonas:
    personas: dict[str, str] = field(default_factory=dict)

    @property
    def names(self) -> Sequence[str]:
        return list(self.personas)

    def choose(self, name: str | None) -> Persona | None:
        if name is None:
            return None
        if name not in self.personas:
            raise PersonaNotFound("There is no persona of that name.")
        return Persona(name, self.personas[name])


@dataclass
class CountingIds:
    numbers: "count[int]" = field(default_factory=lambda: count(1))

    def session(self) -> SessionId:
        return SessionId(f"session_made_{next(self.numbers)}")

    def generation(self) -> GenerationId:
        return GenerationId(f"gen_{next(self.numbers)}")

    def file(self) -> FileKey:
        return FileKey(f"file_{next(self.numbers)}")

    def sign_in(self) -> SignInId:
        return SignInId(f"signin_{next(self.numbers)}")

    def api_token(self) -> Secret:
        return Secret(f"{API_TOKEN_PREFIX}{next(self.numbers):032}")

    def ticket(self) -> Secret:
        return Secret(f"ticket-{next(self.numbers):032}")
