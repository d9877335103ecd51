"""Things to test with, each complete and ordinary unless told otherwise."""

import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime

from application.ports import FileStore, OpenUnitOfWork
from domain.access import Caller
from domain.api_config import ApiConfig, NewApiConfig
from domain.api_token import ApiToken, NewApiToken
from domain.call import Call, prompt_of
from domain.chat_session import ChatSession
from domain.generation import Ending, Generation, GenerationStatus
from domain.identifiers import ApiId, FileKey, GenerationId, MessageId, SessionId, SignInId, UserId
from domain.message import Role, Usage
from domain.prompt import Options, PromptMessage
from domain.repositories import NewGeneration, NewQuestion, NewSession
from domain.secret import Secret
from domain.uploaded_file import NewFile, UploadedFile

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
USER = UserId(1)
SESSION = SessionId("session_1")
GENERATION = GenerationId("gen_1")
API = ApiId(7)
FILE_KEY = FileKey("file_1")


def a_session(
    unanswered: int = 0, title: str | None = None, kept_seconds: int | None = None
) -> ChatSession:
    return ChatSession(
        SESSION,
        USER,
        title,
        None,
        None,
        None,
        message_count=0,
        last_number=0,
        created_at=NOON,
        updated_at=NOON,
        unanswered=unanswered,
        kept_seconds=kept_seconds,
    )


def a_generation(
    generation_id: GenerationId = GENERATION,
    *,
    status: GenerationStatus = GenerationStatus.RUNNING,
    fence: int = 1,
    attempt: int = 1,
    last_seq: int | None = None,
    text: str = "",
) -> Generation:
    return Generation(
        generation_id,
        SESSION,
        USER,
        MessageId(1),
        1,
        status,
        "scripted",
        None,
        None,
        attempt=attempt,
        fence=fence,
        created_at=NOON,
        last_seq=last_seq,
        text=text,
    )


SECRET_KEY = Secret("a secret of a server that nobody knows")
API_KEY = "sk-WvT7-quite-distinctive-9f3A"


def a_new_api(
    owner: UserId = USER,
    name: str = "mine",
    model_name: str = "gpt-9",
    base_url: str = "https://api.example.com/v1",
    provider: str = "openai",
    api_key: str | None = API_KEY,
) -> NewApiConfig:
    secret = None if api_key is None else Secret(api_key)
    return NewApiConfig(owner, name, model_name, base_url, provider, secret)


def an_api(
    sealed_key: bytes | None = b"sealed", owner: UserId = USER, api_id: ApiId = API
) -> ApiConfig:
    return ApiConfig(
        api_id,
        owner,
        "mine",
        "gpt-9",
        "https://api.example.com/v1",
        "openai",
        "" if sealed_key is None else "9f3A",
        sealed_key,
        created_at=NOON,
        updated_at=NOON,
    )


def completed(text: str = "the answer", last_seq: int = 2) -> Ending:
    return Ending(GenerationStatus.COMPLETED, text, last_seq, "stop", Usage(3, 4))


async def add_user(database: OpenUnitOfWork, username: str = "ada") -> UserId:
    async with database() as work:
        user = await work.users.get_or_add(username)
        await work.commit()
    return user.id


async def sign_in(
    database: OpenUnitOfWork, user: UserId, sign_in_id: str = "signin_1", seconds: float = 60
) -> Caller:
    """None of its tokens is made."""
    async with database() as work:
        await work.sign_ins.begin(SignInId(sign_in_id), user, seconds)
        await work.commit()
    return Caller(user, SignInId(sign_in_id))


async def add_api_token(
    database: OpenUnitOfWork,
    user: UserId,
    token: str = "sk-wQ5-quite-distinctive-77Bc",
    days: int | None = None,
    name: str = "mine",
) -> ApiToken:
    """Expired already, if it is for 0 days."""
    async with database() as work:
        kept = await work.api_tokens.add(NewApiToken(user, name, Secret(token), days))
        await work.commit()
    return kept


