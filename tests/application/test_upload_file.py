import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

import pytest

from application.files import DeleteFile, ListFiles, ReadContent, ReadFile
from application.submit_message import Submission
from application.upload_file import UploadFile
from application.uploads_under_way import UploadsUnderWay
from domain.errors import (
    ChatError,
    DatabaseUnavailable,
    FileNotFound,
    FileTooLarge,
    FileUnreadable,
    InvalidInput,
    Overloaded,
    SessionNotFound,
    StorageFull,
    StorageQuotaExceeded,
    StorageUnavailable,
    TooManyFiles,
    UnsupportedFileType,
)
from domain.file_type import FileKind
from domain.identifiers import FileId, FileKey, SessionId, UserId
from domain.uploaded_file import FileLimits, UploadedFile
from tests.application.conftest import Chat
from tests.builders import add_file, add_session, add_user
from tests.fakes import FakeDocumentReader

LIMITS = FileLimits(file_bytes=100, files_of_session=3, bytes_of_user=250)


@dataclass
class Sent:
    """A file on its way in, in pieces of three bytes."""

    session: SessionId
    body: bytes = b"hello, world"
    name: str = "notes.txt"
    fails: Exception | None = None
    known_session_id: SessionId | None = None

    async def content(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self.body), 3):
            yield self.body[start : start + 3]
        if self.fails is not None:
            raise self.fails

    async def session_id(self) -> SessionId:
        return self.session


@dataclass
class Files:
    chat: Chat
    reader: FakeDocumentReader

    @property
    def upload(self) -> UploadFile:
        chat = self.chat
        return UploadFile(
            chat.database, chat.files, self.reader, LIMITS, chat.ids, chat.clear_strays
        )

    async def send(self, body: bytes = b"hello, world", name: str = "notes.txt") -> UploadedFile:
        return await self.upload(self.chat.user, Sent(self.chat.session_id, body, name))

    def assert_nothing_is_left(self) -> None:
        assert self.chat.files.contents == {}
        assert self.chat.database.state.files == {}
        assert self.chat.database.state.strays == {}


@pytest.fixture
def files(chat: Chat) -> Files:
    return Files(chat, FakeDocumentReader())


async def test_a_file_is_kept_with_its_text_and_what_is_known_of_it(files: Files) -> None:
    file = await files.send(b"print('hi')", "../a.py")
    assert (file.name, file.media_type, file.size) == ("a.py", "text/x-python", 11)
    assert file.sha256 == hashlib.sha256(b"print('hi')").hexdigest()
    assert file.is_processed
    assert files.chat.files.contents == {file.key: b"print('hi')"}
    assert files.chat.database.state.files[file.id].text == "print('hi')"
    assert files.chat.database.state.strays == {}


async def test_nothing_that_its_sender_says_is_in_the_key(files: Files) -> None:
    file = await files.send(name="../../etc/passwd.txt")
    assert file.name == "passwd.txt"
    assert not set(file.key) & set("/.")
    assert "passwd" not in file.key


async def test_what_can_not_be_read_is_kept_and_says_why(files: Files) -> None:
    file = await files.send(b"%PDF-1.7 but no more", "a.pdf")
    assert (file.is_processed, file.flaw) == (False, "It is encrypted.")
    assert files.reader.read == [FileKind.PDF]
    assert files.chat.files.contents[file.key]


@pytest.mark.parametrize(
    ("body", "name", "error"),
    [
        (b"x" * 101, "a.txt", FileTooLarge),
        (b"\x7fELF\x00", "a.txt", UnsupportedFileType),
        (b"x", "a.pdf", UnsupportedFileType),
        (b"", "a.docx", UnsupportedFileType),
        (b"x", "..", InvalidInput),
        (b"x", "a\x00.txt", InvalidInput),
    ],
)
async def test_what_is_refused_leaves_nothing(
    files: Files, body: bytes, name: str, error: type[ChatError]
) -> None:
    with pytest.raises(error):
        await files.send(body, name)
    files.assert_nothing_is_left()
    assert files.reader.read == []


async def test_too_large_a_file_is_refused_before_all_of_it_has_come(files: Files) -> None:
    sent = Sent(files.chat.session_id, b"x" * 102, fails=ZeroDivisionError())
    with pytest.raises(FileTooLarge):
        await files.upload(files.chat.user, sent)


async def test_a_sending_that_breaks_off_leaves_nothing(files: Files) -> None:
    with pytest.raises(ZeroDivisionError):
        await files.upload(files.chat.user, Sent(files.chat.session_id, fails=ZeroDivisionError()))
    files.assert_nothing_is_left()


async def test_a_full_disk_leaves_nothing_and_chat_goes_on(files: Files) -> None:
    files.chat.files.room = 5
    with pytest.raises(StorageFull):
        await files.send()
    files.assert_nothing_is_left()
    assert await ask(files.chat, text="why?") == "why?"


