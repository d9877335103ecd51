from datetime import datetime, timedelta

import httpx
import pytest

from domain.api_token import MAX_API_TOKENS
from domain.secret import Secret
from tests.builders import add_api_token, add_user
from tests.interface.clients import assert_problem, bearer
from tests.interface.doors import Doors
from tests.interface.test_accounts import NO_OBJECTS
from tests.interface.test_sessions import GARBAGE, pointers

TOKENS = "/api/user/tokens"
KEYS = {"id", "name", "hint", "created_at", "expires_at"}


async def create(http: httpx.AsyncClient, **fields: object) -> httpx.Response:
    return await http.post(TOKENS, json={"name": "cron", **fields})


async def test_a_token_is_shown_once_and_opens_the_door(http: httpx.AsyncClient) -> None:
    reply = await create(http)
    assert reply.status_code == 201
    assert reply.headers["cache-control"] == "no-store"
    made = reply.json()
    assert made.keys() == KEYS | {"token"}
    assert made["token"].startswith("sk-")
    assert (made["name"], made["hint"]) == ("cron", made["token"][-4:])
    assert made["expires_at"] is None
    assert made["created_at"].endswith("Z")
    reply = await http.get(TOKENS, headers=bearer(Secret(made["token"])))
    (listed,) = reply.json()["items"]
    assert listed == {name: made[name] for name in KEYS}
    assert made["token"] not in reply.text


async def test_a_token_may_be_for_some_days(http: httpx.AsyncClient) -> None:
    for days in (1, 30.0, 3650):  # to JSON all of them are integers
        made = (await create(http, expires_in_days=days)).json()
        created, expires = (
            datetime.fromisoformat(made[f"{name}_at"]) for name in ("created", "expires")
        )
        assert abs(expires - created - timedelta(days=days)) < timedelta(hours=1)


async def test_a_name_is_trimmed_and_need_not_be_another(http: httpx.AsyncClient) -> None:
    for name in ("  cron ", "cron", "\u00e9" * 100):
        made = (await create(http, name=name)).json()
        assert made["name"] == name.strip()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", "  "),
        ("name", "a" * 101),
        ("name", "nul\x00"),
        ("name", 7),
        ("name", None),
        ("expires_in_days", 0),
        ("expires_in_days", -1),
        ("expires_in_days", 3651),
        ("expires_in_days", 1.5),
        ("expires_in_days", "30"),
        ("expires_in_days", True),
        ("token", "sk-mine"),
    ],
)
async def test_what_breaks_a_rule_is_pointed_at(
    doors: Doors, http: httpx.AsyncClient, field: str, value: object
) -> None:
    reply = await create(http, **{field: value})
    assert_problem(reply, 422, "invalid_request", flaws=True)
    assert pointers(reply) == [f"/{field}"]
    assert doors.database.state.api_tokens == {}


@pytest.mark.parametrize("body", NO_OBJECTS)
async def test_a_body_that_is_none_is_told(http: httpx.AsyncClient, body: bytes) -> None:
    assert_problem(await http.post(TOKENS, content=body), 422, "invalid_request", flaws=True)


async def test_tokens_are_listed_oldest_first_page_by_page(
    doors: Doors, http: httpx.AsyncClient
) -> None:
    await add_api_token(doors.database, await add_user(doors.database, "bob"), "sk-bob")
    for number in range(5):
        await create(http, name=f"token {number}")
    listed: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        reply = await http.get(TOKENS, params={"limit": "2", **cursor})
        assert reply.json().keys() == {"items", "next_cursor"}
        listed += [item["name"] for item in reply.json()["items"]]
        if reply.json()["next_cursor"] is None:
            break
        cursor = {"cursor": reply.json()["next_cursor"]}
    assert listed == [f"token {number}" for number in range(5)]


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=101", "limit=x", "cursor=WzBd", *(f"cursor={text}" for text in GARBAGE)],
)
async def test_a_bad_page_is_told(http: httpx.AsyncClient, query: str) -> None:
    reply = await http.get(f"{TOKENS}?{query}")
    assert_problem(reply, 422, "invalid_request", flaws=True)
    assert pointers(reply) == [f"/{query.partition('=')[0]}"]


async def test_a_deleted_token_opens_nothing(http: httpx.AsyncClient) -> None:
    made = (await create(http)).json()
    reply = await http.delete(f"{TOKENS}/{made['id']}")
    assert (reply.status_code, reply.content) == (204, b"")
    refused = await http.get(TOKENS, headers=bearer(Secret(made["token"])))
    assert_problem(refused, 401, "invalid_token")
    assert_problem(await http.delete(f"{TOKENS}/{made['id']}"), 404, "token_not_found")


@pytest.mark.parametrize("token_id", ["7", "0", "-1", "01", "x", "9" * 19, "9" * 5000, "%D9%A7"])
async def test_an_unknown_token_is_not_there(http: httpx.AsyncClient, token_id: str) -> None:
    assert_problem(await http.delete(f"{TOKENS}/{token_id}"), 404, "token_not_found")


async def test_a_foreign_token_is_not_there_and_stays(
    doors: Doors, http: httpx.AsyncClient
) -> None:
    bob = await add_user(doors.database, "bob")
    theirs = await add_api_token(doors.database, bob, "sk-bob")
    assert_problem(await http.delete(f"{TOKENS}/{theirs.id}"), 404, "token_not_found")
    assert (await http.get("/api/auth/me", headers=bearer(Secret("sk-bob")))).json()["id"] == bob


async def test_a_user_has_only_so_many(doors: Doors, http: httpx.AsyncClient) -> None:
    for number in range(MAX_API_TOKENS):
        await add_api_token(doors.database, await doors.local(), f"sk-{number}")
    assert_problem(await create(http), 409, "too_many_tokens")
