"""What browsers are told not to do with any answer."""

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from domain.identifiers import SessionId
from interface.app import build_app
from tests.interface.doors import Doors

ALWAYS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cross-origin-resource-policy": "same-origin",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
}


def told(reply: httpx.Response) -> dict[str, str]:
    return {name: value for name, value in reply.headers.multi_items() if name in ALWAYS}


@pytest.mark.parametrize("path", ["/healthz", "/openapi.json", "/api/chat/sessions", "/nowhere"])
async def test_every_answer_has_them(http: httpx.AsyncClient, path: str) -> None:
    assert told(await http.get(path)) == ALWAYS


async def test_who_is_refused_is_told_as_well(locked_http: httpx.AsyncClient) -> None:
    reply = await locked_http.get("/api/chat/sessions")
    assert (reply.status_code, told(reply)) == (401, ALWAYS)
    foreign = await locked_http.get("/api/chat/sessions", headers={"Origin": "https://evil.test"})
    assert (foreign.status_code, told(foreign)) == (403, ALWAYS)


async def test_a_fault_of_ours_has_them() -> None:
    async def fail(_: Request) -> Response:
        raise ZeroDivisionError

    transport = httpx.ASGITransport(build_app([Route("/fault", fail)]), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://chat") as client:
        reply = await client.get("/fault")
    assert (reply.status_code, told(reply)) == (500, ALWAYS)


async def test_what_has_a_policy_of_its_own_keeps_it_and_says_nothing_twice() -> None:
    own = {"Content-Security-Policy": "default-src 'self'", "X-Content-Type-Options": "nosniff"}

    async def page(_: Request) -> Response:
        return Response("", headers=own)

    transport = httpx.ASGITransport(build_app([Route("/page", page)]))
    async with httpx.AsyncClient(transport=transport, base_url="http://chat") as client:
        reply = await client.get("/page")
    assert len(reply.headers.get_list("x-content-type-options")) == 1
    assert told(reply) == {**ALWAYS, "content-security-policy": "default-src 'self'"}


async def test_a_socket_that_is_refused_is_an_answer_too(locked: Doors, session: SessionId) -> None:
    sent = []

    async def send(message: object) -> None:
        sent.append(message)

    async def receive() -> dict[str, str]:
        return {"type": "websocket.connect"}

    scope = {
        "type": "websocket",
        "path": "/ws",
        "query_string": f"session_id={session}".encode(),
        "headers": [(b"origin", b"https://evil.test"), (b"host", b"chat")],
        "extensions": {"websocket.http.response": {}},
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
        "scheme": "ws",
        "root_path": "",
        "subprotocols": [],
    }
    await locked.app(scope, receive, send)
    begun = sent[0]
    assert isinstance(begun, dict)
    assert begun["status"] == 403
    headers = {name.decode(): value.decode() for name, value in begun["headers"]}
    assert headers.items() >= ALWAYS.items()
