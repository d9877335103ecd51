"""Signing in with the refresh token in a cookie, as the web page does."""

import logging
from collections.abc import AsyncIterator
from http.cookies import Morsel, SimpleCookie
from typing import Final

import httpx
import pytest

from domain.errors import DatabaseUnavailable
from domain.secret import Secret
from infrastructure.jwt_tokens import REFRESH_SECONDS
from interface.origins import ANY_ORIGIN, Origins
from tests.interface.clients import Json, assert_problem, bearer
from tests.interface.conftest import client_of
from tests.interface.doors import Doors
from tests.interface.test_accounts import CREDENTIALS, SIGNED_IN_KEYS, me
from tests.interface.test_sessions import pointers

NAME: Final = "llm_chat_refresh"
BY_COOKIE: Final[Json] = {**CREDENTIALS, "cookie": True}
BODIES: Final[dict[str, Json]] = {
    "register": {**BY_COOKIE, "username": "bob"},
    "login": BY_COOKIE,
    "refresh": {"cookie": True},
    "logout": {},
}
FOREIGN: Final = [{"Origin": "http://evil"}, {"Origin": "null"}, {"Sec-Fetch-Site": "same-site"}]


async def ask(
    http: httpx.AsyncClient, route: str, body: Json, headers: Json | None = None
) -> httpx.Response:
    return await http.post(f"/api/auth/{route}", json=body, headers=headers)


async def refresh(http: httpx.AsyncClient, **headers: str) -> httpx.Response:
    return await ask(http, "refresh", {"cookie": True}, headers)


def cookie_of(reply: httpx.Response) -> "Morsel[str]":
    (said,) = reply.headers.get_list("set-cookie")
    (morsel,) = SimpleCookie(said).values()
    assert morsel.key == NAME
    return morsel


def assert_deleted(reply: httpx.Response) -> None:
    morsel = cookie_of(reply)
    assert (morsel.value, morsel["max-age"], morsel["path"]) == ("", "0", "/api/auth")


def assert_signed_in(reply: httpx.Response, status: int = 200) -> Json:
    assert reply.status_code == status
    assert reply.headers["cache-control"] == "no-store"
    shown: Json = reply.json()
    assert shown.keys() == SIGNED_IN_KEYS - {"refresh_token"}
    assert cookie_of(reply).value
    assert cookie_of(reply).value not in reply.text
    return shown


@pytest.fixture
async def http(locked_http: httpx.AsyncClient) -> httpx.AsyncClient:
    """Keeps cookies as a browser does; ada is registered and signed in."""
    assert_signed_in(await ask(locked_http, "register", BY_COOKIE), 201)
    return locked_http


# What is in it


@pytest.mark.parametrize("route", ["register", "login", "refresh"])
async def test_the_cookie_goes_only_where_it_is_needed_and_no_script_reads_it(
    http: httpx.AsyncClient, route: str
) -> None:
    morsel = cookie_of(await ask(http, route, BODIES[route]))
    said = {key: value for key, value in morsel.items() if value != ""}
    assert said == {
        "httponly": True,
        "samesite": "strict",
        "path": "/api/auth",
        "max-age": str(REFRESH_SECONDS),
    }


@pytest.mark.parametrize(
    "headers", [{"X-Forwarded-Proto": "https"}, {"Origin": "https://chat", "Host": "chat"}]
)
@pytest.mark.parametrize("route", ["login", "logout"])
async def test_where_the_page_came_by_https_the_cookie_goes_no_other_way(
    http: httpx.AsyncClient, route: str, headers: dict[str, str]
) -> None:
    assert cookie_of(await ask(http, route, BODIES[route], headers))["secure"] is True
    plain = await ask(http, route, BODIES[route])
    assert cookie_of(plain)["secure"] == ""


@pytest.mark.parametrize("said", [{}, {"cookie": False}])
async def test_who_does_not_ask_for_a_cookie_gets_none(
    locked_http: httpx.AsyncClient, said: Json
) -> None:
    first = await ask(locked_http, "register", {**CREDENTIALS, **said})
    again = await ask(locked_http, "login", {**CREDENTIALS, **said})
    token = first.json()["refresh_token"]
    refreshed = await ask(locked_http, "refresh", {"refresh_token": token, **said})
    for reply in (first, again, refreshed):
        assert reply.json().keys() == SIGNED_IN_KEYS
        assert "set-cookie" not in reply.headers


