"""What every request passes: its id, and how it is refused."""

import asyncio
import re
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from domain.identifiers import SessionId
from interface import bodies
from interface.app import build_app
from interface.bodies import MAX_BODY_BYTES
from tests.interface.clients import assert_problem, problem_keys
from tests.interface.doors import Doors


@pytest.mark.parametrize("given", ["12345678", "a" * 64, "Az.09_-x"])
async def test_a_clients_request_id_is_kept(http: httpx.AsyncClient, given: str) -> None:
    reply = await http.get("/healthz", headers={"X-Request-ID": given})
    assert reply.headers["x-request-id"] == given


@pytest.mark.parametrize("given", ["", "1234567", "a" * 65, "12345678 ", "1234/5678", "12345678é"])
async def test_a_bad_request_id_is_replaced(http: httpx.AsyncClient, given: str) -> None:
    reply = await http.get("/healthz", headers=[(b"X-Request-ID", given.encode())])
    made = reply.headers["x-request-id"]
    assert made != given
    assert re.fullmatch(r"[A-Za-z0-9._-]{8,64}", made)


async def test_each_request_gets_an_id_of_its_own(http: httpx.AsyncClient) -> None:
    made = {(await http.get("/healthz")).headers["x-request-id"] for _ in range(5)}
    assert len(made) == 5


async def test_a_refusal_carries_the_clients_request_id(http: httpx.AsyncClient) -> None:
    reply = await http.get("/api/chat/sessions/none", headers={"X-Request-ID": "request-42"})
    assert_problem(reply, 404, "session_not_found")
    assert reply.json()["request_id"] == "request-42"


@pytest.mark.parametrize("path", ["/nowhere", "/api/chat", "/api/chat/sessions/a/b/c"])
async def test_a_route_that_does_not_exist_is_a_problem(http: httpx.AsyncClient, path: str) -> None:
    assert_problem(await http.get(path), 404, "not_found")


async def test_a_method_that_is_not_allowed_is_a_problem(http: httpx.AsyncClient) -> None:
    reply = await http.get("/api/chat/session")
    assert_problem(reply, 405, "method_not_allowed")
    assert reply.headers["allow"] == "POST"


async def test_all_methods_of_a_resource_are_named_when_one_is_not_allowed(
    http: httpx.AsyncClient, session: SessionId
) -> None:
    reply = await http.put(f"/api/chat/sessions/{session}/messages")
    assert_problem(reply, 405, "method_not_allowed")
    assert {"GET", "POST"} <= set(reply.headers["allow"].split(", "))


async def test_what_looks_like_an_id_but_is_none_has_methods_of_its_own(
    http: httpx.AsyncClient,
) -> None:
    for path, methods in {
        "/api/files/upload": "POST",
        "/api/files/7": "DELETE, GET, HEAD",
        "/api/user/apis/first": "GET, HEAD",
        "/api/user/apis/7": "DELETE, GET, HEAD, PUT",
        "/api/user/apis/7/test": "POST",
    }.items():
        reply = await http.patch(path)
        assert_problem(reply, 405, "method_not_allowed")
        assert reply.headers["allow"] == methods


async def test_a_body_that_is_announced_as_too_large_is_a_problem(
    http: httpx.AsyncClient, session: SessionId
) -> None:
    body = b'{"message": "%b"}' % (b"x" * MAX_BODY_BYTES)
    reply = await http.post(f"/api/chat/sessions/{session}/messages", content=body)
    assert_problem(reply, 413, "payload_too_large")


async def test_a_body_that_turns_out_too_large_is_a_problem(
    doors: Doors, http: httpx.AsyncClient, session: SessionId
) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(MAX_BODY_BYTES // 1024 + 1):
            yield b" " * 1024

    reply = await http.post(f"/api/chat/sessions/{session}/messages", content=pieces())
    assert_problem(reply, 413, "payload_too_large")
    assert doors.database.state.messages == []


async def test_a_body_that_comes_too_slowly_is_a_problem(
    doors: Doors,
    http: httpx.AsyncClient,
    session: SessionId,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also one that never pauses for long."""
    monkeypatch.setattr(bodies, "BODY_SECONDS", 0.05)

    async def drops() -> AsyncIterator[bytes]:
        while True:
            yield b" "
            await asyncio.sleep(0.001)

    reply = await http.post(f"/api/chat/sessions/{session}/messages", content=drops())
    assert_problem(reply, 408, "request_timeout")
    assert doors.database.state.messages == []


async def test_a_database_that_is_away_is_a_problem_and_the_client_learns_when_to_return(
    doors: Doors, http: httpx.AsyncClient
) -> None:
    doors.database.away = 1
    reply = await http.get("/api/chat/sessions")
    assert_problem(reply, 503, "database_unavailable")
    assert int(reply.headers["retry-after"]) > 0


async def test_a_fault_of_ours_tells_nothing_but_how_to_name_it() -> None:
    async def fail(_: Request) -> Response:
        raise ZeroDivisionError("a secret")

    transport = httpx.ASGITransport(build_app([Route("/fault", fail)]), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://chat") as client:
        reply = await client.get("/fault", headers={"X-Request-ID": "request-42"})
    assert reply.status_code == 500
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.json().keys() == problem_keys()
    assert reply.json()["code"] == "internal_error"
    assert reply.json()["request_id"] == "request-42"
    assert "secret" not in reply.text
    assert "ZeroDivisionError" not in reply.text


async def test_a_fault_of_ours_echoes_the_request_id() -> None:
    async def fail(_: Request) -> Response:
        raise ZeroDivisionError

    transport = httpx.ASGITransport(build_app([Route("/fault", fail)]), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://chat") as client:
        reply = await client.get("/fault", headers={"X-Request-ID": "request-42"})
    assert reply.headers.get("x-request-id") == "request-42"