async def add_session(
    database: OpenUnitOfWork, user: UserId, session_id: str = "session_1"
) -> SessionId:
    async with database() as work:
        assert await work.sessions.add(NewSession(SessionId(session_id), user))
        await work.commit()
    return SessionId(session_id)


async def add_api(database: OpenUnitOfWork, new: NewApiConfig) -> ApiConfig:
    async with database() as work:
        config = await work.api_configs.add(new)
        await work.commit()
    return config


async def add_file(
    database: OpenUnitOfWork,
    store: FileStore,
    user: UserId,
    session_id: SessionId,
    name: str = "notes.txt",
    text: str = "hello",
    flaw: str | None = None,
) -> UploadedFile:
    """With its content, as `UploadFile` leaves it; what has a flaw has no text."""

    async def content() -> AsyncIterator[bytes]:
        yield text.encode()

    key = FileKey(f"key_of_{session_id}_{name}")
    await store.save(key, content())
    async with database() as work:
        await work.files.expect(key, 60)
        file = await work.files.add(a_new_file(user, session_id, key, name, text, flaw))
        assert file is not None
        await work.commit()
    return file


def a_new_file(
    user: UserId = USER,
    session_id: SessionId = SESSION,
    key: FileKey = FILE_KEY,
    name: str = "notes.txt",
    text: str = "hello",
    flaw: str | None = None,
) -> NewFile:
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    size = len(text.encode())
    read = None if flaw else text
    return NewFile(user, session_id, key, name, "text/plain", size, sha256, read, flaw)


async def add_question(
    database: OpenUnitOfWork,
    user: UserId,
    session_id: SessionId,
    text: str = "why?",
    generation_id: str | None = None,
) -> GenerationId:
    """A question that waits, as `SubmitMessage` leaves it."""
    async with database() as work:
        session = await work.sessions.lock(session_id, user)
        assert session is not None
        asked, number = session.ask(text)
        made = GenerationId(generation_id or f"gen_{session_id}_{number}")
        message_id = await work.messages.add_question(NewQuestion(session_id, made, number, text))
        await work.generations.add(
            NewGeneration(
                made, session_id, user, message_id, number, "scripted", None, None, "request-1"
            )
        )
        await work.sessions.save(asked)
        await work.commit()
    return made


def a_call(
    *messages: PromptMessage, kept_seconds: int = 60, options: Options | None = None
) -> Call:
    given = messages or (PromptMessage(Role.SYSTEM, "Be brief."), PromptMessage(Role.USER, "why?"))
    prompt = prompt_of(given, options or Options())
    return Call(prompt, "a dialect", kept_seconds, {"said": ["by the dialect"]})


async def add_call(
    database: OpenUnitOfWork,
    user: UserId,
    call: Call | None = None,
    session_id: str = "session_of_call",
) -> GenerationId:
    """One that waits, as `SubmitCall` leaves it."""
    call, made = call or a_call(), SessionId(session_id)
    async with database() as work:
        new = NewSession(made, user, kept_seconds=call.kept_seconds)
        assert await work.sessions.add(new)
        await work.calls.add(made, call)
        await work.commit()
    return await add_question(database, user, made, call.prompt.question)


async def claim(
    database: OpenUnitOfWork, generation_id: GenerationId, lease_seconds: float = 60
) -> Generation | None:
    async with database() as work:
        claimed = await work.generations.claim(generation_id, lease_seconds)
        if claimed is not None:
            await work.commit()
    return None if claimed is None else claimed.generation


async def finish(
    database: OpenUnitOfWork, generation: Generation, ending: Ending | None = None
) -> GenerationId | None:
    """Ends it; returns the next one of the session."""
    async with database() as work:
        finished = await work.generations.finish(
            generation.id, generation.fence, ending or completed()
        )
        assert finished is not None
        await work.commit()
    return finished.next_id