@pytest.mark.parametrize("said", [None, 1, "true", [True]])
@pytest.mark.parametrize("route", ["register", "login", "refresh"])
async def test_a_cookie_is_asked_for_by_true_alone(
    locked: Doors, locked_http: httpx.AsyncClient, route: str, said: object
) -> None:
    body = {"refresh_token": "x"} if route == "refresh" else CREDENTIALS
    reply = await ask(locked_http, route, {**body, "cookie": said})
    assert_problem(reply, 422, "invalid_request", flaws=True)
    assert pointers(reply) == ["/cookie"]
    assert locked.database.state.users == []


# Refreshing


async def test_the_sign_in_goes_on_by_the_cookie(http: httpx.AsyncClient) -> None:
    for _ in range(3):
        shown = assert_signed_in(await refresh(http))
        assert (await me(http, shown["access_token"])).json() == shown["user"]


async def test_a_page_that_left_before_it_heard_of_the_next_cookie_comes_back_with_the_last(
    http: httpx.AsyncClient,
) -> None:
    kept = http.cookies[NAME]
    first = assert_signed_in(await refresh(http))
    for _ in range(2):  # two tabs
        http.cookies.clear()
        shown = assert_signed_in(await refresh(http, Cookie=f"{NAME}={kept}"))
        for each in (first, shown):
            assert (await me(http, each["access_token"])).status_code == 200


async def test_a_refresh_prolongs_the_sign_in(locked: Doors, http: httpx.AsyncClient) -> None:
    (row,) = locked.database.state.sign_ins.values()
    before = row.expires_at
    await refresh(http)
    (row,) = locked.database.state.sign_ins.values()
    assert row.expires_at > before
    assert row.rotation == 0


