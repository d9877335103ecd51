import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from infrastructure.key_file import make_key_file, read_key_file, read_secret_file
from infrastructure.key_ring import BadEncryptionKeys


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "data" / "encryption.key"


def test_a_key_is_made_once_and_read_again(path: Path) -> None:
    assert read_key_file(path) is None
    make_key_file(path)
    made = read_key_file(path)
    assert made is not None
    assert [len(key) for key in made] == [32]
    make_key_file(path)
    assert read_key_file(path) == made


def test_two_keys_are_not_alike(path: Path, tmp_path: Path) -> None:
    make_key_file(path)
    make_key_file(tmp_path / "other.key")
    assert read_key_file(path) != read_key_file(tmp_path / "other.key")


def test_the_file_is_its_owners_only_from_the_first_moment(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def fsync(descriptor: int) -> None:
        seen.append(os.fstat(descriptor).st_mode)

    monkeypatch.setattr(os, "fsync", fsync)
    before = os.umask(0)
    try:
        make_key_file(path)
    finally:
        os.umask(before)
    files = [stat.S_IMODE(mode) for mode in (*seen, path.stat().st_mode) if stat.S_ISREG(mode)]
    assert files == [0o600, 0o600]
    assert [entry.name for entry in path.parent.iterdir()] == ["encryption.key"]


def test_processes_that_start_at_once_agree_on_one_key(path: Path) -> None:
    barrier = Barrier(8)

    def start(_: int) -> object:
        barrier.wait()
        make_key_file(path)
        return read_key_file(path)

    with ThreadPoolExecutor(8) as starters:
        keys = list(starters.map(start, range(8)))
    assert keys == [keys[0]] * 8
    assert [entry.name for entry in path.parent.iterdir()] == ["encryption.key"]


def test_a_secret_is_the_text_of_the_file(path: Path) -> None:
    assert read_secret_file(path) is None
    make_key_file(path)
    made = read_secret_file(path)
    assert made is not None
    assert made.reveal() == path.read_text().strip()
    assert len(made.reveal()) == 44


@pytest.mark.parametrize("content", [b"", b"half a secr", b"\xff\xfe\x00", b"\n"])
def test_a_file_that_holds_no_key_is_told_and_left_as_it_is(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    make_key_file(path)
    with pytest.raises(BadEncryptionKeys) as bad:
        read_key_file(path)
    with pytest.raises(BadEncryptionKeys):
        read_secret_file(path)
    assert str(bad.value) == f"{path}: key 1 is not 32 bytes in base64"
    assert path.read_bytes() == content


def test_a_place_where_no_file_can_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where the folder should be")
    with pytest.raises(BadEncryptionKeys, match="can't be made: "):
        make_key_file(tmp_path / "data" / "encryption.key")
    with pytest.raises(BadEncryptionKeys, match="can't be read: "):
        read_key_file(tmp_path)


def test_a_pipe_is_told_and_not_waited_for(path: Path) -> None:
    path.parent.mkdir(parents=True)
    os.mkfifo(path)
    for read in (read_key_file, read_secret_file):
        with pytest.raises(BadEncryptionKeys, match="can't be read: it is no regular file"):
            read(path)
