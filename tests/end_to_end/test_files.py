"""Files over real sockets: what a new user uploads is what the model is told."""

import asyncio
import socket as sockets
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.documents import a_docx, a_pdf
from tests.end_to_end.kept import Kept
from tests.end_to_end.processes import (
    PATIENCE,
    ROOT,
    Json,
    Process,
    hear,
    hear_until,
    process,
    say,
)
from tests.upstream import Upstream, hello, upstream

PYTHON = "def area(r):\n    return 3.14159 * r ** 2\n"
CHINESE = "会议纪要：下周一发布新版本，负责人是李雷。"
REPORT = "Quarterly report\nRevenue rose by 12 percent."
LETTER = "Dear Ada, the parcel leaves on Tuesday."
FOUR = {
    "area.py": (PYTHON.encode(), PYTHON.strip()),
    "会议.txt": (CHINESE.encode("gbk"), CHINESE),
    "report.pdf": (a_pdf(REPORT), "Revenue rose by 12 percent."),
    "letter.docx": (a_docx(LETTER), LETTER),
}


@pytest.fixture
async def model() -> AsyncIterator[Upstream]:
    async with upstream() as made:
        made.answers(hello)
        yield made


def of(model: Upstream) -> dict[str, str]:
    return {"OPENAI_BASE_URL": model.base_url, "OPENAI_MODEL": "gpt-9"}


async def new_session(http: httpx.AsyncClient) -> str:
    session_id: str = (await http.post("/api/chat/session", json={})).json()["session_id"]
    return session_id


async def upload(
    http: httpx.AsyncClient, session_id: str, name: str, content: bytes
) -> httpx.Response:
    return await http.post(
        "/api/files/upload", data={"session_id": session_id}, files={"file": (name, content)}
    )


async def ask(http: httpx.AsyncClient, session_id: str, message: str, *file_ids: int) -> Json:
    body = {"session_id": session_id, "message": message, "file_ids": list(file_ids)}
    reply = await http.post("/api/chat/message", json=body)
    assert reply.status_code == 200, reply.text
    answer: Json = reply.json()
    return answer


def told(model: Upstream) -> list[str]:
    """The prompt of the last call."""
    return [message["content"] for message in model.calls[-1].body["messages"]]


