"""What every repository of files promises."""

import asyncio
from collections.abc import Collection, Mapping, Sequence

import pytest

from application.ports import OpenUnitOfWork
from domain.identifiers import FileId, FileKey, SessionId, UserId
from domain.uploaded_file import FileText, HeldFiles, NewFile, UploadedFile
from tests.builders import a_new_file, add_session, add_user


async def expect(database: OpenUnitOfWork, key: FileKey, seconds: float = 60) -> None:
    async with database() as work:
        await work.files.expect(key, seconds)
        await work.commit()


async def add(database: OpenUnitOfWork, new: NewFile) -> UploadedFile | None:
    async with database() as work:
        file = await work.files.add(new)
        await work.commit()
    return file


class Two:
    """Two users with a session each, and how many files they were given."""

    def __init__(self, database: OpenUnitOfWork) -> None:
        self.database = database
        self.made = 0

    async def __aenter__(self) -> "Two":
        self.ada = await add_user(self.database, "ada")
        self.bob = await add_user(self.database, "bob")
        self.adas = await add_session(self.database, self.ada, "session_a")
        self.bobs = await add_session(self.database, self.bob, "session_b")
        return self

    async def file(
        self, session_id: SessionId | None = None, text: str = "hello", flaw: str | None = None
    ) -> UploadedFile:
        session_id = session_id or self.adas
        user = self.bob if session_id == self.bobs else self.ada
        self.made += 1
        key = FileKey(f"file_{self.made}")
        await expect(self.database, key)
        new = a_new_file(user, session_id, key, f"{self.made}.txt", text, flaw)
        file = await add(self.database, new)
        assert file is not None
        return file

    async def find(self, user: UserId, file_id: FileId) -> UploadedFile | None:
        async with self.database(read_only=True) as work:
            return await work.files.find(user, file_id)

    async def page(
        self, session_id: SessionId, limit: int = 100, after: FileId | None = None
    ) -> Sequence[UploadedFile]:
        async with self.database(read_only=True) as work:
            return list(await work.files.page(session_id, limit, after))

    async def held(self) -> HeldFiles:
        async with self.database() as work:
            return await work.files.held(self.ada, self.adas)

    async def texts(
        self, file_ids: Collection[FileId], characters: int = 100
    ) -> Mapping[FileId, FileText]:
        async with self.database(read_only=True) as work:
            return await work.files.texts(file_ids, characters)

    async def strays(self, limit: int = 100) -> Sequence[FileKey]:
        async with self.database(read_only=True) as work:
            return list(await work.files.strays(limit))

    async def delete(self, user: UserId, file_id: FileId) -> FileKey | None:
        async with self.database() as work:
            key = await work.files.delete(user, file_id)
            await work.commit()
        return key


@pytest.fixture
async def two(database: OpenUnitOfWork) -> Two:
    return await Two(database).__aenter__()


async def test_a_file_is_found_by_its_owner_as_it_was_added(two: Two) -> None:
    await expect(two.database, FileKey("file_k"))
    new = a_new_file(two.ada, two.adas, FileKey("file_k"), "../ü 报告.txt", "t", "It is encrypted.")
    file = await add(two.database, new)
    assert file is not None
    assert await two.find(two.ada, file.id) == file
    shown = (file.owner, file.session_id, file.key, file.name, file.media_type, file.size)
    assert shown == (two.ada, two.adas, "file_k", "../ü 报告.txt", "text/plain", 1)
    assert (file.sha256, file.flaw, file.is_processed) == (new.sha256, new.flaw, False)
    assert await two.find(two.bob, file.id) is None
    assert await two.find(two.ada, FileId(file.id + 1)) is None


async def test_what_was_not_expected_is_not_added(two: Two) -> None:
    assert await add(two.database, a_new_file(two.ada, two.adas)) is None
    assert await two.page(two.adas) == []


async def test_what_was_expected_earlier_is_stray_and_is_not_added_any_more(two: Two) -> None:
    await expect(two.database, FileKey("late"), seconds=0)
    await expect(two.database, FileKey("early"))
    assert await two.strays() == ["late"]
    assert await add(two.database, a_new_file(two.ada, two.adas, FileKey("late"))) is None
    assert await add(two.database, a_new_file(two.ada, two.adas, FileKey("early"))) is not None
    assert await two.strays() == ["late"]


async def test_what_was_added_is_not_stray_ever_after(two: Two) -> None:
    file = await two.file()
    async with two.database() as work:
        assert not await work.files.stray_now(file.key)
        await work.commit()
    assert await two.strays() == []


