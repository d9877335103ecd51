"""Who guesses passwords, or makes accounts without end (T50)."""

import asyncio
from collections.abc import AsyncIterator
from ipaddress import ip_network

import httpx
import pytest

from domain.limits import Rate
from tests.interface.clients import assert_problem
from tests.interface.conftest import client_of
from tests.interface.doors import Doors

RIGHT, WRONG = "correct horse", "wrong horse"


@pytest.fixture
async def guarded() -> AsyncIterator[Doors]:
    opened = Doors(
        sign_in_required=True,
        proxies=(ip_network("127.0.0.1/32"),),
        guesses=Rate("log-in", 2, 300),
        registrations=Rate("register", 4, 600),
    )
    yield opened
    opened.stream.close()


@pytest.fixture
async def guarded_http(guarded: Doors) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(guarded) as client:
        yield client


async def register(http: httpx.AsyncClient, username: str, address: str = "") -> httpx.Response:
    body = {"username": username, "password": RIGHT}
    return await http.post("/api/auth/register", json=body, headers=_from(address))


async def log_in(
    http: httpx.AsyncClient, username: str, password: str = RIGHT, address: str = ""
) -> httpx.Response:
    body = {"username": username, "password": password}
    return await http.post("/api/auth/login", json=body, headers=_from(address))


def _from(address: str) -> dict[str, str]:
    return {"X-Forwarded-For": address} if address else {}


def assert_limited(reply: httpx.Response) -> None:
    assert_problem(reply, 429, "rate_limited")
    assert 1 <= int(reply.headers["retry-after"]) <= 3_600
    assert reply.headers["ratelimit"].partition(";")[2].startswith("r=0;t=")


@pytest.mark.parametrize("username", ["ada", "nobody", "x", "local"])
async def test_who_guesses_is_slowed_down_whoever_it_is_at(
    guarded_http: httpx.AsyncClient, username: str
) -> None:
    """A name that nobody has is answered as one that somebody has."""
    assert (await register(guarded_http, "ada")).status_code == 201
    for left in (1, 0):
        reply = await log_in(guarded_http, username, WRONG)
        assert_problem(reply, 401, "invalid_credentials")
        assert reply.headers["ratelimit-policy"] == '"log-in";q=2;w=300'
        assert reply.headers["ratelimit"].startswith(f'"log-in";r={left};t=')
    assert_limited(await log_in(guarded_http, username, WRONG))
    # Otherwise it would tell which password is right.
    assert_limited(await log_in(guarded_http, username, RIGHT))
    assert_limited(await log_in(guarded_http, f" {username.upper()} ", RIGHT))


async def test_a_refused_guess_is_not_looked_at(
    guarded: Doors, guarded_http: httpx.AsyncClient
) -> None:
    for _ in range(2):
        await log_in(guarded_http, "ada", WRONG)
    guarded.passwords.busy = True
    assert_limited(await log_in(guarded_http, "ada", WRONG))


async def test_who_has_the_right_password_counts_as_no_guess(
    guarded_http: httpx.AsyncClient,
) -> None:
    await register(guarded_http, "ada")
    for _ in range(8):
        assert (await log_in(guarded_http, "ada")).status_code == 200


async def test_guesses_that_come_at_once_are_no_more_than_those_one_after_the_other(
    guarded: Doors, guarded_http: httpx.AsyncClient
) -> None:
    await register(guarded_http, "ada")
    asked = guarded.passwords.asked
    replies = await asyncio.gather(*(log_in(guarded_http, "ada", WRONG) for _ in range(12)))
    assert sorted(reply.status_code for reply in replies) == [401] * 2 + [429] * 10
    assert guarded.passwords.asked == asked + 2


async def test_the_right_password_is_looked_at_only_so_often(
    guarded_http: httpx.AsyncClient,
) -> None:
    """It takes as much time as a wrong one, and who has an account could take all there is."""
    for name in ("ada", "bob", "eve"):
        await register(guarded_http, name)
    of_ada = [await log_in(guarded_http, "ada", RIGHT, "192.0.2.1") for _ in range(41)]
    assert [reply.status_code for reply in of_ada] == [200] * 40 + [429]
    assert_limited(of_ada[-1])
    assert (await log_in(guarded_http, "bob", RIGHT, "192.0.2.1")).status_code == 200
    names = ["bob"] * 9 + ["eve"] * 10
    others = [await log_in(guarded_http, name, RIGHT, "192.0.2.1") for name in names]
    assert [reply.status_code for reply in others] == [200] * 19
    assert_limited(await log_in(guarded_http, "carol", WRONG, "192.0.2.1"))
    assert_limited(await log_in(guarded_http, "ada", RIGHT, "192.0.2.2"))


async def test_others_at_other_addresses_go_on(guarded_http: httpx.AsyncClient) -> None:
    await register(guarded_http, "ada")
    for _ in range(3):
        await log_in(guarded_http, "ada", WRONG, "192.0.2.1")
    assert_limited(await log_in(guarded_http, "ada", RIGHT, "192.0.2.1"))
    assert (await log_in(guarded_http, "ada", RIGHT, "192.0.2.2")).status_code == 200


async def test_who_guesses_at_many_names_is_slowed_down(guarded_http: httpx.AsyncClient) -> None:
    guessed = [await log_in(guarded_http, f"user-{number}", WRONG) for number in range(21)]
    assert [reply.status_code for reply in guessed] == [401] * 20 + [429]


async def test_who_guesses_from_many_addresses_is_slowed_down(
    guarded_http: httpx.AsyncClient,
) -> None:
    guessed = [
        await log_in(guarded_http, "ada", WRONG, f"192.0.2.{number}") for number in range(21)
    ]
    assert [reply.status_code for reply in guessed] == [401] * 20 + [429]


async def test_an_address_makes_so_many_accounts(guarded_http: httpx.AsyncClient) -> None:
    made = [await register(guarded_http, f"user-{number}") for number in range(5)]
    assert [reply.status_code for reply in made] == [201] * 4 + [429]
    assert made[0].headers["ratelimit-policy"] == '"register";q=4;w=600'
    assert_limited(made[-1])
    assert (await register(guarded_http, "user-5", "192.0.2.1")).status_code == 201


async def test_who_is_not_a_proxy_is_not_believed(guarded: Doors) -> None:
    transport = httpx.ASGITransport(guarded.app, client=("192.0.2.9", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        tried = [await log_in(client, "ada", WRONG, f"198.51.100.{number}") for number in range(3)]
    assert [reply.status_code for reply in tried] == [401, 401, 429]