async def test_who_is_cancelled_leaves_nothing(files: Files) -> None:
    begun = asyncio.Event()

    class Stalled(Sent):
        async def content(self) -> AsyncIterator[bytes]:
            yield b"hello"
            begun.set()
            await asyncio.Event().wait()

    sending = asyncio.create_task(files.upload(files.chat.user, Stalled(files.chat.session_id)))
    await begun.wait()
    assert files.chat.database.state.strays
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    files.assert_nothing_is_left()


async def test_too_many_readings_at_once_refuse_the_file(files: Files) -> None:
    class Busy(FakeDocumentReader):
        async def text(self, *_: object) -> str:
            raise Overloaded

    files.reader = Busy()
    with pytest.raises(Overloaded):
        await files.send()
    files.assert_nothing_is_left()


@pytest.mark.parametrize("whose", ["nobody's", "another's", "deleted"])
async def test_a_session_that_is_not_there_gets_no_file(files: Files, whose: str) -> None:
    chat = files.chat
    session_id = SessionId("session_unknown")
    if whose == "another's":
        bob = await add_user(chat.database, "bob")
        session_id = await add_session(chat.database, bob, "session_bob")
    elif whose == "deleted":
        session_id = chat.session_id
        await chat.delete(chat.user, session_id)
    with pytest.raises(SessionNotFound):
        await files.upload(chat.user, Sent(session_id))
    files.assert_nothing_is_left()
    assert files.reader.read == [], "it is not read for nothing"


async def unread() -> AsyncIterator[bytes]:
    for piece in list[bytes]():
        yield piece
    raise AssertionError("the content was taken")


async def test_where_it_is_known_where_to_nothing_is_taken_in_vain(files: Files) -> None:
    chat = files.chat
    await files.send(name="1.txt")
    await files.send(name="2.txt")
    await files.send(name="3.txt")
    for session_id, error in (
        (SessionId("session_unknown"), SessionNotFound),
        (chat.session_id, TooManyFiles),
    ):
        sent = Sent(session_id, known_session_id=session_id)
        sent.content = unread  # type: ignore[method-assign]
        with pytest.raises(error):
            await files.upload(chat.user, sent)
    assert chat.database.state.strays == {}


@dataclass
class Held(Sent):
    """Comes only when it may."""

    may_come: asyncio.Event = field(default_factory=asyncio.Event)

    async def content(self) -> AsyncIterator[bytes]:
        await self.may_come.wait()
        yield self.body


async def test_one_user_has_so_many_uploads_under_way_and_all_together_have(files: Files) -> None:
    chat = files.chat
    under_way = UploadsUnderWay(most=4, most_of_user=2)
    upload = replace(files.upload, under_way=under_way)
    held = [Held(chat.session_id) for _ in range(3)]
    bob = await add_user(chat.database, "bob")
    held[2].session = await add_session(chat.database, bob, "session_bob")
    users = (chat.user, chat.user, bob)
    coming = [
        asyncio.create_task(upload(user, each)) for user, each in zip(users, held, strict=True)
    ]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await upload(chat.user, Sent(chat.session_id))
    under_way.most = 3
    with pytest.raises(Overloaded):
        await upload(bob, Sent(held[2].session))
    for each in held:
        each.may_come.set()
    await asyncio.gather(*coming)
    assert (await upload(chat.user, Sent(chat.session_id))).is_processed


async def test_of_one_user_one_document_is_read_at_a_time(files: Files) -> None:
    chat, at_once = files.chat, list[int]()
    bob = await add_user(chat.database, "bob")
    bobs = await add_session(chat.database, bob, "session_bob")
    may_end, both = asyncio.Event(), asyncio.Event()

    class Slow(FakeDocumentReader):
        async def text(self, *_: object) -> str:
            at_once.append(len(self.read))
            self.read.append(FileKind.TEXT)
            if len(self.read) == 2:
                both.set()
            await may_end.wait()
            self.read.pop()
            return "read"

    files.reader = Slow()
    upload = files.upload
    sending = [
        asyncio.create_task(upload(chat.user, Sent(chat.session_id))),
        asyncio.create_task(upload(chat.user, Sent(chat.session_id))),
        asyncio.create_task(upload(bob, Sent(bobs))),
    ]
    await asyncio.wait_for(both.wait(), 10)
    assert at_once == [0, 1], "one of each user"
    may_end.set()
    await asyncio.gather(*sending)
    assert len(at_once) == 3


async def test_a_session_that_is_deleted_meanwhile_gets_no_file(files: Files) -> None:
    chat = files.chat

    class Deleting(FakeDocumentReader):
        async def text(self, *_: object) -> str:
            await chat.delete(chat.user, chat.session_id)
            return "read"

    files.reader = Deleting()
    with pytest.raises(SessionNotFound):
        await files.send()
    files.assert_nothing_is_left()


