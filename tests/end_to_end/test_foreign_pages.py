"""Who is led here by a page of another site, at a real process."""

from pathlib import Path
from typing import Final

import httpx
import pytest
from websockets.asyncio.client import connect

from tests.end_to_end.processes import (
    PATIENCE,
    Process,
    hear,
    process,
    sse,
    sse_until_last,
    text_of,
)

FRIEND: Final = "https://app.example.com"
UPGRADE: Final = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
WAYS: Final = [
    ("POST", "/api/chat/message", {}),
    ("GET", "/api/chat/sessions", {}),
    ("GET", "/chat/stream?message=Hello", {}),
    ("GET", "/ws", UPGRADE),
]


def told(reply: httpx.Response) -> tuple[int, str]:
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.json()["request_id"] == reply.headers["x-request-id"]
    return reply.status_code, reply.json()["code"]


def opened(server: Process, origin: str) -> connect:
    return connect(f"ws://{server.address}/ws", origin=origin, open_timeout=PATIENCE)  # type: ignore[arg-type]


@pytest.mark.parametrize("allowed", ["", FRIEND])
@pytest.mark.parametrize("way", WAYS)
async def test_a_page_of_another_site_and_a_name_of_another_site_are_refused_at_every_door(
    tmp_path: Path, allowed: str, way: tuple[str, str, dict[str, str]]
) -> None:
    """T53, in part."""
    method, path, headers = way
    foreign = [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
    ]
    async with process(tmp_path, ALLOWED_ORIGINS=allowed) as server, server.http() as http:
        port = server.address.rpartition(":")[2]
        for said in foreign:
            reply = await http.request(method, path, headers={**headers, **said})
            assert told(reply) == (403, "foreign_origin")
            assert "access-control-allow-origin" not in reply.headers
        host = f"evil.example:{port}"
        for said in ({"Host": host}, {"Host": host, "Origin": f"http://{host}"}):
            reply = await http.request(method, path, headers={**headers, **said})
            assert told(reply) == (403, "foreign_host")
        assert (await http.get("/api/chat/sessions")).json()["items"] == []
        # Our own page, by each of our names, and a link to it from elsewhere.
        for name in (server.address, f"localhost:{port}", f"chat.localhost:{port}"):
            own = {"Host": name, "Origin": f"http://{name}", "Sec-Fetch-Site": "same-origin"}
            assert (await http.post("/api/chat/session", headers=own)).status_code == 201
        assert (await http.get("/", headers=foreign[-1])).status_code == 200
        async with opened(server, f"http://{server.address}") as socket:
            assert (await hear(socket))["type"] == "session"


async def test_where_people_must_sign_in_the_name_is_the_networks_business(tmp_path: Path) -> None:
    async with process(tmp_path, AUTH_MODE="required") as server, server.http() as http:
        reply = await http.get("/healthz", headers={"Host": "chat.example"})
        assert reply.status_code == 200
        reply = await http.post("/api/auth/login", headers={"Origin": "http://evil.example"})
        assert told(reply) == (403, "foreign_origin")


async def test_an_allowed_page_uses_every_door(tmp_path: Path) -> None:
    settings = {"ALLOWED_ORIGINS": f"http://localhost:5173, {FRIEND}", "SIMULATED_DELAY": "0"}
    async with process(tmp_path, **settings) as server, server.http() as http:
        http.headers.update({"Origin": FRIEND, "Sec-Fetch-Site": "cross-site"})
        asks = {"Access-Control-Request-Method": "POST"}
        assert (await http.options("/api/chat/session", headers=asks)).status_code == 200
        made = await http.post("/api/chat/session")
        assert made.headers["access-control-allow-origin"] == FRIEND
        session_id = made.json()["session_id"]
        async with http.stream("GET", f"/sse/{session_id}") as stream:
            assert stream.headers["access-control-allow-origin"] == FRIEND
        sent = await http.post(f"/api/chat/sessions/{session_id}/messages", json={"message": "Hi"})
        path = f"/api/chat/generations/{sent.json()['generation_id']}/stream"
        assert text_of(await sse_until_last(sse(server, path))).endswith("Hi")
        async with opened(server, FRIEND) as socket:
            assert (await hear(socket))["type"] == "session"