def stored(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


async def until_stored(folder: Path, number: int) -> None:
    """A folder tells nobody that it has changed."""
    async with asyncio.timeout(PATIENCE):
        while True:
            if len(stored(folder)) == number:
                return
            await asyncio.sleep(0.01)


async def test_a_new_user_uploads_four_kinds_of_files_and_asks_about_them(
    tmp_path: Path, kept: Kept, model: Upstream
) -> None:
    folder = tmp_path / "uploads"
    env = {**of(model), **kept.settings, "UPLOAD_DIR": str(folder)}
    async with process(tmp_path, **env) as server, server.http() as http:
        session_id = await new_session(http)
        ids = {}
        for name, (content, _) in FOUR.items():
            reply = await upload(http, session_id, name, content)
            assert reply.status_code == 201, reply.text
            file = reply.json()
            assert (file["file_name"], file["is_processed"], file["error"]) == (name, True, None)
            assert file["file_size"] == len(content)
            ids[name] = file["id"]
        listed = (await http.get(f"/api/files/session/{session_id}")).json()["items"]
        assert [file["file_name"] for file in listed] == list(FOUR)
        for name, (content, text) in FOUR.items():
            await ask(http, session_id, f"What is in {name}?", ids[name])
            question = told(model)[-1]
            assert f"File {name}:" in question
            assert text in question
            assert question.endswith(f"What is in {name}?")
            kept_content = await http.get(f"/api/files/{ids[name]}/content")
            assert kept_content.content == content
        await ask(http, session_id, "And together?", *ids.values())
        assert all(text in told(model)[-1] for _, text in FOUR.values())
        items = (await http.get(f"/api/chat/sessions/{session_id}/messages")).json()["items"]
        questions = [item for item in items if item["role"] == "user"]
        assert [item["content"] for item in questions][-1] == "And together?"
        assert [[file["id"] for file in item["files"]] for item in questions] == [
            *([file_id] for file_id in ids.values()),
            list(ids.values()),
        ]
        assert len(stored(folder)) == 4
        assert (await http.delete(f"/api/chat/sessions/{session_id}")).status_code == 204
        assert stored(folder) == []
        assert (await http.get(f"/api/files/{ids['area.py']}")).status_code == 404
    assert await kept.count("stray_contents", "true") == 0
    assert await kept.count("uploaded_files", "text IS NOT NULL") == 0


async def test_files_are_named_over_a_socket_and_a_file_of_another_session_is_not_there(
    tmp_path: Path, model: Upstream
) -> None:
    async with process(tmp_path, **of(model)) as server, server.http() as http:
        session_id, other = await new_session(http), await new_session(http)
        file_id = (await upload(http, session_id, "a.py", PYTHON.encode())).json()["id"]
        async with server.websocket(f"?session_id={session_id}") as socket:
            await hear(socket)
            await say(socket, type="send", message="What does it?", file_ids=[file_id])
            heard = await hear_until(socket, "done", "error")
            assert heard[-1]["type"] == "done"
            assert heard[1]["message"] == "What does it?", "the text of files is the model's alone"
            assert PYTHON.strip() in told(model)[-1]
            await say(socket, type="send", message="And?", file_ids=[file_id], session_id=other)
            (refused,) = await hear_until(socket, "accepted", "error")
            assert refused["error"]["code"] == "file_not_found"


async def test_what_is_uploaded_at_one_web_is_there_at_another(
    tmp_path: Path, postgres_url: str, redis_url: str, model: Upstream
) -> None:
    folder = tmp_path / "uploads"
    env = {**of(model), "DATABASE_URL": postgres_url, "REDIS_URL": redis_url}
    webs = {**env, "UPLOAD_DIR": str(folder)}
    async with (
        process(tmp_path, "serve", **webs) as one,
        process(tmp_path, "serve", **webs) as two,
        process(tmp_path, "work", **env),
        one.http() as first,
        two.http() as second,
    ):
        session_id = await new_session(first)
        file_id = (await upload(first, session_id, "a.py", PYTHON.encode())).json()["id"]
        assert (await second.get(f"/api/files/{file_id}/content")).text == PYTHON
        await ask(second, session_id, "What does it?", file_id)
        assert PYTHON.strip() in told(model)[-1]
        assert (await second.delete(f"/api/files/{file_id}")).status_code == 204
        assert stored(folder) == []


async def test_what_a_crash_leaves_of_an_upload_is_swept(tmp_path: Path, kept: Kept) -> None:
    folder = tmp_path / "uploads"
    env = {**kept.settings, "UPLOAD_DIR": str(folder)}
    async with process(tmp_path, **env) as server:
        async with server.http() as http:
            session_id = await new_session(http)
            file_id = (await upload(http, session_id, "a.py", PYTHON.encode())).json()["id"]
        (whole,) = stored(folder)
        host, _, port = server.address.partition(":")
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(head(Content_Length=1_000_000) + part("b.txt") + b"x" * 500_000)
        await until_stored(folder, 2)
        await server.kill()
        writer.close()
        assert await kept.count("stray_contents", "true") == 1
        await server.start()
        assert len(stored(folder)) == 2, "as long as an upload may take it is let alone"
        await server.kill()
        await kept.do("UPDATE stray_contents SET due_at = 0")
        await server.start()
        await server.says("deleted 1 contents that belonged to no file")
        assert stored(folder) == [whole]
        async with server.http() as http:
            assert (await http.get(f"/api/files/{file_id}/content")).text == PYTHON


async def test_an_upload_that_the_end_of_the_process_cuts_leaves_nothing(
    tmp_path: Path, kept: Kept
) -> None:
    folder = tmp_path / "uploads"
    env = {**kept.settings, "UPLOAD_DIR": str(folder)}
    async with process(tmp_path, **env) as server:
        host, _, port = server.address.partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(head(Content_Length=1_000_000) + part("b.txt") + b"x" * 500_000)
        await until_stored(folder, 1)
        assert await server.terminate() == 0
        assert (await reader.readline()).startswith(b"HTTP/1.1 503 ")
        writer.close()
    assert stored(folder) == []
    assert await kept.count("stray_contents", "true") == 0


async def test_a_download_that_nobody_reads_delays_the_end_by_little_and_leaves_no_traceback(
    tmp_path: Path,
) -> None:
    async with process(tmp_path, SHUTDOWN_GRACE="1") as server:
        async with server.http() as http:
            session_id = await new_session(http)
            file_id = (await upload(http, session_id, "a.txt", b"x" * 10_000_000)).json()["id"]
        host, _, port = server.address.partition(":")
        with sockets.socket() as stalled:
            stalled.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
            await asyncio.to_thread(stalled.connect, (host, int(port)))
            stalled.sendall(
                f"GET /api/files/{file_id}/content HTTP/1.1\r\nHost: x\r\n\r\n".encode()
            )
            await server.says(f"GET '/api/files/{file_id}/content' 200")
            assert await server.terminate() == 0


# T38: a disk that is full


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system with room for a megabyte."""
    folder = tmp_path / "uploads"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("a small file system can be mounted by root only, and not everywhere")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


async def expect_full(server: Process, folder: Path, kept: Kept) -> None:
    async with server.http() as http:
        session_id = await new_session(http)
        before = stored(folder)
        reply = await upload(http, session_id, "large.txt", b"x" * 3_000_000)
        assert (reply.status_code, reply.json()["code"]) == (507, "storage_full")
        assert stored(folder) == before
        assert (await http.get(f"/api/files/session/{session_id}")).json()["items"] == []
        answer = await ask(http, session_id, "Hello")
        assert answer["finish_reason"] == "stop"
    assert await kept.count("uploaded_files", "true") == len(before)
    assert await kept.count("stray_contents", "true") == 0


async def test_a_full_disk_is_told_and_leaves_nothing_while_chat_goes_on(
    tmp_path: Path, small_disk: Path, kept: Kept
) -> None:
    env = {**kept.settings, "UPLOAD_DIR": str(small_disk), "SIMULATED_DELAY": "0"}
    async with process(tmp_path, **env) as server:
        await expect_full(server, small_disk, kept)
        async with server.http() as http:
            session_id = await new_session(http)
            assert (await upload(http, session_id, "a.py", b"x" * 100_000)).status_code == 201
        await expect_full(server, small_disk, kept)


async def without(folder: Path, kept: Kept, *what: str) -> Process:
    env = {**kept.settings, "UPLOAD_DIR": str(folder), "SIMULATED_DELAY": "0"}
    made = Process(folder.parent, "dev", {**env, "PYTHONPATH": str(ROOT)})
    made.program = ("-m", "tests.faults.without", ",".join(what), "--")
    return await made.start()


async def test_a_disk_that_refuses_is_told_and_leaves_nothing_while_chat_goes_on(
    tmp_path: Path, kept: Kept
) -> None:
    server = await without(tmp_path / "uploads", kept, "room")
    try:
        await expect_full(server, tmp_path / "uploads", kept)
    finally:
        await server.kill()
    assert "Traceback" not in server.log


async def test_if_nothing_were_undone_a_full_disk_would_leave_something(
    tmp_path: Path, kept: Kept
) -> None:
    server = await without(tmp_path / "uploads", kept, "room", "undoing")
    try:
        with pytest.raises(AssertionError):
            await expect_full(server, tmp_path / "uploads", kept)
    finally:
        await server.kill()
    assert stored(tmp_path / "uploads") != []


# Bad senders


async def say_raw(server: Process, *parts: bytes) -> bytes:
    """All that is answered, until the server closes or has answered once."""
    host, _, port = server.address.partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        for each in parts:
            writer.write(each)
            await writer.drain()
        async with asyncio.timeout(PATIENCE):
            return await reader.readuntil(b"}")
    finally:
        writer.close()


def head(**headers: Any) -> bytes:
    given = {"Host": "chat", "Content-Type": "multipart/form-data; boundary=b", **headers}
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in given.items()]
    return "\r\n".join(["POST /api/files/upload HTTP/1.1", *lines, "", ""]).encode()


def part(name: str) -> bytes:
    """The head of a file's."""
    shown = f'--b\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
    return shown.encode()


async def test_a_body_of_ten_gigabytes_is_refused_when_it_is_announced(tmp_path: Path) -> None:
    async with process(tmp_path) as server:
        reply = await say_raw(server, head(Content_Length=10 * 2**30))
        assert reply.startswith(b"HTTP/1.1 413 ")


async def test_who_goes_on_sending_after_a_refusal_is_cut_off(tmp_path: Path) -> None:
    async with process(tmp_path) as server:
        host, _, port = server.address.partition(":")
        _, writer = await asyncio.open_connection(host, int(port))
        made = writer.get_extra_info("socket")
        made.setsockopt(sockets.SOL_SOCKET, sockets.SO_SNDBUF, 65_536)
        writer.write(head(Content_Length=10 * 2**30))

        async def go_on() -> None:
            while True:
                writer.write(b"x" * 1_000_000)
                await writer.drain()

        with pytest.raises(ConnectionError):
            await asyncio.wait_for(go_on(), PATIENCE)
        writer.close()


async def test_what_is_wrong_with_a_form_is_told_to_its_sender_and_not_to_the_log(
    tmp_path: Path,
) -> None:
    async with process(tmp_path) as server:
        reply = await say_raw(server, head(Content_Length=6), b"--bad\n")
        assert reply.startswith(b"HTTP/1.1 400 ")
    assert "multipart" not in server.log


async def test_a_hundred_thousand_parts_are_refused(tmp_path: Path) -> None:
    one = b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n\r\n'
    body = one * 100_000 + b"--b--\r\n"
    async with process(tmp_path) as server:
        reply = await say_raw(server, head(Content_Length=len(body)), body[:1_000_000])
        assert reply.startswith(b"HTTP/1.1 422 ")
