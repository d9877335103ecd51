"""Whose page asks, and by which name: for every route, method and mode."""

import json
import logging
from collections.abc import AsyncIterator, Mapping
from typing import Final

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message

from domain.identifiers import SessionId
from interface.app import build_app
from interface.foreign_pages import EXPOSED, METHODS
from interface.origins import ANY_ORIGIN, Origins
from tests.interface.clients import (
    Connection,
    ask,
    assert_problem,
    event_source,
    problem_keys,
    websocket,
    websocket_scope,
)
from tests.interface.conftest import client_of
from tests.interface.doors import Doors

FRIEND: Final = "https://friend.example"
OWN: Final = "http://chat"
FRIENDS: Final = Origins(frozenset({FRIEND, "http://localhost:5173"}))
ANYBODY: Final = Origins(frozenset({ANY_ORIGIN}))

Headers = Mapping[str, str]

# What browsers say for a page of another site.
FOREIGN: Final[list[Headers]] = [
    {"Origin": "http://evil"},
    {"Origin": "null"},
    {"Origin": "http://chat.evil"},
    {"Origin": "http://chat:8081"},
    {"Origin": "http://evil", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"},
    {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-User": "?1"},
]
# What they say for our own, for what was typed or bookmarked, and what programs say.
OURS: Final[list[Headers]] = [
    {},
    {"Origin": OWN},
    {"Origin": OWN, "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"},
    {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "no-cors"},
    {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-User": "?1"},
    {"Sec-Fetch-Mode": "cors"},  # fetch() of Node
]
PUBLIC: Final = [
    "/",
    "/page/main.js",
    "/healthz",
    "/readyz",
    "/docs",
    "/chat",
    "/openapi.json",
    "/asyncapi.json",
]
# Some are not there yet: that must not be how they are safe.
CLOSED: Final = [
    "/api/chat/sessions",
    "/api/chat/stream",
    "/api/files/1/content",
    "/chat/stream",
    "/metrics",
    "/roles",
    "/sse/session_1",
    "/v1/models",
    "/ws",
    "/nowhere",
    "/page",
    "/docsx",
    "//",
    "/index.html",
]


async def told(doors: Doors, method: str, path: str, headers: Headers) -> tuple[int, str | None]:
    """Status, and the code of an error, in whatever words."""
    body = {"message": "Hello", "username": "ada", "password": "correct horse"}
    reply = await ask(doors.app, method, path, "message=Hello", {"Host": "chat", **headers}, body)
    is_json = reply.headers.get("content-type", "").endswith("json") and reply.text
    said = json.loads(reply.text) if is_json else {}
    return reply.status, said.get("error", said).get("code")


@pytest.fixture(params=[False, True], ids=["open", "required"])
async def either(request: pytest.FixtureRequest) -> AsyncIterator[Doors]:
    """In both modes."""
    made = Doors(sign_in_required=request.param, sync_timeout=0.01)
    await made.local()
    yield made
    made.stream.close()


@pytest.fixture(params=[FRIENDS, ANYBODY], ids=["a friend", "anybody"])
async def befriended(request: pytest.FixtureRequest) -> AsyncIterator[Doors]:
    """A server that pages of other origins may use."""
    made = Doors(origins=request.param, sync_timeout=0.01)
    await made.local()
    yield made
    made.stream.close()


@pytest.fixture
async def friendly(befriended: Doors) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(befriended) as client:
        yield client


def requests_of(routes: "list[BaseRoute]") -> list[tuple[str, str]]:
    found = []
    for route in routes:
        if isinstance(route, Route):
            found += [(method, route.path) for method in sorted(route.methods or ())]
    return found


# Pages of other sites


@pytest.mark.parametrize("headers", FOREIGN)
async def test_no_route_does_anything_for_a_page_of_another_site(
    either: Doors, headers: Headers
) -> None:
    asked = requests_of(list(either.routes))
    before = either.database.state
    refused = 0
    for method, path in asked:
        status, code = await told(either, method, path, headers)
        if method in ("GET", "HEAD") and path in (
            *PUBLIC,
            "/page/{path:path}",
            "/docs/{path:path}",
        ):
            assert status in (200, 404), path
        else:
            assert (status, code) == (403, "foreign_origin"), (method, path)
            refused += 1
    assert refused > 40
    assert either.database.state is before
    assert (either.queue.requests, either.passwords.asked) == ([], 0)


@pytest.mark.parametrize("headers", FOREIGN)
@pytest.mark.parametrize("path", CLOSED)
async def test_also_to_look_there_by_a_link_is_refused(
    either: Doors, path: str, headers: Headers
) -> None:
    assert await told(either, "GET", path, headers) == (403, "foreign_origin")


@pytest.mark.parametrize("headers", FOREIGN)
@pytest.mark.parametrize("path", PUBLIC)
async def test_what_is_nobodys_can_be_looked_at_from_everywhere(
    either: Doors, path: str, headers: Headers
) -> None:
    for method in ("GET", "HEAD"):
        assert (await told(either, method, path, headers))[0] != 403


@pytest.mark.parametrize("headers", FOREIGN)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY", "get"])
@pytest.mark.parametrize("path", ["/", "/docs", "/api/chat/message", "/nowhere"])
async def test_where_one_may_look_one_may_not_do_more(
    either: Doors, path: str, method: str, headers: Headers
) -> None:
    assert await told(either, method, path, headers) == (403, "foreign_origin")


@pytest.mark.parametrize("headers", OURS)
async def test_our_own_page_and_programs_are_never_refused(either: Doors, headers: Headers) -> None:
    for method, path in requests_of(list(either.routes)):
        assert (await told(either, method, path, headers))[1] != "foreign_origin"


async def test_a_refusal_is_a_problem_that_can_be_named(http: httpx.AsyncClient) -> None:
    headers = {"Origin": "http://evil", "X-Request-ID": "request-42"}
    reply = await http.post("/api/chat/message", json={"message": "Hello"}, headers=headers)
    assert_problem(reply, 403, "foreign_origin")
    assert reply.headers["x-request-id"] == "request-42"


async def test_the_operator_can_see_why(
    http: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await http.post("/api/chat/message", headers={"Origin": "https://chat.example" + "x" * 900})
    (line,) = [text for text in caplog.messages if "foreign_origin" in text]
    assert "host ['chat'], origin ['https://chat.examplexxx" in line
    assert len(line) < 500


# WebSockets


async def handshake(app: ASGIApp, headers: Headers) -> list[Message]:
    """What comes before anything was sent."""
    connection = Connection()
    connection.tell({"type": "websocket.connect"})
    connection.call(app, websocket_scope("", {"Host": "chat", **headers}))
    try:
        first = await connection.told()
        if first["type"] == "websocket.accept":
            return [first]
        return [first, await connection.told()]
    finally:
        await connection.close()


@pytest.mark.parametrize("headers", FOREIGN)
async def test_a_websocket_of_another_sites_page_is_refused_before_it_is_one(
    either: Doors, headers: Headers
) -> None:
    before = either.database.state
    start, body = await handshake(either.app, {**headers, "X-Request-ID": "request-42"})
    assert (start["type"], start["status"]) == ("websocket.http.response.start", 403)
    names = dict(start["headers"])
    assert names[b"content-type"] == b"application/problem+json"
    assert names[b"x-request-id"] == b"request-42"
    shown = json.loads(body["body"])
    assert shown.keys() == problem_keys()
    assert (shown["code"], shown["instance"]) == ("foreign_origin", "/ws")
    assert either.database.state is before


@pytest.mark.parametrize(
    "headers",
    # Some browsers count ws:// as another site than http://, but all say the origin.
    [*OURS, {"Origin": OWN, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "websocket"}],
)
async def test_a_websocket_of_our_own_page_or_of_a_program_is_accepted(
    either: Doors, headers: Headers
) -> None:
    (first,) = await handshake(either.app, headers)
    assert first["type"] == "websocket.accept"


async def test_an_allowed_page_may_have_a_websocket(befriended: Doors) -> None:
    async with websocket(befriended.app, headers={"Host": "chat", "Origin": FRIEND}) as socket:
        assert (await socket.hear())["type"] == "session"
        socket.say("Hello")
        assert (await socket.hear())["type"] == "accepted"


# By which name


ANY_NAME: Final = [
    "127.0.0.1",
    "127.0.0.1:8080",
    "127.0.0.2:8080",
    "192.168.1.5:8080",
    "[::1]",
    "[::1]:8080",
    "[FE80::1]:8080",
    "localhost",
    "localhost.",
    "LocalHost:8080",
    "app.localhost:8080",
    "a.b.localhost",
    "mine:8080",
    "MINE",
    "friend.example",
    "friend.example:8080",
    "localhost:8080 \t",
    "my_host",
    "laptop:8080",
    "2130706433",
]
NO_NAMES: Final = [
    "",
    ":8080",
    "evil.example:8080",
    "localhost.evil",
    ".localhost.evil",
    "127.0.0.1.evil",
    "127.0.0.1.nip.io:8080",
    "evil.friend.example",
    "friend.example.evil",
    "localhost@evil",
    "evil@localhost",
    "evil@app.localhost",
    "localhost:8080@evil",
    "localhost:80:80",
    "localhost:port",
    "localhost:99999",
    "localhost:",
    "localhost/evil",
    "localhost\\evil",
    "localhost#evil",
    "localhost evil",
    "localhost\tevil",
    "evil,localhost",
    "localhost,evil",
    "127.1",
    "0x7f.0.0.1",
    "127.0.0.01",
    "[::1",
    "::1",
    "[::1]evil",
    "[::1%25evil]",
    "[::1%evil]:8080",
    "[v1.evil]",
    "[127.0.0.1]",
    "localhost..",
    "my_host.example",
]


@pytest.fixture
async def guarded() -> AsyncIterator[Doors]:
    """Open, and only for this machine."""
    made = Doors(origins=Origins(FRIENDS.allowed, called="mine"))
    await made.local()
    yield made
    made.stream.close()


@pytest.mark.parametrize("host", NO_NAMES)
async def test_a_name_that_could_be_a_sites_is_refused(guarded: Doors, host: str) -> None:
    """Also to what everybody may see, and to who is no browser: nothing is there by that name."""
    for path in ("/", "/healthz", "/api/chat/sessions"):
        assert await told(guarded, "GET", path, {"Host": host}) == (403, "foreign_host")
    rebound = {"Host": host, "Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}
    assert await told(guarded, "POST", "/api/chat/message", rebound) == (403, "foreign_host")
    start, _ = await handshake(guarded.app, rebound)
    assert start["status"] == 403
    assert guarded.queue.requests == []


@pytest.mark.parametrize("host", ANY_NAME)
async def test_addresses_localhost_and_what_is_set_are_names_of_ours(
    guarded: Doors, host: str
) -> None:
    own = {"Host": host, "Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin "}
    assert await told(guarded, "GET", "/api/chat/sessions", own) == (200, None)
    (first,) = await handshake(guarded.app, own)
    assert first["type"] == "websocket.accept"


async def test_who_names_no_host_is_let_pass(guarded: Doors) -> None:
    """HTTP/1.0, as health checks speak it."""
    assert (await ask(guarded.app, "GET", "/healthz", "", {}, b"")).status == 200


async def test_each_of_two_names_must_be_ours(guarded: Doors) -> None:
    for hosts in ((b"localhost", b"evil.example"), (b"evil.example", b"localhost")):
        assert await status_with(guarded, *((b"host", host) for host in hosts)) == 403
    assert await status_with(guarded, (b"host", b"localhost"), (b"host", b"localhost")) == 200


@pytest.mark.parametrize("header", ["X-Forwarded-Host", "Forwarded", "X-Host", "X-Original-Host"])
async def test_what_a_proxy_might_say_counts_for_nothing(guarded: Doors, header: str) -> None:
    said = {header: "host=localhost" if header == "Forwarded" else "localhost"}
    rebound = {"Host": "evil.example", **said}
    assert await told(guarded, "GET", "/", rebound) == (403, "foreign_host")
    said = {header: "host=evil" if header == "Forwarded" else "evil"}
    by_evil = {"Host": "localhost", "Origin": "http://evil", **said}
    refused = (403, "foreign_origin")
    assert await told(guarded, "POST", "/api/chat/message", by_evil) == refused


@pytest.mark.parametrize("host", NO_NAMES)
async def test_elsewhere_the_name_is_the_networks_business(either: Doors, host: str) -> None:
    assert (await told(either, "GET", "/healthz", {"Host": host}))[0] == 200


async def status_with(doors: Doors, *headers: tuple[bytes, bytes]) -> int:
    """As is: with what no dictionary holds."""
    connection = Connection(fails_once_left=False)
    scope = {**websocket_scope(), "type": "http", "scheme": "http", "method": "GET"}
    scope |= {"path": "/api/chat/sessions", "headers": list(headers)}
    connection.tell({"type": "http.request", "body": b"", "more_body": False})
    connection.call(doors.app, scope)
    try:
        status: int = (await connection.told())["status"]
        return status
    finally:
        await connection.close()


# What allowed pages are told


def cors_of(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: said for name, said in headers.items() if name.startswith("access-control-")}


ASKED: Final = "authorization, content-type, idempotency-key, last-event-id, x-stainless-os"
PREFLIGHT: Final = {
    "Access-Control-Request-Method": "DELETE",
    "Access-Control-Request-Headers": ASKED,
}
ANSWERED: Final = [
    ("GET", "/api/chat/sessions", 200),
    ("GET", "/api/chat/sessions/none", 404),
    ("GET", "/sse/none", 404),
    ("GET", "/v1/nothing", 404),
    ("POST", "/api/chat/message", 422),
    ("PUT", "/api/chat/sessions", 405),
    ("POST", "/api/chat/session", 201),
    ("GET", "/healthz", 200),
    ("GET", "/", 200),
]


@pytest.mark.parametrize(("method", "path", "status"), ANSWERED)
async def test_an_allowed_page_may_read_every_answer(
    friendly: httpx.AsyncClient, befriended: Doors, method: str, path: str, status: int
) -> None:
    headers = {"Origin": FRIEND, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}
    reply = await friendly.request(method, path, headers=headers, json={"title": "Mine"})
    assert reply.status_code == status
    anybody = befriended.origins is ANYBODY
    assert cors_of(reply.headers) == {
        "access-control-allow-origin": "*" if anybody else FRIEND,
        "access-control-expose-headers": ", ".join(EXPOSED),
    }
    assert "Origin" in reply.headers["vary"].split(", ")


async def test_also_that_it_must_sign_in_that_the_database_is_away_and_that_we_failed() -> None:
    async def fail(_: Request) -> Response:
        raise ZeroDivisionError

    doors = Doors(sign_in_required=True, origins=FRIENDS)
    faulty = build_app([Route("/fault", fail)], FRIENDS)
    headers = {"Origin": FRIEND}
    async with client_of(doors) as http:
        unknown = await http.get("/api/chat/sessions", headers=headers)
        doors.database.away = 1
        away = await http.post("/api/auth/login", json=CREDENTIALS, headers=headers)
    transport = httpx.ASGITransport(faulty, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://chat") as http:
        failed = await http.get("/fault", headers=headers)
    assert [reply.status_code for reply in (unknown, away, failed)] == [401, 503, 500]
    for reply in (unknown, away, failed):
        assert reply.headers["access-control-allow-origin"] == FRIEND
    doors.stream.close()


CREDENTIALS: Final = {"username": "ada", "password": "correct horse"}


@pytest.mark.parametrize("path", ["/api/chat/sessions/a", "/sse/a", "/v1/chat/completions", "/x"])
async def test_an_allowed_page_is_told_beforehand_what_it_may_send(
    friendly: httpx.AsyncClient, befriended: Doors, path: str
) -> None:
    reply = await friendly.options(path, headers={"Origin": FRIEND, **PREFLIGHT})
    assert reply.status_code == 200
    said = cors_of(reply.headers)
    assert said.pop("access-control-allow-methods").split(", ") == list(METHODS)
    assert said == {
        "access-control-allow-origin": "*" if befriended.origins is ANYBODY else FRIEND,
        "access-control-allow-headers": ASKED,
        "access-control-max-age": "600",
    }
    assert "Origin" in reply.headers["vary"].split(", ")


async def test_the_methods_that_are_allowed_are_those_of_our_routes(doors: Doors) -> None:
    assert {method for method, _ in requests_of(list(doors.routes))} == set(METHODS)


async def test_a_public_page_may_ask_a_server_on_its_visitors_machine(
    friendly: httpx.AsyncClient,
) -> None:
    asks = {"Access-Control-Request-Private-Network": "true"}
    reply = await friendly.options("/x", headers={"Origin": FRIEND, **PREFLIGHT, **asks})
    assert reply.status_code == 200
    assert reply.headers["access-control-allow-private-network"] == "true"


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil",
        "null",
        "http://friend.example",
        "https://friend.example:444",
        "https://friend.example.",
        "https://friend.example/",
        "https://FRIEND.example",
        "https://friend.example.evil",
        "https://evil.friend.example",
        "https://evil@friend.example",
        "https://friend.example, http://evil",
        "http://localhost:5174",
        "http://localhost",
    ],
)
async def test_who_only_looks_like_an_allowed_page_is_told_nothing(origin: str) -> None:
    doors = Doors(origins=FRIENDS)
    async with client_of(doors) as http:
        preflight = await http.options("/api/chat/message", headers={"Origin": origin, **PREFLIGHT})
        asked = await http.get("/api/chat/sessions", headers={"Origin": origin})
        looked = await http.get("/", headers={"Origin": origin})
    for reply in (preflight, asked):
        assert_problem(reply, 403, "foreign_origin")
        assert cors_of(reply.headers) == {}
    assert looked.status_code == 200
    assert "access-control-allow-origin" not in looked.headers
    doors.stream.close()


@pytest.mark.parametrize("headers", [*FOREIGN, *OURS, {"Origin": OWN, **PREFLIGHT}])
async def test_where_no_page_is_allowed_nothing_is_said_of_it(
    http: httpx.AsyncClient, headers: Headers
) -> None:
    for method, path, _ in [*ANSWERED, ("OPTIONS", "/api/chat/sessions", 0)]:
        reply = await http.request(method, path, headers=headers)
        assert cors_of(reply.headers) == {}
        assert "Origin" not in reply.headers.get("vary", "")


@pytest.mark.parametrize("headers", FOREIGN[5:])
async def test_also_of_an_allowed_page_a_request_must_say_so(
    befriended: Doors, headers: Headers
) -> None:
    """An image or a link does not, so nobody knows whose it is."""
    assert await told(befriended, "GET", "/chat/stream", headers) == (403, "foreign_origin")


async def test_of_two_origins_both_must_be_allowed() -> None:
    doors = Doors(origins=FRIENDS)
    await doors.local()
    good, bad, own = FRIEND.encode(), b"http://evil", OWN.encode()
    for origins in ((good, bad), (bad, good), (good, own), (own, good)):
        sent = [(b"origin", origin) for origin in origins]
        assert await status_with(doors, (b"host", b"chat"), *sent) == 403
    doors.stream.close()


async def test_with_two_hosts_no_page_is_our_own(doors: Doors) -> None:
    await doors.local()
    for hosts in ((b"chat", b"evil"), (b"evil", b"chat"), (b"chat", b"chat")):
        sent = [(b"host", host) for host in hosts]
        assert await status_with(doors, *sent, (b"origin", OWN.encode())) == 403


# Streams


async def test_a_stream_of_an_allowed_page_comes_piece_by_piece() -> None:
    doors = Doors(origins=FRIENDS)
    session: SessionId = await doors.session()
    headers = {"Host": "chat", "Origin": FRIEND}
    async with event_source(doors.app, f"/sse/{session}", headers=headers) as source:
        assert source.headers["access-control-allow-origin"] == FRIEND
        assert await source.block() == "retry: 1000"
        await doors.answered(session)
        assert [(await source.event() or {})["type"] for _ in range(2)] == ["start", "chunk"]
    doors.stream.close()
