from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from domain.secret import Secret
from tests.builders import add_user
from tests.interface.clients import Json, assert_problem, bearer
from tests.interface.doors import Doors
from tests.interface.test_sessions import pointers

NO_OBJECTS = [b"", b"{", b"[]", b"null", b'"text"', b"\xff\xfe", b"[" * 100_000]
PASSWORD = "correct horse"
CREDENTIALS = {"username": "ada", "password": PASSWORD}
USER_KEYS = {"id", "username", "created_at"}
SIGNED_IN_KEYS = {"user", "access_token", "token_type", "expires_in", "refresh_token"}


async def register(http: httpx.AsyncClient, **fields: object) -> httpx.Response:
    return await http.post("/api/auth/register", json={**CREDENTIALS, **fields})


async def log_in(http: httpx.AsyncClient, **fields: object) -> httpx.Response:
    return await http.post("/api/auth/login", json={**CREDENTIALS, **fields})


async def refresh(http: httpx.AsyncClient, token: object) -> httpx.Response:
    return await http.post("/api/auth/refresh", json={"refresh_token": token})


async def me(http: httpx.AsyncClient, token: str) -> httpx.Response:
    return await http.get("/api/auth/me", headers=bearer(Secret(token)))


async def registered(http: httpx.AsyncClient, username: str = "ada") -> Json:
    reply = await register(http, username=username)
    assert reply.status_code == 201
    shown: Json = reply.json()
    return shown


def assert_signed_in(reply: httpx.Response, status: int) -> Json:
    assert reply.status_code == status
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["cache-control"] == "no-store"
    shown: Json = reply.json()
    assert shown.keys() == SIGNED_IN_KEYS
    assert shown["user"].keys() == USER_KEYS
    assert isinstance(shown["user"]["id"], int)
    assert shown["user"]["created_at"].endswith("Z")
    assert datetime.fromisoformat(shown["user"]["created_at"]).tzinfo == UTC
    assert (shown["token_type"], shown["expires_in"]) == ("bearer", 900)
    return shown


# Signing in


async def test_who_registers_is_signed_in(locked_http: httpx.AsyncClient) -> None:
    shown = assert_signed_in(await register(locked_http), 201)
    assert shown["user"]["username"] == "ada"
    reply = await me(locked_http, shown["access_token"])
    assert reply.status_code == 200
    assert reply.json() == shown["user"]


async def test_who_has_registered_can_log_in(locked_http: httpx.AsyncClient) -> None:
    first = await registered(locked_http)
    shown = assert_signed_in(await log_in(locked_http), 200)
    assert shown["user"] == first["user"]
    assert shown["access_token"] != first["access_token"]


async def test_a_taken_name_is_a_conflict(locked_http: httpx.AsyncClient) -> None:
    await registered(locked_http)
    assert_problem(await register(locked_http, password="another horse"), 409, "username_taken")
    assert_problem(await register(locked_http, username="local"), 409, "username_taken")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("username", ""),
        ("username", "ab"),
        ("username", "a" * 51),
        ("username", "a b"),
        ("username", "nul\x00"),
        ("username", 7),
        ("username", None),
        ("password", "7 signs"),
        ("password", "p" * 129),
        ("password", 12345678),
        ("password", ["secret-in-a-list"]),
        ("password", {"secret": "in an object"}),
        ("password", None),
        ("email", "ada@example.com"),
    ],
)
async def test_what_breaks_a_rule_is_pointed_at_and_not_repeated(
    locked: Doors, locked_http: httpx.AsyncClient, field: str, value: object
) -> None:
    reply = await register(locked_http, **{field: value})
    assert_problem(reply, 422, "invalid_request", flaws=True)
    assert pointers(reply) == [f"/{field}"]
    for told in ("7 signs", "ppp", "12345678", "secret", PASSWORD):
        assert told not in reply.text
    assert locked.database.state.users == []