async def test_a_session_has_so_many_files_and_a_user_so_many_bytes(files: Files) -> None:
    chat = files.chat
    for number in range(3):
        await files.send(b"x" * 60, f"{number}.txt")
    with pytest.raises(TooManyFiles):
        await files.send(b"x")
    other = await add_session(chat.database, chat.user, "session_2")
    with pytest.raises(StorageQuotaExceeded):
        await files.upload(chat.user, Sent(other, b"x" * 71))
    assert len(chat.files.contents) == 3
    assert (await files.upload(chat.user, Sent(other, b"x" * 70))).size == 70
    assert chat.database.state.strays == {}


async def test_of_two_that_come_at_once_for_the_last_place_one_is_refused(files: Files) -> None:
    await files.send(name="1.txt")
    await files.send(name="2.txt")
    results = await asyncio.gather(
        files.send(name="3.txt"), files.send(name="4.txt"), return_exceptions=True
    )
    assert [type(result) for result in results].count(TooManyFiles) == 1
    assert len(files.chat.files.contents) == len(files.chat.database.state.files) == 3


async def test_what_was_swept_before_it_was_whole_is_no_file(files: Files) -> None:
    """It took longer than any upload should."""
    database = files.chat.database

    class Swept(FakeDocumentReader):
        async def text(self, *_: object) -> str:
            async with database() as work:
                await work.files.clear(list(database.state.strays))
                await work.commit()
            return "read"

    files.reader = Swept()
    with pytest.raises(StorageUnavailable):
        await files.send()
    assert database.state.files == {}