async def test_a_cookie_of_which_a_later_token_was_made_ends_the_sign_in(
    http: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    stolen = http.cookies[NAME]
    by_body = (await ask(http, "refresh", {"refresh_token": stolen})).json()
    reply = await refresh(http)
    assert_problem(reply, 401, "invalid_token")
    assert_deleted(reply)
    assert_problem(await me(http, by_body["access_token"]), 401, "invalid_token")
    again = await ask(http, "refresh", {"refresh_token": by_body["refresh_token"]})
    assert_problem(again, 401, "invalid_token")
    assert "a refresh token was used twice" in caplog.text
    assert stolen not in caplog.text
    assert stolen not in reply.text


async def test_without_a_cookie_nobody_is_signed_in(locked_http: httpx.AsyncClient) -> None:
    for cookie in ("", "another=1", f"{NAME}="):
        reply = await refresh(locked_http, Cookie=cookie)
        assert_problem(reply, 401, "not_signed_in")
        assert "set-cookie" not in reply.headers


@pytest.mark.parametrize("token", ["garbage", "a.b.c", "x" * 4_000])
async def test_a_cookie_that_is_of_no_use_is_deleted(
    locked_http: httpx.AsyncClient, token: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    reply = await refresh(locked_http, Cookie=f"{NAME}={token}")
    assert_problem(reply, 401, "invalid_token")
    assert 'error="invalid_token"' in reply.headers["www-authenticate"]
    assert_deleted(reply)
    assert token not in reply.text + caplog.text


async def test_an_access_token_in_the_cookie_refreshes_nothing(http: httpx.AsyncClient) -> None:
    token = assert_signed_in(await refresh(http))["access_token"]
    http.cookies.clear()
    assert_problem(await refresh(http, Cookie=f"{NAME}={token}"), 401, "invalid_token")


async def test_while_the_database_is_away_the_cookie_is_kept(
    locked: Doors, http: httpx.AsyncClient
) -> None:
    locked.database.away = 1
    reply = await refresh(http)
    assert_problem(reply, 503, DatabaseUnavailable.code)
    assert "set-cookie" not in reply.headers
    assert_signed_in(await refresh(http))


@pytest.mark.parametrize(
    "body", [{}, {"cookie": False}, {"refresh_token": None}, {"refresh_token": "x", "cookie": True}]
)
async def test_the_token_is_in_one_place(http: httpx.AsyncClient, body: Json) -> None:
    reply = await ask(http, "refresh", body)
    assert_problem(reply, 422, "invalid_request", flaws=True)
    assert pointers(reply) == ["/refresh_token"]
    assert_signed_in(await refresh(http))


async def test_a_cookie_opens_no_other_door(locked: Doors, http: httpx.AsyncClient) -> None:
    cookie = {"Cookie": f"{NAME}={http.cookies[NAME]}"}
    for path in ("/api/auth/me", "/api/chat/sessions"):
        assert_problem(await http.get(path, headers=cookie), 401, "not_signed_in")
    assert_problem(await http.post("/api/auth/ticket", headers=cookie), 401, "not_signed_in")


# Logging out


async def test_who_logs_out_leaves_no_cookie(http: httpx.AsyncClient) -> None:
    shown, kept = assert_signed_in(await refresh(http)), http.cookies[NAME]
    headers = bearer(Secret(shown["access_token"]))
    reply = await http.post("/api/auth/logout", headers=headers)
    assert reply.status_code == 204
    assert_deleted(reply)
    assert NAME not in http.cookies
    assert_problem(await refresh(http), 401, "not_signed_in")
    assert_problem(await refresh(http, Cookie=f"{NAME}={kept}"), 401, "invalid_token")


@pytest.mark.parametrize("away", [False, True])
async def test_who_can_not_log_out_leaves_no_cookie_either(
    locked: Doors, http: httpx.AsyncClient, away: bool
) -> None:
    token = assert_signed_in(await refresh(http))["access_token"]
    locked.database.away = int(away)
    headers = bearer(Secret(token)) if away else {}
    reply = await http.post("/api/auth/logout", headers=headers)
    assert_problem(reply, *((503, "database_unavailable") if away else (401, "not_signed_in")))
    assert_deleted(reply)


# Pages of others


@pytest.mark.parametrize("headers", FOREIGN)
@pytest.mark.parametrize("route", ["register", "login", "refresh"])
async def test_a_page_of_another_site_gets_and_sets_no_cookie(
    locked: Doors, http: httpx.AsyncClient, route: str, headers: dict[str, str]
) -> None:
    before, asked = locked.database.state, locked.passwords.asked
    reply = await ask(http, route, BODIES[route], headers)
    assert_problem(reply, 403, "foreign_origin")
    assert "set-cookie" not in reply.headers
    assert locked.database.state is before
    assert locked.passwords.asked == asked
    assert_signed_in(await refresh(http))


@pytest.mark.parametrize("headers", FOREIGN)
@pytest.mark.parametrize("route", ["register", "login", "refresh"])
async def test_nor_does_it_sign_in_without_one(
    http: httpx.AsyncClient, locked: Doors, route: str, headers: dict[str, str]
) -> None:
    before = locked.database.state
    body = {**BODIES[route], "cookie": False}
    assert_problem(await ask(http, route, body, headers), 403, "foreign_origin")
    assert locked.database.state is before


FRIEND: Final = {"Origin": "https://friend.example", "Sec-Fetch-Site": "cross-site"}


@pytest.fixture(params=[FRIEND["Origin"], ANY_ORIGIN])
async def befriended(request: pytest.FixtureRequest) -> AsyncIterator[httpx.AsyncClient]:
    """As `http`, at a server that pages of another origin may use."""
    doors = Doors(sign_in_required=True, origins=Origins(frozenset({request.param})))
    async with client_of(doors) as client:
        assert_signed_in(await ask(client, "register", BY_COOKIE), 201)
        yield client
    doors.stream.close()


async def test_an_allowed_page_signs_in_with_what_it_keeps_itself(
    befriended: httpx.AsyncClient,
) -> None:
    registered = await ask(befriended, "register", {**CREDENTIALS, "username": "bob"}, FRIEND)
    assert registered.status_code == 201
    token = registered.json()["refresh_token"]
    again = await ask(befriended, "refresh", {"refresh_token": token}, FRIEND)
    assert again.status_code == 200
    assert (await ask(befriended, "login", CREDENTIALS, FRIEND)).status_code == 200
    headers = bearer(Secret(again.json()["access_token"]))
    assert (await ask(befriended, "logout", {}, {**FRIEND, **headers})).status_code == 204


@pytest.mark.parametrize("route", ["register", "login", "refresh"])
async def test_also_an_allowed_page_gets_and_sets_no_cookie(
    befriended: httpx.AsyncClient, route: str
) -> None:
    reply = await ask(befriended, route, BODIES[route], FRIEND)
    assert_problem(reply, 403, "foreign_origin")
    assert "set-cookie" not in reply.headers
    assert "access-control-allow-credentials" not in reply.headers
    assert_signed_in(await refresh(befriended))


async def test_an_allowed_page_can_not_take_the_cookie_away(befriended: httpx.AsyncClient) -> None:
    reply = await ask(befriended, "logout", {}, FRIEND)
    assert_problem(reply, 401, "not_signed_in")
    assert "set-cookie" not in reply.headers
    assert_signed_in(await refresh(befriended))


@pytest.mark.parametrize("origin", ["http://chat", "https://chat"])
async def test_our_own_page_is_none_of_others(http: httpx.AsyncClient, origin: str) -> None:
    headers = {"Origin": origin, "Sec-Fetch-Site": "same-origin"}
    assert_signed_in(await ask(http, "refresh", BODIES["refresh"], headers))
    assert_signed_in(await ask(http, "login", BY_COOKIE, headers))