@pytest.mark.parametrize("body", NO_OBJECTS)
@pytest.mark.parametrize("route", ["register", "login", "refresh"])
async def test_a_body_that_is_none_is_told(
    locked_http: httpx.AsyncClient, route: str, body: bytes
) -> None:
    reply = await locked_http.post(f"/api/auth/{route}", content=body)
    assert_problem(reply, 422, "invalid_request", flaws=True)


async def test_who_can_not_log_in_is_told_always_the_same(locked_http: httpx.AsyncClient) -> None:
    await registered(locked_http)
    details = set()
    attempts: list[dict[str, Any]] = [
        {"password": "another horse"},
        {"password": ""},
        {"password": "p" * 1_000},
        {"username": "eve"},
        {"username": "local"},
        {"username": ""},
        {"username": "x" * 1_000},
    ]
    for fields in attempts:
        reply = await log_in(locked_http, **fields)
        assert_problem(reply, 401, "invalid_credentials")
        assert reply.headers["www-authenticate"] == 'Bearer realm="llm-chat"'
        details.add(reply.json()["detail"])
    assert len(details) == 1


async def test_too_many_at_once_are_told_to_come_back(
    locked: Doors, locked_http: httpx.AsyncClient
) -> None:
    await registered(locked_http)
    locked.passwords.busy = True
    for reply in (await register(locked_http, username="bob"), await log_in(locked_http)):
        assert_problem(reply, 503, "overloaded")
        assert int(reply.headers["retry-after"]) > 0


async def test_nobody_needs_good_credentials_to_get_new_ones(
    locked_http: httpx.AsyncClient,
) -> None:
    """A page whose token has expired sends it along, as with everything."""
    first = await registered(locked_http)
    locked_http.headers["Authorization"] = "Bearer expired"
    assert (await log_in(locked_http)).status_code == 200
    assert (await refresh(locked_http, first["refresh_token"])).status_code == 200


# Refreshing and logging out


async def test_a_refresh_token_gives_the_next_pair(locked_http: httpx.AsyncClient) -> None:
    first = await registered(locked_http)
    second = assert_signed_in(await refresh(locked_http, first["refresh_token"]), 200)
    assert second["user"] == first["user"]
    assert second["refresh_token"] != first["refresh_token"]
    third = assert_signed_in(await refresh(locked_http, second["refresh_token"]), 200)
    assert (await me(locked_http, third["access_token"])).status_code == 200


async def test_a_reused_refresh_token_ends_all_that_came_of_it(
    locked_http: httpx.AsyncClient,
) -> None:
    first = await registered(locked_http)
    second = (await refresh(locked_http, first["refresh_token"])).json()
    reply = await refresh(locked_http, first["refresh_token"])
    assert_problem(reply, 401, "invalid_token")
    assert 'error="invalid_token"' in reply.headers["www-authenticate"]
    assert_problem(await refresh(locked_http, second["refresh_token"]), 401, "invalid_token")
    for shown in (first, second):
        assert_problem(await me(locked_http, shown["access_token"]), 401, "invalid_token")


@pytest.mark.parametrize("token", ["", "garbage", "a.b.c", "sk-none", "x" * 100_000])
async def test_what_is_no_refresh_token_gives_nothing(
    locked_http: httpx.AsyncClient, token: str
) -> None:
    assert_problem(await refresh(locked_http, token), 401, "invalid_token")


async def test_an_access_token_is_no_refresh_token(locked_http: httpx.AsyncClient) -> None:
    shown = await registered(locked_http)
    assert_problem(await refresh(locked_http, shown["access_token"]), 401, "invalid_token")


@pytest.mark.parametrize("token", [None, 7, ["secret"], {"secret": "secret"}])
async def test_a_refresh_token_is_a_text(locked_http: httpx.AsyncClient, token: object) -> None:
    reply = await refresh(locked_http, token)
    assert_problem(reply, 422, "invalid_request", flaws=True)
    assert pointers(reply) == ["/refresh_token"]
    assert "secret" not in reply.json()["detail"]


