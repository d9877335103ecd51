import asyncio
import errno
import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from domain.errors import StorageFull, StorageUnavailable
from domain.identifiers import FileKey
from infrastructure.disk_file_store import DiskFileStore

KEY = FileKey("file_1")


async def pieces(*given: bytes) -> AsyncIterator[bytes]:
    for piece in given:
        yield piece


def open_files() -> int:
    return len(list(Path("/dev/fd").iterdir()))


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


@pytest.mark.parametrize(
    ("number", "error"),
    [
        (errno.ENOSPC, StorageFull),
        (errno.EDQUOT, StorageFull),
        (errno.EIO, StorageUnavailable),
        (errno.EROFS, StorageUnavailable),
    ],
)
async def test_what_the_disk_refuses_is_told_and_no_file_stays_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, error: type[Exception]
) -> None:
    store, before = DiskFileStore(tmp_path), open_files()

    def refuse(*_: object) -> int:
        raise OSError(number, "so it is")

    monkeypatch.setattr("infrastructure.disk_file_store.os.write", refuse)
    with pytest.raises(error) as raised:
        await store.save(KEY, pieces(b"hello"))
    assert type(raised.value) is error
    assert open_files() == before
    await store.delete(KEY)
    assert names_in(tmp_path) == []


async def test_a_write_that_takes_only_a_part_is_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    monkeypatch.setattr(
        "infrastructure.disk_file_store.os.write", lambda file, content: write(file, content[:3])
    )
    store = DiskFileStore(tmp_path)
    await store.save(KEY, pieces(b"0123456789"))
    assert (tmp_path / KEY).read_bytes() == b"0123456789"


async def test_a_folder_that_is_a_file_is_an_unavailable_store(tmp_path: Path) -> None:
    (tmp_path / "uploads").write_text("I am a file")
    store = DiskFileStore(tmp_path / "uploads")
    with pytest.raises(StorageUnavailable):
        await store.save(KEY, pieces(b"hello"))
    with pytest.raises(StorageUnavailable):
        await store.size(KEY)
    with pytest.raises(StorageUnavailable):
        await store.delete(KEY)


async def test_the_folder_is_made_and_only_for_this_user(tmp_path: Path) -> None:
    store = DiskFileStore(tmp_path / "a" / "uploads")
    assert await store.size(KEY) is None
    await store.save(KEY, pieces(b"hello"))
    assert stat.S_IMODE((tmp_path / "a" / "uploads").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "a" / "uploads" / KEY).stat().st_mode) == 0o600


async def test_no_content_is_written_over_another(tmp_path: Path) -> None:
    store = DiskFileStore(tmp_path)
    await store.save(KEY, pieces(b"one"))
    with pytest.raises(StorageUnavailable):
        await store.save(KEY, pieces(b"two"))
    assert (tmp_path / KEY).read_bytes() == b"one"


async def test_who_is_cancelled_while_a_file_is_opened_leaves_none_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, loop = open_files(), asyncio.get_running_loop()
    opening, may_open, really_open = asyncio.Event(), asyncio.Event(), os.open

    def slow_open(*args: object) -> int:
        loop.call_soon_threadsafe(opening.set)
        asyncio.run_coroutine_threadsafe(may_open.wait(), loop).result()
        return really_open(*args)  # type: ignore[arg-type]

    monkeypatch.setattr("infrastructure.disk_file_store.os.open", slow_open)
    saving = asyncio.create_task(DiskFileStore(tmp_path).save(KEY, pieces(b"x")))
    await opening.wait()
    saving.cancel()
    may_open.set()
    with pytest.raises(asyncio.CancelledError):
        await saving
    assert open_files() == before