async def test_a_commit_of_which_nobody_knows_whether_it_was_kept_loses_no_file(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database kept the file and could not say so."""
    database = files.chat.database

    class Reading(FakeDocumentReader):
        async def text(self, *_: object) -> str:
            monkeypatch.setattr("tests.fakes.FakeUnitOfWork.commit", keep_and_fail)
            return "read"

    async def keep_and_fail(work: object) -> None:
        monkeypatch.undo()
        database.state = work._state  # type: ignore[attr-defined]
        raise DatabaseUnavailable("no answer")

    files.reader = Reading()
    with pytest.raises(DatabaseUnavailable):
        await files.send()
    (row,) = database.state.files.values()
    assert files.chat.files.contents == {row.file.key: b"hello, world"}


async def test_without_a_database_nothing_is_stored(files: Files) -> None:
    files.chat.database.away = 1
    with pytest.raises(DatabaseUnavailable):
        await files.send()
    files.assert_nothing_is_left()


async def test_what_can_not_be_deleted_at_once_is_found_later(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = await files.send()
    files.chat.files.away = True
    await DeleteFile(files.chat.database, files.chat.clear_strays)(files.chat.user, file.id)
    assert file.key in files.chat.files.contents
    with pytest.raises(StorageUnavailable):
        await files.chat.clear_strays()
    files.chat.files.away = False
    await files.chat.clear_strays()
    assert files.chat.files.contents == {}
    assert files.chat.database.state.strays == {}


async def test_the_sweep_clears_all_that_is_stray_and_nothing_else(files: Files) -> None:
    chat = files.chat
    file = await files.send()
    async with chat.database() as work:
        for number in range(250):
            key = chat.ids.file()
            chat.files.contents[key] = b"x"
            await work.files.expect(key, 60 if number % 50 == 0 else 0)
        await work.commit()
    await chat.clear_strays()
    assert len(chat.files.contents) == 6
    assert file.key in chat.files.contents


async def test_one_that_can_not_be_deleted_does_not_keep_the_others(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat, keys = files.chat, [files.chat.ids.file() for _ in range(3)]
    async with chat.database() as work:
        for key in keys:
            chat.files.contents[key] = b"x"
            await work.files.expect(key, 0)
        await work.commit()
    really_delete = chat.files.delete

    async def delete(key: FileKey) -> None:
        if key == keys[0]:
            raise StorageUnavailable
        await really_delete(key)

    monkeypatch.setattr(chat.files, "delete", delete)
    with pytest.raises(StorageUnavailable):
        await chat.clear_strays()
    assert list(chat.files.contents) == keys[:1]
    assert list(chat.database.state.strays) == keys[:1]


async def test_a_deleted_session_leaves_no_content(files: Files) -> None:
    await files.send()
    await files.send(name="b.txt")
    await files.chat.delete(files.chat.user, files.chat.session_id)
    assert files.chat.files.contents == {}
    assert files.chat.database.state.strays == {}


async def test_files_are_listed_read_and_deleted_by_their_owner_only(files: Files) -> None:
    chat = files.chat
    bob = await add_user(chat.database, "bob")
    file = await files.send()
    read = ReadFile(chat.database)
    listing, content = ListFiles(chat.database), ReadContent(read, chat.files)
    assert await listing(chat.user, chat.session_id, 10, None) == [file]
    assert await read(chat.user, file.id) == file
    known, pieces = await content(chat.user, file.id)
    assert known == file
    assert [piece async for piece in pieces] == [b"hello, world"]
    delete = DeleteFile(chat.database, chat.clear_strays)
    for refused in (read(bob, file.id), content(bob, file.id), delete(bob, file.id)):
        with pytest.raises(FileNotFound):
            await refused
    with pytest.raises(SessionNotFound):
        await listing(bob, chat.session_id, 10, None)
    await delete(chat.user, file.id)
    with pytest.raises(FileNotFound):
        await delete(chat.user, file.id)
    assert await listing(chat.user, chat.session_id, 10, None) == []
    assert chat.files.contents == {}


@pytest.mark.parametrize("lost", ["gone", "shorter"])
async def test_a_content_that_was_lost_is_no_success(files: Files, lost: str) -> None:
    chat = files.chat
    file = await files.send()
    if lost == "gone":
        del chat.files.contents[file.key]
    else:
        chat.files.contents[file.key] = b"hello"
    with pytest.raises(StorageUnavailable):
        await ReadContent(ReadFile(chat.database), chat.files)(chat.user, file.id)


# What a message makes of them


async def ask(chat: Chat, *file_ids: FileId, text: str = "What is it?") -> str:
    """What the model is told at last."""
    accepted = await chat.submit(
        chat.user, chat.session_id, Submission(text, file_ids=tuple(file_ids))
    )
    claimed = await chat.claim(accepted.generation_id)
    assert claimed is not None
    assert claimed.prompt.question == text
    await chat.answer(claimed)
    return claimed.prompt.messages[-1].content


async def test_the_model_is_told_the_text_of_the_files_that_a_message_names(files: Files) -> None:
    a, b = await files.send(b"text of a", "a.txt"), await files.send(b"text of b", "b.txt")
    told = await ask(files.chat, b.id, a.id, b.id)
    assert told.index("File b.txt:") < told.index("text of b") < told.index("File a.txt:")
    assert told.count("text of b") == 1
    assert told.endswith("What is it?")
    assert await ask(files.chat) == "What is it?"


async def test_a_file_that_is_deleted_before_it_is_read_to_the_model_is_said_to_be(
    files: Files,
) -> None:
    chat = files.chat
    file = await files.send(b"secret text", "a.txt")
    accepted = await chat.submit(
        chat.user, chat.session_id, Submission("What is it?", file_ids=(file.id,))
    )
    await DeleteFile(chat.database, chat.clear_strays)(chat.user, file.id)
    claimed = await chat.claim(accepted.generation_id)
    assert claimed is not None
    assert claimed.prompt.messages[-1].content == "File a.txt: deleted since.\n\nWhat is it?"


async def test_a_conversation_that_is_recalled_has_its_files_as_they_are_now(files: Files) -> None:
    chat = files.chat
    file = await files.send(b"text of a", "a.txt")
    await ask(chat, file.id)

    async def first_of_prompt() -> str:
        accepted = await chat.submit(chat.user, chat.session_id, Submission("And?"))
        claimed = await chat.claim(accepted.generation_id)
        assert claimed is not None
        await chat.answer(claimed)
        return claimed.prompt.messages[0].content

    assert "text of a" in await first_of_prompt()
    await DeleteFile(chat.database, chat.clear_strays)(chat.user, file.id)
    assert await first_of_prompt() == "File a.txt: deleted since.\n\nWhat is it?"


async def test_a_message_can_only_name_readable_files_of_its_session(files: Files) -> None:
    chat, file = files.chat, await files.send()
    other = await add_session(chat.database, chat.user, "session_2")
    bob: UserId = await add_user(chat.database, "bob")
    bobs = await add_session(chat.database, bob, "session_bob")
    deleted = await files.send(name="gone.txt")
    await DeleteFile(chat.database, chat.clear_strays)(chat.user, deleted.id)
    flawed = await files.send(b"%PDF-1.7", "scan.pdf")
    elsewhere = await add_file(chat.database, chat.files, chat.user, other)
    foreign = await add_file(chat.database, chat.files, bob, bobs)
    for file_id in (elsewhere.id, foreign.id, deleted.id, FileId(99)):
        with pytest.raises(FileNotFound):
            await ask(chat, file.id, file_id)
    with pytest.raises(FileUnreadable, match=r"scan\.pdf can't be read\. It is encrypted\."):
        await ask(chat, flawed.id)
    with pytest.raises(FileNotFound):
        await chat.submit(chat.user, None, Submission("why?", file_ids=(file.id,)))
    assert chat.database.state.messages == []
