"""The routes of files, and the forms that bring them."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator

import httpx
import pytest

from domain.errors import StorageUnavailable
from domain.identifiers import FileKey, SessionId
from domain.uploaded_file import FileLimits
from interface import multipart
from tests.builders import add_file, add_session, add_user
from tests.fakes import FakeFileStore, State
from tests.interface.clients import (
    PATIENCE_SECONDS,
    Connection,
    Json,
    ask,
    assert_problem,
    http_scope,
)
from tests.interface.conftest import NothingIsLeft
from tests.interface.doors import Doors
from tests.interface.test_sessions import pointers

URL = "/api/files/upload"
FORM = {"Content-Type": "multipart/form-data; boundary=b"}


def part(name: str, content: bytes, file_name: str | None = None, extra: bytes = b"") -> bytes:
    head = f'--b\r\nContent-Disposition: form-data; name="{name}"'
    if file_name is not None:
        head += f'; filename="{file_name}"'
    return head.encode() + b"\r\n" + extra + b"\r\n" + content + b"\r\n"


END = b"--b--\r\n"


def form(session: str, content: bytes = b"hello", file_name: str = "a.txt") -> bytes:
    return part("session_id", session.encode()) + part("file", content, file_name) + END


async def post(http: httpx.AsyncClient, body: bytes | AsyncIterator[bytes]) -> httpx.Response:
    return await http.post(URL, content=body, headers=FORM)


async def uploaded(http: httpx.AsyncClient, session: SessionId, **wishes: str) -> Json:
    content, name = wishes.get("content", "hello"), wishes.get("name", "a.txt")
    reply = await post(http, form(session, content.encode(), name))
    assert reply.status_code == 201, reply.text
    file: Json = reply.json()
    return file


def assert_nothing_is_left(doors: Doors) -> None:
    state: State = doors.database.state
    assert (state.files, state.strays, doors.files.contents) == ({}, {}, {})


async def test_a_file_is_told_as_it_is_kept(http: httpx.AsyncClient, session: SessionId) -> None:
    file = await uploaded(http, session, name="../résumé.py", content="print()")
    created_at = file.pop("created_at")
    assert created_at.endswith("Z")
    file_id = file.pop("id")
    assert isinstance(file_id, int)
    assert len(file.pop("sha256")) == 64
    assert file == {
        "session_id": session,
        "file_name": "résumé.py",
        "file_size": 7,
        "file_type": "text/x-python",
        "is_processed": True,
        "error": None,
    }
    read = (await http.get(f"/api/files/{file_id}")).json()
    assert read["file_name"] == "résumé.py"
    assert (await http.get(f"/api/files/session/{session}")).json() == {
        "items": [read],
        "next_cursor": None,
    }


async def test_a_file_that_can_not_be_read_says_why(
    http: httpx.AsyncClient, session: SessionId
) -> None:
    file = await uploaded(http, session, name="a.pdf", content="%PDF-1.7")
    assert (file["is_processed"], file["error"]) == (False, "It is encrypted.")


async def test_usual_clients_can_upload(http: httpx.AsyncClient, session: SessionId) -> None:
    reply = await http.post(
        URL, data={"session_id": session}, files={"file": ("a.txt", b"hello", "image/png")}
    )
    assert reply.status_code == 201
    assert reply.json()["file_type"] == "text/plain", "what the sender says of it counts nothing"


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("filename*=utf-8''%E4%BC%9A%E8%AE%AE.txt", "会议.txt"),
        ("filename*=UTF-8'zh'a%20b.txt", "a b.txt"),
        ("filename=\"a.txt\"; filename*=utf-8''b.txt", "a.txt"),
    ],
)
async def test_a_name_may_be_written_as_older_clients_do(
    http: httpx.AsyncClient, session: SessionId, written: str, name: str
) -> None:
    body = form(session).replace(b'filename="a.txt"', written.encode())
    assert (await post(http, body)).json()["file_name"] == name


async def test_fields_may_come_in_any_order_with_others_between(
    http: httpx.AsyncClient, session: SessionId
) -> None:
    body = (
        part("other", b"x")
        + part("file", b"hello", "a.txt", b"Content-Type: text/plain\r\nX-Other: y\r\n")
        + part("more", b"")
        + part("session_id", session.encode())
        + END
        + b"what comes behind is nothing"
    )
    assert (await post(http, body)).status_code == 201


async def test_others_have_their_turn_while_a_form_is_parsed(
    http: httpx.AsyncClient, session: SessionId
) -> None:
    """All at once, and almost every byte of it begins a boundary."""
    turns = 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def counted(size: int) -> int:
        before = turns
        body = part("session_id", session.encode()) + part("file", b"\r\n--X" * size, "a.txt")
        assert (await post(http, body + END)).status_code == 413
        return turns - before

    others = asyncio.create_task(take_turns())
    few, many = await counted(300), await counted(12_000)
    others.cancel()
    assert many >= few + 3


async def test_a_form_may_come_a_byte_at_a_time(
    http: httpx.AsyncClient, session: SessionId
) -> None:
    body = form(session, b"\r\n--b\r\r\n--", "a.txt")

    async def slowly() -> AsyncIterator[bytes]:
        for byte in body:
            yield bytes([byte])

    reply = await post(http, slowly())
    assert reply.status_code == 201
    content = await http.get(f"/api/files/{reply.json()['id']}/content")
    assert content.content == b"\r\n--b\r\r\n--"


async def test_the_content_is_an_attachment_that_no_browser_shows(
    doors: Doors, http: httpx.AsyncClient, session: SessionId
) -> None:
    name = 'a"; filename=b.html\r\n 报告.html'
    body = part("session_id", session.encode()) + part("file", b"<script>", "x.html") + END
    body = body.replace(b"x.html", name.replace('"', '\\"').replace("\r\n", "").encode())
    file = (await post(http, body)).json()
    reply = await http.get(f"/api/files/{file['id']}/content")
    assert (reply.status_code, reply.content) == (200, b"<script>")
    assert reply.headers["content-disposition"] == (
        'attachment; filename="a_; filename=b.html __.html"; '
        "filename*=UTF-8''a%22%3B%20filename%3Db.html%20%E6%8A%A5%E5%91%8A.html"
    )
    assert reply.headers["content-type"] == "application/octet-stream"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert reply.headers["content-length"] == "8"
    head = await ask(doors.app, "HEAD", f"/api/files/{file['id']}/content", "", {}, b"")
    assert (head.status, head.text, head.headers["content-length"]) == (200, "", "8")


async def test_who_leaves_in_the_middle_of_a_content_leaves_nothing_open(
    doors: Doors, session: SessionId, nothing_is_left: NothingIsLeft
) -> None:
    user = await add_user(doors.database, "local")
    file = await add_file(doors.database, doors.files, user, session)
    connection = Connection(leaves_after=1)
    connection.call(doors.app, http_scope(f"/api/files/{file.id}/content"))
    assert (await connection.told())["status"] == 200
    with pytest.raises(OSError, match="gone"):
        await connection.ended()
    await nothing_is_left()


def replace_read(monkeypatch: pytest.MonkeyPatch, *pieces: bytes, fails: bool) -> None:
    """What the store gives of any content, whatever its size is known to be."""

    async def read(*_: object) -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece
        if fails:
            raise StorageUnavailable

    monkeypatch.setattr(FakeFileStore, "read", read)


async def test_a_content_that_goes_after_it_was_looked_for_is_told(
    http: httpx.AsyncClient, session: SessionId, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = await uploaded(http, session)
    replace_read(monkeypatch, fails=True)
    reply = await http.get(f"/api/files/{file['id']}/content")
    assert_problem(reply, 503, "storage_unavailable")


@pytest.mark.parametrize(
    ("pieces", "fails"),
    [([b"he"], True), ([b"he"], False), ([b"he", b"llo, world"], False), ([b"he", b"llo"], True)],
)
async def test_a_download_that_is_not_the_file_is_cut_and_no_fault(
    doors: Doors,
    http: httpx.AsyncClient,
    session: SessionId,
    monkeypatch: pytest.MonkeyPatch,
    pieces: list[bytes],
    fails: bool,
) -> None:
    file = await uploaded(http, session, content="hello")
    replace_read(monkeypatch, *pieces, fails=fails)
    connection = Connection()
    connection.call(doors.app, http_scope(f"/api/files/{file['id']}/content"))
    assert (await connection.told())["status"] == 200
    await connection.ended()
    bodies = connection.rest()
    assert bodies[0]["body"] == b"he"
    assert all(body["more_body"] for body in bodies)


async def test_an_upload_that_the_end_of_the_process_cuts_leaves_nothing_and_may_be_sent_again(
    doors: Doors, session: SessionId, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = asyncio.Event()

    async def save(store: FakeFileStore, key: FileKey, content: AsyncIterable[bytes]) -> None:
        async for piece in content:
            store.contents[key] = piece
            begun.set()

    monkeypatch.setattr(FakeFileStore, "save", save)
    connection = Connection()
    connection.tell(
        {"type": "http.request", "body": form(session, b"x" * 100)[:-20], "more_body": True}
    )
    headers = {"content-type": FORM["Content-Type"]}
    connection.call(doors.app, http_scope(URL, headers=headers, method="POST"))
    await asyncio.wait_for(begun.wait(), PATIENCE_SECONDS)
    await connection.cut()
    reply = await connection.told()
    assert reply["status"] == 503
    assert (b"retry-after", b"2") in reply["headers"]
    assert b'"code":"restarting"' in (await connection.told())["body"]
    assert_nothing_is_left(doors)


async def test_deleting_takes_the_row_and_the_content(
    doors: Doors, http: httpx.AsyncClient, session: SessionId
) -> None:
    file = await uploaded(http, session)
    assert len(doors.files.contents) == 1
    reply = await http.delete(f"/api/files/{file['id']}")
    assert (reply.status_code, reply.content) == (204, b"")
    assert doors.files.contents == {}
    for path in (f"/api/files/{file['id']}", f"/api/files/{file['id']}/content"):
        assert_problem(await http.get(path), 404, "file_not_found")
    assert_problem(await http.delete(f"/api/files/{file['id']}"), 404, "file_not_found")


@pytest.mark.parametrize(
    "name", ["0", "-1", "1.5", "x", "9" * 30, str(2**63), "%00", "99", "upload", "session"]
)
async def test_what_is_no_id_is_no_file(http: httpx.AsyncClient, name: str) -> None:
    assert_problem(await http.get(f"/api/files/{name}"), 404, "file_not_found")


async def test_the_list_goes_on_by_cursor(http: httpx.AsyncClient, session: SessionId) -> None:
    names = ["1.txt", "2.txt", "3.txt"]
    for name in names:
        await uploaded(http, session, name=name)
    url = f"/api/files/session/{session}"
    first = (await http.get(url, params={"limit": "2"})).json()
    rest = (await http.get(url, params={"cursor": first["next_cursor"]})).json()
    assert [item["file_name"] for item in (*first["items"], *rest["items"])] == names
    assert rest["next_cursor"] is None
    reply = await http.get(url, params={"cursor": "rubbish"})
    assert_problem(reply, 422, "invalid_request", flaws=True)
    assert_problem(await http.get("/api/files/session/none"), 404, "session_not_found")


async def test_the_history_shows_the_files_that_a_message_names(
    http: httpx.AsyncClient, session: SessionId
) -> None:
    one, two = await uploaded(http, session), await uploaded(http, session, name="b.txt")
    path = f"/api/chat/sessions/{session}/messages"
    body = {"message": "why?", "file_ids": [two["id"], one["id"]]}
    assert (await http.post(path, json=body)).status_code == 202
    assert (await http.post(path, json={"message": "and?"})).status_code == 202
    first, second = (await http.get(path)).json()["items"]
    assert first["files"] == [two, one]
    assert first["content"] == "why?"
    assert "files" not in second
    await http.delete(f"/api/files/{two['id']}")
    assert (await http.get(path)).json()["items"][0]["files"] == [one]


@pytest.mark.parametrize(
    ("file_ids", "status", "code"),
    [
        ([99], 404, "file_not_found"),
        ([0], 422, "invalid_request"),
        ([2**63], 422, "invalid_request"),
        (["1"], 422, "invalid_request"),
        ([1] * 21, 422, "invalid_request"),
        ([True], 422, "invalid_request"),
    ],
)
async def test_a_message_can_not_name_what_is_no_file(
    http: httpx.AsyncClient, session: SessionId, file_ids: list[object], status: int, code: str
) -> None:
    body = {"message": "why?", "file_ids": file_ids}
    reply = await http.post(f"/api/chat/sessions/{session}/messages", json=body)
    assert_problem(reply, status, code, flaws=status == 422)


async def test_a_message_can_not_name_what_could_not_be_read(
    http: httpx.AsyncClient, session: SessionId
) -> None:
    file = await uploaded(http, session, name="a.pdf", content="%PDF-1.7")
    body = {"message": "why?", "file_ids": [file["id"]]}
    reply = await http.post(f"/api/chat/sessions/{session}/messages", json=body)
    assert_problem(reply, 422, "file_unreadable")
    assert "a.pdf" in reply.json()["detail"]


# What is refused


@pytest.mark.parametrize(
    ("body", "status", "code", "where"),
    [
        (part("session_id", b"%s") + END, 422, "invalid_request", "/file"),
        (END, 422, "invalid_request", "/file"),
        (part("file", b"x", "a.txt") + END, 422, "invalid_request", "/session_id"),
        (
            part("session_id", b"%s") + part("file", b"x", "a.txt") * 2 + END,
            422, "invalid_request", "/file",
        ),
        (part("session_id", b"x" * 1_001) + END, 422, "invalid_request", ""),
        (part("session_id", b"%s") + part("file", b"x") + END, 422, "invalid_request", "/file"),
        (part("x", b"") * 11 + END, 422, "invalid_request", ""),
        (part("file", b"x", "a.txt") + part("x", b"") * 11 + END, 422, "invalid_request", ""),
        (b"no form at all", 400, "bad_request", None),
        (b"", 400, "bad_request", None),
        (part("session_id", b"%s") + part("file", b"x", "a.txt"), 400, "bad_request", None),
        (part("file", b"x" * 50, "a.txt")[:-20], 400, "bad_request", None),
        (part("file", b"x", "a.txt", b"A: b\r\n" * 9) + END, 400, "bad_request", None),
        (part("file", b"x", "x" * 9_000) + END, 400, "bad_request", None),
        (part("file", b"x", "x" * 4_096) + END, 422, "invalid_request", "/file"),
        (part("file", b"x", "a\x00.txt") + END, 422, "invalid_request", "/file"),
        (
            part("session_id", b"session_unknown") + part("file", b"x", "a.txt") + END,
            404, "session_not_found", None,
        ),
        (
            part("session_id", b"../\xff") + part("file", b"x", "a.txt") + END,
            404, "session_not_found", None,
        ),
        (form("%s", b"x" * 1_001), 413, "file_too_large", None),
        (form("%s", b"\x7fELF\x02"), 415, "unsupported_file_type", None),
        (form("%s", b"x", "a.pdf"), 415, "unsupported_file_type", None),
    ],
)  # fmt: skip
async def test_a_form_that_is_refused_says_why_and_leaves_nothing(
    doors: Doors,
    http: httpx.AsyncClient,
    session: SessionId,
    body: bytes,
    status: int,
    code: str,
    where: str | None,
) -> None:
    reply = await post(http, body.replace(b"%s", session.encode()))
    assert_problem(reply, status, code, flaws=where is not None)
    if where is not None:
        assert pointers(reply) == [where]
    assert_nothing_is_left(doors)


@pytest.mark.parametrize(
    "kind", ["application/json", "multipart/form-data", "multipart/mixed; boundary=b", "", "\xff"]
)
async def test_what_is_no_form_is_refused(
    doors: Doors, http: httpx.AsyncClient, session: SessionId, kind: str
) -> None:
    headers = {b"Content-Type": kind.encode("latin-1")}
    reply = await http.post(URL, content=form(session), headers=headers)
    assert_problem(reply, 415, "unsupported_media_type")
    assert_nothing_is_left(doors)


async def test_a_boundary_that_is_none_is_refused(
    http: httpx.AsyncClient, session: SessionId
) -> None:
    headers = {"Content-Type": f"multipart/form-data; boundary={'b' * 5_000}"}
    reply = await http.post(URL, content=form(session), headers=headers)
    assert_problem(reply, 400, "bad_request")


async def unread() -> AsyncIterator[bytes]:
    unsent: list[bytes] = []
    for piece in unsent:
        yield piece
    raise AssertionError("the body was read")


async def test_a_body_that_is_announced_as_too_large_is_not_even_read(
    http: httpx.AsyncClient,
) -> None:
    headers = {**FORM, "Content-Length": str(10 * 2**30)}
    reply = await http.post(URL, content=unread(), headers=headers)
    assert_problem(reply, 413, "file_too_large")


async def test_a_body_without_end_is_refused_when_it_is_too_large(
    doors: Doors, http: httpx.AsyncClient, session: SessionId
) -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield part("session_id", session.encode()) + part("file", b"x", "a.txt") + END
        while True:
            yield b"x" * 10_000

    assert_problem(await post(http, endless()), 413, "file_too_large")
    assert_nothing_is_left(doors)


@pytest.mark.parametrize("limit", ["GAP_SECONDS", "TOTAL_SECONDS"])
async def test_a_body_that_comes_too_slowly_is_refused(
    doors: Doors,
    http: httpx.AsyncClient,
    session: SessionId,
    monkeypatch: pytest.MonkeyPatch,
    limit: str,
) -> None:
    monkeypatch.setattr(multipart, limit, 0.01)

    async def slow() -> AsyncIterator[bytes]:
        yield form(session)[:-20]
        await asyncio.Event().wait()

    assert_problem(await post(http, slow()), 408, "request_timeout")
    assert_nothing_is_left(doors)


async def test_who_leaves_in_the_middle_leaves_nothing(
    doors: Doors, session: SessionId, nothing_is_left: NothingIsLeft
) -> None:
    connection = Connection(fails_once_left=False)
    connection.tell({"type": "http.request", "body": form(session)[:-20], "more_body": True})
    headers = {"content-type": FORM["Content-Type"]}
    connection.call(doors.app, http_scope(URL, headers=headers, method="POST"))
    connection.leave({"type": "http.disconnect"})
    await connection.ended()
    assert_nothing_is_left(doors)
    await nothing_is_left()


async def test_a_full_disk_is_told_and_chat_goes_on(
    doors: Doors, http: httpx.AsyncClient, session: SessionId
) -> None:
    doors.files.room = 3
    assert_problem(await post(http, form(session)), 507, "storage_full")
    assert_nothing_is_left(doors)
    reply = await http.post(f"/api/chat/sessions/{session}/messages", json={"message": "why?"})
    assert reply.status_code == 202


async def test_a_store_that_is_away_is_told(
    doors: Doors, http: httpx.AsyncClient, session: SessionId
) -> None:
    file = await uploaded(http, session)
    doors.files.away = True
    reply = await post(http, form(session))
    assert_problem(reply, 503, "storage_unavailable")
    assert "retry-after" in reply.headers
    assert_problem(await http.get(f"/api/files/{file['id']}/content"), 503, "storage_unavailable")


async def test_limits_are_told_by_their_code(
    doors: Doors, http: httpx.AsyncClient, session: SessionId
) -> None:
    assert doors.file_limits == FileLimits(1_000, 3, 2_000)
    for name in ("1.txt", "2.txt", "3.txt"):
        await uploaded(http, session, name=name)
    assert_problem(await post(http, form(session)), 409, "too_many_files")
    user = await add_user(doors.database, "local")
    other = await add_session(doors.database, user, "session_2")
    assert (await post(http, form(other, b"x" * 1_000))).status_code == 201
    reply = await post(http, form(other, b"x" * 1_000))
    assert_problem(reply, 409, "storage_quota_exceeded")
