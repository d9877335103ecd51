"""How often somebody may ask for anything."""

from collections.abc import AsyncIterator
from ipaddress import ip_network
from typing import Any

import httpx
import pytest

from domain.limits import Rate
from domain.secret import Secret
from tests.interface.clients import assert_problem
from tests.interface.conftest import client_of
from tests.interface.doors import Doors

USER, TOKEN, ADDRESS = Rate("user", 4, 300), Rate("token", 2, 300), Rate("address", 3, 300)
ME, TOKENS, SEND = "/api/auth/me", "/api/user/tokens", "/api/chat/message/stream"


@pytest.fixture
async def paced() -> AsyncIterator[Doors]:
    opened = Doors(
        sign_in_required=True,
        proxies=(ip_network("127.0.0.1/32"),),
        of_user=USER,
        of_token=TOKEN,
        of_address=ADDRESS,
    )
    yield opened
    opened.stream.close()


@pytest.fixture
async def paced_http(paced: Doors) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(paced) as client:
        yield client


def bearer(token: Secret | str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token.reveal() if isinstance(token, Secret) else token}"}


def assert_limited(reply: httpx.Response, rate: Rate) -> None:
    assert_problem(reply, 429, "rate_limited")
    assert 1 <= int(reply.headers["retry-after"]) <= rate.seconds
    assert reply.headers["ratelimit-policy"] == f'"{rate.name}";q={rate.amount};w=300'
    assert reply.headers["ratelimit"].startswith(f'"{rate.name}";r=0;t=')


async def test_a_user_may_ask_so_often_whatever_it_is(
    paced: Doors, paced_http: httpx.AsyncClient
) -> None:
    _, ada = await paced.sign_in("ada")
    _, bob = await paced.sign_in("bob")
    left = []
    for path in (ME, TOKENS, "/api/chat/sessions", "/api/nothing", "/v1/models"):
        reply = await paced_http.get(path, headers=bearer(ada))
        left.append(reply.headers.get("ratelimit", "").partition(";t=")[0])
    # What is nowhere is nobody's business.
    assert left == ['"user";r=3', '"user";r=2', '"user";r=1', "", '"user";r=0']
    assert_limited(await paced_http.get(ME, headers=bearer(ada)), USER)
    refused = await paced_http.get("/v1/models", headers=bearer(ada))
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "rate_limited")
    assert (await paced_http.get(ME, headers=bearer(bob))).status_code == 200


async def test_a_token_may_not_use_up_all_of_its_user(
    paced: Doors, paced_http: httpx.AsyncClient
) -> None:
    _, ada = await paced.sign_in("ada")
    made = await paced_http.post(TOKENS, json={"name": "program"}, headers=bearer(ada))
    token = made.json()["token"]
    for _ in range(2):
        assert (await paced_http.get(ME, headers=bearer(token))).status_code == 200
    assert_limited(await paced_http.get(ME, headers=bearer(token)), TOKEN)
    # Three were counted of its user before, and none of those that were refused.
    assert (await paced_http.get(ME, headers=bearer(ada))).status_code == 200


async def test_whom_nobody_knows_is_counted_by_address(paced_http: httpx.AsyncClient) -> None:
    async def ask(address: str, **headers: str) -> httpx.Response:
        return await paced_http.get(ME, headers={"X-Forwarded-For": address, **headers})

    replies = [
        await ask("192.0.2.1"),
        await ask("192.0.2.1", Authorization="Bearer sk-of-nobody"),
        await ask("192.0.2.1", Authorization="Basic eDp5"),
    ]
    assert [each.status_code for each in replies] == [401, 401, 401]
    assert_limited(await ask("192.0.2.1"), ADDRESS)
    assert (await ask("192.0.2.2")).status_code == 401


async def test_a_repeat_passes_however_often_and_nothing_else_under_its_key(
    paced: Doors, paced_http: httpx.AsyncClient
) -> None:
    _, ada = await paced.sign_in("ada")
    opened = await paced_http.post("/api/chat/session", headers=bearer(ada))
    path = f"/api/chat/sessions/{opened.json()['session_id']}/messages"

    async def send(text: str, key: str, query: str = "") -> httpx.Response:
        headers = {**bearer(ada), "Idempotency-Key": key}
        return await paced_http.post(path + query, json={"message": text}, headers=headers)

    first = await send("one", "key-1")
    assert first.status_code == 202
    for _ in range(5):
        repeated = await send("one", "key-1")
        assert (repeated.status_code, repeated.json()) == (202, first.json())
    assert_limited(await send("two", "key-2"), USER)
    assert_limited(await send("two", "not a key"), USER)
    assert_limited(await send("two", "key-3", "?idempotency_key=key-1"), USER)
    assert_problem(await send("two", "key-1"), 422, "idempotency_conflict")
    # A key opens nothing but what is sent under it.
    read = await paced_http.get(path, headers={**bearer(ada), "Idempotency-Key": "key-1"})
    assert_limited(read, USER)
    assert len(paced.database.state.messages) == 1


async def test_in_open_mode_who_proves_nothing_is_counted_by_address() -> None:
    doors = Doors(of_user=USER, of_address=ADDRESS)
    async with client_of(doors) as http:
        replies: list[Any] = [await http.get("/api/chat/sessions") for _ in range(4)]
    assert [each.status_code for each in replies] == [200, 200, 200, 429]
    assert_limited(replies[-1], ADDRESS)
    doors.stream.close()


async def test_where_nothing_is_limited_nothing_is_said(http: httpx.AsyncClient) -> None:
    reply = await http.get("/api/chat/sessions")
    assert not [name for name in reply.headers if name.startswith("ratelimit")]


async def test_refreshes_are_counted_by_address_whoever_they_are_of(
    paced: Doors, paced_http: httpx.AsyncClient
) -> None:
    body = {"username": "ada", "password": "correct horse"}
    signed_in = (await paced_http.post("/api/auth/register", json=body)).json()
    tokens = [signed_in["refresh_token"], "garbage", "garbage", "garbage"]

    async def refresh(token: str, address: str) -> httpx.Response:
        body, headers = {"refresh_token": token}, {"X-Forwarded-For": address}
        return await paced_http.post("/api/auth/refresh", json=body, headers=headers)

    replies = [await refresh(token, "192.0.2.1") for token in tokens]
    assert [each.status_code for each in replies] == [200, 401, 401, 429]
    assert_limited(replies[-1], ADDRESS)
    assert (await refresh(replies[0].json()["refresh_token"], "192.0.2.2")).status_code == 200