async def test_what_will_not_come_is_stray_at_once_until_it_is_cleared(two: Two) -> None:
    await expect(two.database, FileKey("file_1"))
    await expect(two.database, FileKey("file_2"))
    assert await two.strays() == []
    async with two.database() as work:
        assert await work.files.stray_now(FileKey("file_1"))
        assert not await work.files.stray_now(FileKey("file_9"))
        await work.commit()
    assert await two.strays() == ["file_1"]
    async with two.database() as work:
        await work.files.clear(await two.strays())
        await work.commit()
    assert await two.strays() == []
    assert await add(two.database, a_new_file(two.ada, two.adas, FileKey("file_1"))) is None
    assert await add(two.database, a_new_file(two.ada, two.adas, FileKey("file_2"))) is not None


async def test_the_longest_known_strays_come_first_and_no_more_than_asked_for(two: Two) -> None:
    for number in range(3):
        await expect(two.database, FileKey(f"file_{2 - number}"), seconds=-number)
        await expect(two.database, FileKey(f"later_{number}"), seconds=60)
    assert await two.strays(2) == ["file_0", "file_1"]


async def test_what_is_held_is_counted_by_session_and_by_user(two: Two) -> None:
    assert await two.held() == HeldFiles(0, 0)
    await two.file(text="12345")
    other = await add_session(two.database, two.ada, "session_2")
    await two.file(other, text="123")
    await two.file(two.bobs, text="1234567")
    gone = await two.file(text="1234567890")
    await two.delete(two.ada, gone.id)
    assert await two.held() == HeldFiles(1, 8)


async def test_a_session_lists_its_files_oldest_first_in_pages(two: Two) -> None:
    files = [await two.file() for _ in range(3)]
    await two.file(two.bobs)
    assert await two.page(two.adas) == files
    assert await two.page(two.adas, limit=2) == files[:2]
    assert await two.page(two.adas, after=files[0].id) == files[1:]


async def test_a_session_knows_its_own_files_only(two: Two) -> None:
    mine, gone, foreign = await two.file(), await two.file(), await two.file(two.bobs)
    await two.delete(two.ada, gone.id)
    async with two.database(read_only=True) as work:
        named = await work.files.named(two.adas, [mine.id, gone.id, foreign.id, FileId(99)])
        assert await work.files.named(two.adas, []) == {}
    assert named == {mine.id: mine}


async def test_texts_are_told_from_their_beginning_with_their_length(two: Two) -> None:
    short, long, flawed = (
        await two.file(text="短い"),
        await two.file(text="0123456789"),
        await two.file(text="x", flaw="It is damaged."),
    )
    texts = await two.texts([short.id, long.id, flawed.id], characters=4)
    assert texts == {
        short.id: FileText("1.txt", "短い", 2),
        long.id: FileText("2.txt", "0123", 10),
        flawed.id: FileText("3.txt", None, 0),
    }


async def test_a_deleted_file_is_gone_and_its_content_is_stray(two: Two) -> None:
    file, other = await two.file(), await two.file()
    assert await two.delete(two.bob, file.id) is None
    assert await two.strays() == []
    assert await two.delete(two.ada, file.id) == file.key
    assert await two.delete(two.ada, file.id) is None
    assert await two.find(two.ada, file.id) is None
    assert await two.page(two.adas) == [other]
    assert await two.strays() == [file.key]
    assert await two.texts([file.id]) == {file.id: FileText(file.name, None, 0)}


async def test_all_files_of_a_session_go_at_once(two: Two) -> None:
    files, foreign = [await two.file(), await two.file()], await two.file(two.bobs)
    async with two.database() as work:
        keys = await work.files.delete_all(two.adas)
        assert await work.files.delete_all(two.adas) == []
        await work.commit()
    assert sorted(keys) == sorted(file.key for file in files)
    assert sorted(await two.strays()) == sorted(keys)
    assert await two.page(two.adas) == []
    assert await two.page(two.bobs) == [foreign]


async def test_of_one_user_only_one_transaction_at_a_time_counts_and_adds(two: Two) -> None:
    """Else two could both find room for the last one."""
    await expect(two.database, FileKey("file_1"))
    async with two.database() as work:
        assert (await work.files.held(two.ada, two.adas)).in_session == 0
        other = asyncio.create_task(two.held())
        for _ in range(50):  # it has time to count too early
            await work.files.strays(1)
        assert await work.files.add(a_new_file(two.ada, two.adas)) is not None
        await work.commit()
    assert (await other).in_session == 1


async def test_an_id_does_not_come_back(two: Two) -> None:
    file = await two.file()
    await two.delete(two.ada, file.id)
    assert (await two.file()).id > file.id