async def test_who_logs_out_is_logged_out_everywhere(locked_http: httpx.AsyncClient) -> None:
    one = await registered(locked_http)
    two = (await log_in(locked_http)).json()
    bob = await registered(locked_http, "bob")
    reply = await locked_http.post("/api/auth/logout", headers=bearer(Secret(one["access_token"])))
    assert (reply.status_code, reply.content) == (204, b"")
    for shown in (one, two):
        assert_problem(await me(locked_http, shown["access_token"]), 401, "invalid_token")
        assert_problem(await refresh(locked_http, shown["refresh_token"]), 401, "invalid_token")
    assert (await me(locked_http, bob["access_token"])).status_code == 200
    assert (await log_in(locked_http)).status_code == 200


# Where nobody must sign in


async def test_without_credentials_everybody_is_the_local_user(http: httpx.AsyncClient) -> None:
    reply = await http.get("/api/auth/me")
    assert reply.json()["username"] == "local"
    assert (await http.post("/api/auth/logout")).status_code == 204
    assert (await http.get("/api/auth/me")).json() == reply.json()


async def test_with_credentials_one_is_who_they_say(http: httpx.AsyncClient) -> None:
    shown = await registered(http)
    assert (await me(http, shown["access_token"])).json() == shown["user"]
    assert_problem(await me(http, "garbage"), 401, "invalid_token")


async def test_the_local_user_is_not_registered_nor_logged_in(
    doors: Doors, http: httpx.AsyncClient
) -> None:
    await doors.local()
    assert_problem(await register(http, username="local"), 409, "username_taken")
    assert_problem(await log_in(http, username="local"), 401, "invalid_credentials")


# How credentials are sent


@pytest.mark.parametrize("header", ["Bearer {}", "bearer {}", "BEARER  {}", "Bearer {} "])
async def test_a_token_is_read_as_the_rfc_has_it(
    locked_http: httpx.AsyncClient, header: str
) -> None:
    token = (await registered(locked_http))["access_token"]
    headers = {"Authorization": header.format(token)}
    assert (await locked_http.get("/api/auth/me", headers=headers)).status_code == 200


@pytest.mark.parametrize(
    "header", ["{}", "Token {}", "Bearer", "Bearer ", "Bearer{}", "Bearer {} x"]
)
async def test_another_header_is_a_bad_one(locked_http: httpx.AsyncClient, header: str) -> None:
    token = (await registered(locked_http))["access_token"]
    headers = {"Authorization": header.format(token)}
    reply = await locked_http.get("/api/auth/me", headers=headers)
    assert_problem(reply, 401, "invalid_token")
    assert token not in reply.text


async def test_two_headers_are_bad_ones(locked_http: httpx.AsyncClient) -> None:
    token = (await registered(locked_http))["access_token"]
    header = ("Authorization", f"Bearer {token}")
    reply = await locked_http.get("/api/auth/me", headers=[header, header])
    assert_problem(reply, 401, "invalid_token")


async def test_a_refusal_while_the_database_is_away_is_none_of_the_credentials(
    locked: Doors, locked_http: httpx.AsyncClient
) -> None:
    token = (await registered(locked_http))["access_token"]
    locked.database.away = 1
    assert_problem(await me(locked_http, token), 503, "database_unavailable")


async def test_the_tickets_of_a_user_are_made_for_a_minute(
    locked: Doors, locked_http: httpx.AsyncClient
) -> None:
    token = (await registered(locked_http))["access_token"]
    reply = await locked_http.post("/api/auth/ticket", headers=bearer(Secret(token)))
    assert reply.status_code == 201
    assert reply.headers["cache-control"] == "no-store"
    assert reply.json().keys() == {"ticket", "expires_in"}
    assert reply.json()["expires_in"] == 60
    assert reply.json()["ticket"] not in repr(locked.database.state)


async def test_no_reply_of_a_list_shows_a_password_or_a_hash(
    locked: Doors, locked_http: httpx.AsyncClient
) -> None:
    shown = await registered(locked_http)
    (hashed,) = locked.database.state.passwords.values()
    reply = await me(locked_http, shown["access_token"])
    for secret in (PASSWORD, hashed):
        assert secret not in reply.text
        assert secret not in str(shown)
    assert await add_user(locked.database, "ada") == shown["user"]["id"]
