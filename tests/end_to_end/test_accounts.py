"""Accounts over real processes: who may come in, and what a log-out ends."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import aclosing, closing
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import ClientConnection

from tests.end_to_end.processes import (
    PATIENCE,
    Json,
    Process,
    hear,
    hear_until,
    process,
    sse,
    sse_until_last,
    text_of,
)

PASSWORD = "correct-horse-battery"
SAID = "".join(f"chunk {number}: Hello, LLM!" for number in range(1, 6))


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Process]:
    async with process(
        tmp_path, AUTH_MODE="required", ACCESS_CHECK_SECONDS="0.2", SIMULATED_DELAY="0.02"
    ) as made:
        yield made


async def post(server: Process, path: str, token: str | None = None, **body: object) -> Json:
    async with server.http(token) as http:
        reply = await http.post(path, json=body)
    assert reply.status_code < 300, reply.text
    shown: Json = reply.json()
    return shown


async def register(server: Process, username: str = "ada") -> Json:
    return await post(server, "/api/auth/register", username=username, password=PASSWORD)


async def log_out(server: Process, token: str) -> None:
    async with server.http(token) as http:
        assert (await http.post("/api/auth/logout")).status_code == 204


async def ticket(server: Process, token: str) -> str:
    made: str = (await post(server, "/api/auth/ticket", token))["ticket"]
    return made


async def status_of(server: Process, path: str, token: str | None = None) -> int:
    async with server.http(token) as http, http.stream("GET", path) as reply:
        return reply.status_code


async def closed(socket: ClientConnection) -> int | None:
    """Waits until the server has closed it; the code."""
    async with asyncio.timeout(PATIENCE):
        await socket.wait_closed()
    return socket.close_code


async def ended(reply: httpx.Response) -> None:
    """Waits until a stream has ended in good order."""
    async with asyncio.timeout(PATIENCE):
        async for _ in reply.aiter_raw():
            pass


def delete_user(server: Process, username: str) -> None:
    with closing(sqlite3.connect(server.folder / "data" / "llm-chat.db", timeout=60)) as database:
        database.execute("UPDATE users SET deleted_at = 1 WHERE username = ?", (username,))
        database.commit()


async def test_who_has_registered_chats_over_every_door(server: Process) -> None:
    """T53, in part: neither a stream nor a socket takes a ticket again."""
    token = (await register(server))["access_token"]
    async with server.websocket(token=token) as socket:
        session_id = (await hear(socket))["session_id"]
        await socket.send("Hello, LLM!")
        frames = await hear_until(socket, "done")
    assert text_of(frames) == SAID
    path = f"/sse/{session_id}"
    async with aclosing(sse(server, path, "0-0", token)) as events:
        assert await sse_until_last(events) == frames[1:]
    by_ticket = await ticket(server, token)
    async with aclosing(sse(server, path, "0-0", ticket=by_ticket)) as events:
        assert await sse_until_last(events) == frames[1:]
    async with server.http() as http:
        again = await http.get(path, params={"ticket": by_ticket})
    assert (again.status_code, again.json()["code"]) == (401, "invalid_token")
    query = f"?session_id={session_id}&last_event_id=0-0&ticket={await ticket(server, token)}"
    async with server.websocket(query) as socket:
        assert (await hear(socket))["session_id"] == session_id
        assert await hear_until(socket, "done") == frames[1:]
    async with server.websocket(query) as socket:
        assert (await hear(socket))["error"]["code"] == "invalid_token"
        assert await closed(socket) == 4401
    async with server.http(token) as http:
        (listed,) = (await http.get("/api/chat/sessions")).json()["items"]
    assert listed["session_id"] == session_id


async def test_without_credentials_nobody_comes_in(server: Process) -> None:
    for path in ("/api/chat/sessions", "/api/auth/me", "/sse/session_1", "/api/models"):
        assert await status_of(server, path) == 401
        assert await status_of(server, path, "garbage") == 401
    for token in (None, "garbage"):
        async with server.websocket(token=token) as socket:
            assert (await hear(socket))["error"]["status"] == 401
            assert await closed(socket) == 4401
    assert await status_of(server, "/healthz") == await status_of(server, "/readyz") == 200


async def test_two_users_do_not_see_each_other(server: Process) -> None:
    ada, bob = [(await register(server, name))["access_token"] for name in ("ada", "bob")]
    session = await post(server, "/api/chat/session", ada)
    path = f"/api/chat/sessions/{session['session_id']}"
    for part in (path, f"{path}/messages", f"/sse/{session['session_id']}"):
        assert await status_of(server, part, ada) == 200
        assert await status_of(server, part, bob) == 404
    async with server.websocket(f"?session_id={session['session_id']}", bob) as socket:
        await hear(socket)
        assert await closed(socket) == 4404
    async with server.http(bob) as http:
        assert (await http.get("/api/chat/sessions")).json()["items"] == []


async def test_a_stolen_refresh_token_is_of_no_use_for_long(server: Process) -> None:
    first = await register(server)
    second = await post(server, "/api/auth/refresh", refresh_token=first["refresh_token"])
    assert await status_of(server, "/api/auth/me", second["access_token"]) == 200
    async with server.http() as http:
        for token in (first["refresh_token"], second["refresh_token"]):
            reply = await http.post("/api/auth/refresh", json={"refresh_token": token})
            assert reply.status_code == 401
    assert await status_of(server, "/api/auth/me", second["access_token"]) == 401
    await server.says("a refresh token was used twice")


async def test_a_page_stays_signed_in_by_its_cookie_until_it_logs_out(server: Process) -> None:
    await register(server)
    async with server.http() as browser:  # it keeps cookies
        origin = str(browser.base_url).rstrip("/")
        browser.headers.update({"Origin": origin, "Sec-Fetch-Site": "same-origin"})
        credentials = {"username": "ada", "password": PASSWORD, "cookie": True}
        logged_in = await browser.post("/api/auth/login", json=credentials)
        cookie = browser.cookies["llm_chat_refresh"]
        once = await browser.post("/api/auth/refresh", json={"cookie": True})
        twice = await browser.post("/api/auth/refresh", json={"cookie": True})
        for reply in (logged_in, once, twice):
            assert reply.status_code == 200
            assert "refresh_token" not in reply.json()
            token = reply.json()["access_token"]
            assert await status_of(server, "/api/auth/me", token) == 200
        cookies = {cookie, browser.cookies["llm_chat_refresh"]}
        for headers in ({"Origin": "http://evil"}, {"Sec-Fetch-Site": "cross-site"}):
            reply = await browser.post("/api/auth/refresh", json={"cookie": True}, headers=headers)
            assert (reply.status_code, reply.json()["code"]) == (403, "foreign_origin")
        bearing = {"Authorization": f"Bearer {twice.json()['access_token']}"}
        assert (await browser.post("/api/auth/logout", headers=bearing)).status_code == 204
        assert "llm_chat_refresh" not in browser.cookies
        reply = await browser.post("/api/auth/refresh", json={"cookie": True})
        assert (reply.status_code, reply.json()["code"]) == (401, "not_signed_in")
        kept = {"Cookie": f"llm_chat_refresh={cookie}"}
        reply = await browser.post("/api/auth/refresh", json={"cookie": True}, headers=kept)
        assert (reply.status_code, reply.json()["code"]) == (401, "invalid_token")
    assert not any(cookie in server.log for cookie in cookies)


@pytest.mark.parametrize("how", ["log_out", "delete_user"])
async def test_what_is_open_ends_with_the_log_out_or_the_user(server: Process, how: str) -> None:
    """T51: a socket, and streams by header and by ticket, within the time between two checks."""
    ada, bob = [(await register(server, name))["access_token"] for name in ("ada", "bob")]
    session_id = (await post(server, "/api/chat/session", ada))["session_id"]
    by_ticket = {"ticket": await ticket(server, ada)}
    path = f"/sse/{session_id}"
    async with (
        server.websocket(f"?session_id={session_id}", ada) as socket,
        server.websocket(token=bob) as bobs,
        server.http(ada) as http,
        server.http() as browser,
        http.stream("GET", path) as stream,
        browser.stream("GET", path, params=by_ticket) as ticketed,
    ):
        await hear(socket)
        await hear(bobs)
        assert (stream.status_code, ticketed.status_code) == (200, 200)
        if how == "log_out":
            await log_out(server, ada)
        else:
            delete_user(server, "ada")
        assert await status_of(server, "/api/auth/me", ada) == 401
        assert (await hear(socket))["error"]["code"] == "invalid_token"
        assert await closed(socket) == 4401
        await ended(stream)
        await ended(ticketed)
        assert await status_of(server, path, ada) == 401
        await bobs.send("Hello, LLM!")
        assert (await hear_until(bobs, "done"))[-1]["type"] == "done"


async def test_a_deleted_user_does_not_come_back(server: Process) -> None:
    shown = await register(server)
    made = await post(server, "/api/user/tokens", shown["access_token"], name="cron")
    delete_user(server, "ada")
    for token in (shown["access_token"], made["token"]):
        assert await status_of(server, "/api/auth/me", token) == 401
    async with server.http() as http:
        credentials = {"username": "ada", "password": PASSWORD}
        assert (await http.post("/api/auth/login", json=credentials)).status_code == 401
        assert (await http.post("/api/auth/register", json=credentials)).status_code == 409
        refresh = {"refresh_token": shown["refresh_token"]}
        assert (await http.post("/api/auth/refresh", json=refresh)).status_code == 401


async def test_a_program_comes_in_by_its_api_token_until_it_is_deleted(server: Process) -> None:
    ada = (await register(server))["access_token"]
    made = await post(server, "/api/user/tokens", ada, name="cron", expires_in_days=30)
    await log_out(server, ada)
    async with server.websocket(token=made["token"]) as socket:
        await hear(socket)
        await socket.send("Hello, LLM!")
        assert text_of(await hear_until(socket, "done")) == SAID
        async with server.http(made["token"]) as http:
            assert (await http.delete(f"/api/user/tokens/{made['id']}")).status_code == 204
        assert await closed(socket) == 4401
    assert await status_of(server, "/api/auth/me", made["token"]) == 401


async def test_other_doors_over_the_same_database_take_the_same_credentials(
    tmp_path: Path,
) -> None:
    environment = {"AUTH_MODE": "required", "ACCESS_CHECK_SECONDS": "0.2"}
    async with (
        process(tmp_path, **environment) as one,
        process(tmp_path, "serve", SECRET_KEY="", ENCRYPTION_KEYS="", **environment) as two,
    ):
        shown = await register(one)
        token = shown["access_token"]
        assert await status_of(two, "/api/auth/me", token) == 200
        made = await ticket(one, token)
        async with two.websocket(f"?ticket={made}") as socket:
            await hear(socket)
            async with one.websocket(f"?ticket={made}") as again:
                await hear(again)
                assert await closed(again) == 4401
            await log_out(one, token)
            assert await closed(socket) == 4401
        assert await status_of(two, "/api/auth/me", token) == 401


async def test_no_secret_is_in_a_file_or_in_the_log(tmp_path: Path) -> None:
    secrets = [PASSWORD, "another-wrong-horse"]
    async with process(
        tmp_path, AUTH_MODE="required", LOG_LEVEL="DEBUG", SIMULATED_DELAY="0"
    ) as server:
        shown = await register(server)
        shown = await post(server, "/api/auth/refresh", refresh_token=shown["refresh_token"])
        token = shown["access_token"]
        made = await post(server, "/api/user/tokens", token, name="a-name-that-is-found")
        used, unused = await ticket(server, token), await ticket(server, token)
        secrets += [token, shown["refresh_token"], made["token"], used, unused]
        async with server.http() as browser:
            credentials = {"username": "ada", "password": PASSWORD, "cookie": True}
            await browser.post("/api/auth/login", json=credentials)
            reply = await browser.post("/api/auth/refresh", json={"cookie": True})
            assert reply.status_code == 200
            secrets += [reply.json()["access_token"], browser.cookies["llm_chat_refresh"]]
        async with server.websocket(f"?ticket={used}") as socket:
            await hear(socket)
        async with server.http() as http:
            for ticketed in (used, "a-ticket-of-nobody"):
                assert (await http.get(f"/sse/session_1?ticket={ticketed}")).status_code == 401
            wrong = {"username": "ada", "password": "another-wrong-horse"}
            refused = [
                await http.post("/api/auth/login", json=wrong),
                await http.post("/api/auth/register", json={**wrong, "username": "a"}),
                await http.post("/api/auth/refresh", json={"refresh_token": token}),
                await http.post("/api/auth/refresh", content=json.dumps(shown)[:-1]),
            ]
        for reply in refused:
            assert reply.status_code in (401, 422)
            assert not any(secret in reply.text for secret in secrets)
        assert await server.terminate() == 0
        secrets.append((tmp_path / "data" / "secret.key").read_text().strip())
    files = {
        path.name: path.read_bytes()
        for path in (tmp_path / "data").rglob("*")
        if path.is_file()
        if path.suffix != ".key"
    }
    kept = b"".join(files.values())
    assert b"a-name-that-is-found" in kept
    assert "/sse/session_1" in server.log
    for secret in secrets:
        assert secret.encode() not in kept
        assert secret[4:-4].encode() not in kept
        assert secret[4:-4] not in server.log
