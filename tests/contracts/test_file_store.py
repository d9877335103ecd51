"""What every store of files promises."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from application.ports import FileStore
from domain.errors import StorageUnavailable
from domain.identifiers import FileKey

KEY = FileKey("file_1")


async def pieces(*given: bytes) -> AsyncIterator[bytes]:
    for piece in given:
        yield piece


async def read(store: FileStore, key: FileKey = KEY) -> bytes:
    async with aclosing(store.read(key)) as content:
        return b"".join([piece async for piece in content])


@pytest.mark.parametrize(
    "given", [(), (b"",), (b"abc", b"", b"def"), (bytes(range(256)) * 4_000, b"x")]
)
async def test_what_was_saved_is_read_as_it_was(store: FileStore, given: tuple[bytes, ...]) -> None:
    await store.save(KEY, pieces(*given))
    assert await read(store) == b"".join(given)
    assert await store.size(KEY) == len(b"".join(given))


async def test_each_key_has_its_own(store: FileStore) -> None:
    await store.save(KEY, pieces(b"one"))
    await store.save(FileKey("file_2"), pieces(b"two"))
    await store.delete(KEY)
    assert await store.size(KEY) is None
    assert await read(store, FileKey("file_2")) == b"two"


async def test_what_is_not_there_has_no_size_and_can_be_deleted_but_not_read(
    store: FileStore,
) -> None:
    assert await store.size(KEY) is None
    await store.delete(KEY)
    with pytest.raises(StorageUnavailable):
        await read(store)


async def test_what_breaks_off_can_be_deleted(store: FileStore) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * 300_000
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await store.save(KEY, broken())
    await store.delete(KEY)
    assert await store.size(KEY) is None


async def test_a_save_can_be_cancelled_and_its_rest_deleted(store: FileStore) -> None:
    begun = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield b"x" * 300_000
        begun.set()
        await asyncio.Event().wait()

    saving = asyncio.create_task(store.save(KEY, endless()))
    await begun.wait()
    saving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await saving
    await store.delete(KEY)
    assert await store.size(KEY) is None


async def test_reading_can_be_left_in_the_middle(store: FileStore) -> None:
    await store.save(KEY, pieces(b"x" * 1_000_000))
    async with aclosing(store.read(KEY)) as content:
        async for piece in content:
            assert piece
            break
    await store.delete(KEY)
