import json
import logging
from datetime import UTC, datetime

import httpx
import pytest

from domain.api_config import ApiConfig
from domain.errors import ModelUnreachable
from domain.identifiers import SessionId
from domain.secret import Secret
from tests.builders import API_KEY, a_new_api, add_api, add_user
from tests.fakes import fake_seal, says
from tests.interface.clients import assert_problem
from tests.interface.doors import Doors
from tests.interface.test_sessions import GARBAGE, closed, pointers

API_KEYS = {
    "id",
    "name",
    "model_name",
    "base_url",
    "provider",
    "key_hint",
    "created_at",
    "updated_at",
}
GIVEN = {
    "name": "mine",
    "model_name": "gpt-9",
    "base_url": "https://api.example.com/v1",
    "api_key": API_KEY,
}
OTHER_URL = "https://other.example.com/v1"


async def create(http: httpx.AsyncClient, **fields: object) -> httpx.Response:
    return await http.post("/api/user/apis", json={**GIVEN, **fields})


async def created(http: httpx.AsyncClient, **fields: object) -> int:
    reply = await create(http, **fields)
    assert reply.status_code == 201
    api_id: int = reply.json()["id"]
    return api_id


async def change(http: httpx.AsyncClient, api_id: int, **fields: object) -> httpx.Response:
    return await http.put(f"/api/user/apis/{api_id}", json=fields)


async def names(http: httpx.AsyncClient, **params: str) -> list[str]:
    reply = await http.get("/api/user/apis", params=params)
    assert reply.status_code == 200
    return [item["name"] for item in reply.json()["items"]]


async def foreign(doors: Doors, name: str = "theirs") -> ApiConfig:
    return await add_api(doors.database, a_new_api(await add_user(doors.database, "bob"), name))


# Making one


async def test_a_configuration_is_made_as_it_is_told(http: httpx.AsyncClient) -> None:
    reply = await create(http)
    assert reply.status_code == 201
    assert reply.headers["content-type"] == "application/json"
    made = reply.json()
    assert made.keys() == API_KEYS
    assert isinstance(made["id"], int)
    assert (made["name"], made["model_name"], made["provider"]) == ("mine", "gpt-9", "openai")
    assert (made["base_url"], made["key_hint"]) == (GIVEN["base_url"], API_KEY[-4:])
    for name in ("created_at", "updated_at"):
        assert made[name].endswith("Z")
        assert datetime.fromisoformat(made[name]).tzinfo == UTC


async def test_what_is_told_is_trimmed_and_the_address_brought_to_one_form(
    doors: Doors, http: httpx.AsyncClient
) -> None:
    reply = await create(
        http,
        name="  mine\n",
        model_name="\tgpt-9 ",
        base_url=" HTTPS://API.Example.com/v1/ ",
        api_key=f" {API_KEY}\n",
        provider="other",
    )
    made = reply.json()
    assert (made["name"], made["model_name"], made["provider"]) == ("mine", "gpt-9", "other")
    assert (made["base_url"], made["key_hint"]) == (GIVEN["base_url"], API_KEY[-4:])
    assert doors.database.state.apis[0].sealed_key == fake_seal(Secret(API_KEY))


async def test_a_server_that_wants_no_key_is_given_none(
    doors: Doors, http: httpx.AsyncClient
) -> None:
    for name, key in (("one", ""), ("two", "  ")):
        made = (await create(http, name=name, api_key=key)).json()
        assert made["key_hint"] == ""
    assert [config.sealed_key for config in doors.database.state.apis] == [None, None]


async def test_a_taken_name_is_a_conflict(http: httpx.AsyncClient) -> None:
    await created(http)
    assert_problem(await create(http, model_name="other"), 409, "name_taken")
    assert_problem(await create(http, name=" mine "), 409, "name_taken")
    other = await created(http, name="other")
    assert_problem(await change(http, other, name="mine"), 409, "name_taken")
    assert await names(http) == ["mine", "other"]


async def test_longest_fields_are_taken(http: httpx.AsyncClient) -> None:
    made = await create(
        http,
        name=f" {'é' * 100} ",
        model_name=f" {'m' * 200} ",
        base_url=f" http://a/{'b' * 1991} ",
        api_key=f" {'~' * 512} ",
    )
    assert made.status_code == 201


BAD_FIELDS = [
    ("name", ""),
    ("name", "  "),
    ("name", "a" * 101),
    ("name", "nul\x00"),
    ("name", "first"),
    ("name", " first "),
    ("name", 7),
    ("model_name", ""),
    ("model_name", " "),
    ("model_name", "a" * 201),
    ("model_name", "nul\x00"),
    ("model_name", ["gpt-9"]),
    ("base_url", ""),
    ("base_url", "api.example.com"),
    ("base_url", "ftp://api.example.com"),
    ("base_url", "https://ada:secret@api.example.com"),
    ("base_url", "https://api.example.com?key=secret"),
    ("base_url", "https://api.example.com#secret"),
    ("base_url", "https://api.example.com:secret"),
    ("base_url", "https://api.example.com/\n"
                 "secret"),
    ("base_url", "https://a/" + "b" * 1991),
    ("base_url", {"url": "https://api.example.com"}),
    ("api_key", "k" * 513),
    ("api_key", "two words"),
    ("api_key", "tab\tin"),
    ("api_key", "nul\x00"),
    ("api_key", "clé"),
    ("api_key", 7),
    ("api_key", {"key": "secret"}),
    ("provider", ""),
    ("provider", "telegraph"),
    ("provider", "p" * 51),
    ("provider", "nul\x00"),
    ("provider", 7),
    ("key_hint", "9f3A"),
    ("id", 1),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), BAD_FIELDS)
async def test_a_field_that_breaks_a_rule_is_pointed_at(
    http: httpx.AsyncClient, name: str, value: object
) -> None:
    api_id = await created(http, name="there")
    before = (await http.get("/api/user/apis")).json()
    for reply in (await create(http, **{name: value}), await change(http, api_id, **{name: value})):
        assert_problem(reply, 422, "invalid_request", flaws=True)
        assert pointers(reply) == [f"/{name}"]
        assert "secret" not in reply.text
    assert (await http.get("/api/user/apis")).json() == before


@pytest.mark.parametrize("missing", list(GIVEN))
async def test_what_is_needed_must_be_told(http: httpx.AsyncClient, missing: str) -> None:
    body = {name: value for name, value in GIVEN.items() if name != missing}
    for reply in (
        await http.post("/api/user/apis", json=body),
        await http.post("/api/user/apis", json={**body, missing: None}),
    ):
        assert_problem(reply, 422, "invalid_request", flaws=True)
        assert pointers(reply) == [f"/{missing}"]


async def test_the_name_of_a_route_is_refused_and_said_to_be_one(http: httpx.AsyncClient) -> None:
    reply = await create(http, name="first")
    assert "first" in reply.json()["errors"][0]["message"]
    assert (await create(http, name="First")).status_code == 201


async def test_an_unknown_provider_is_answered_with_the_known_ones(
    http: httpx.AsyncClient,
) -> None:
    reply = await create(http, provider="telegraph")
    assert reply.json()["errors"][0]["message"] == "provider must be one of: openai, other."


async def test_all_flaws_are_told_at_once(http: httpx.AsyncClient) -> None:
    reply = await create(http, name="", base_url="x", api_key="a b", unknown=1)
    assert sorted(pointers(reply)) == ["/api_key", "/base_url", "/name", "/unknown"]


# Reading


async def test_configurations_are_listed_oldest_first_page_by_page(
    doors: Doors, http: httpx.AsyncClient
) -> None:
    await foreign(doors)
    for number in range(5):
        await created(http, name=f"api {number}")
    listed: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        reply = await http.get("/api/user/apis", params={"limit": "2", **cursor})
        assert reply.json().keys() == {"items", "next_cursor"}
        assert all(item.keys() == API_KEYS for item in reply.json()["items"])
        listed += [item["name"] for item in reply.json()["items"]]
        if reply.json()["next_cursor"] is None:
            break
        cursor = {"cursor": reply.json()["next_cursor"]}
    assert listed == [f"api {number}" for number in range(5)]


async def test_the_list_can_be_of_one_model_also_page_by_page(http: httpx.AsyncClient) -> None:
    for number in range(5):
        await created(http, name=str(number), model_name="even" if number % 2 == 0 else "odd")
    assert await names(http, model_name="even") == ["0", "2", "4"]
    assert await names(http, model_name="none") == []
    page = (await http.get("/api/user/apis?model_name=even&limit=2")).json()
    assert [item["name"] for item in page["items"]] == ["0", "2"]
    assert await names(http, model_name="even", limit="2", cursor=page["next_cursor"]) == ["4"]


@pytest.mark.parametrize("limit", ["0", "101", "-1", "ten", ""])
async def test_a_bad_limit_is_pointed_at(http: httpx.AsyncClient, limit: str) -> None:
    reply = await http.get("/api/user/apis", params={"limit": limit})
    assert_problem(reply, 422, "invalid_request", flaws=True)
    assert pointers(reply) == ["/limit"]


@pytest.mark.parametrize("cursor", [*GARBAGE, closed("1"), closed(True), closed(0), closed(2**63)])
async def test_a_bad_cursor_is_pointed_at(http: httpx.AsyncClient, cursor: str) -> None:
    reply = await http.get("/api/user/apis", params={"cursor": cursor})
    assert_problem(reply, 422, "invalid_request", flaws=True)
    assert pointers(reply) == ["/cursor"]


@pytest.mark.parametrize("model_name", ["", "a" * 201, "nul\x00"])
async def test_a_bad_model_name_is_pointed_at(http: httpx.AsyncClient, model_name: str) -> None:
    reply = await http.get("/api/user/apis", params={"model_name": model_name})
    assert_problem(reply, 422, "invalid_request", flaws=True)
    assert pointers(reply) == ["/model_name"]


async def test_the_first_is_the_oldest(http: httpx.AsyncClient) -> None:
    assert_problem(await http.get("/api/user/apis/first"), 404, "api_not_found")
    oldest = (await create(http, name="oldest")).json()
    await created(http, name="newest")
    reply = await http.get("/api/user/apis/first")
    assert (reply.status_code, reply.json()) == (200, oldest)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("mine", "mine"),
        ("with space", "with%20space"),
        ("a/b", "a/b"),
        ("a/b/test", "a%2Fb%2Ftest"),
        ("First", "First"),
        ("é?#", "%C3%A9%3F%23"),
        ("7", "7"),
    ],
)
async def test_one_is_read_by_its_name(http: httpx.AsyncClient, name: str, path: str) -> None:
    await created(http, name="another")
    made = (await create(http, name=name)).json()
    reply = await http.get(f"/api/user/apis/{path}")
    assert (reply.status_code, reply.json()) == (200, made)


@pytest.mark.parametrize("path", ["none", "MINE", "mine/", "%00", "a%00b", "%FF", "a" * 300, "1"])
async def test_a_name_that_nothing_has_is_a_problem(http: httpx.AsyncClient, path: str) -> None:
    await created(http)
    reply = await http.get(f"/api/user/apis/{path}")
    assert reply.status_code == 404
    assert reply.json()["code"] == "api_not_found"


# Changing and deleting


async def test_any_field_can_be_changed_and_the_others_stay(http: httpx.AsyncClient) -> None:
    api_id = await created(http)
    shown = (await http.get("/api/user/apis/first")).json()
    for name, value in (
        ("name", "yours"),
        ("model_name", "gpt-10"),
        ("provider", "other"),
        ("base_url", GIVEN["base_url"]),
    ):
        reply = await change(http, api_id, **{name: value})
        assert reply.status_code == 200
        shown = {**shown, name: value, "updated_at": reply.json()["updated_at"]}
        assert reply.json() == shown
    assert (await http.get("/api/user/apis/yours")).json() == shown


async def test_what_is_absent_or_null_stays(doors: Doors, http: httpx.AsyncClient) -> None:
    api_id = await created(http)
    (before,) = doors.database.state.apis
    for body in ({}, dict.fromkeys([*GIVEN, "provider"])):
        reply = await change(http, api_id, **body)
        assert reply.status_code == 200
    (after,) = doors.database.state.apis
    assert (after.name, after.model_name, after.base_url) == ("mine", "gpt-9", before.base_url)
    assert (after.key_hint, after.sealed_key) == (before.key_hint, before.sealed_key)


async def test_a_new_address_without_a_new_key_clears_the_key(
    doors: Doors, http: httpx.AsyncClient
) -> None:
    api_id = await created(http)
    reply = await change(http, api_id, base_url=OTHER_URL)
    assert (reply.json()["base_url"], reply.json()["key_hint"]) == (OTHER_URL, "")
    assert doors.database.state.apis[0].sealed_key is None


@pytest.mark.parametrize("same", [GIVEN["base_url"], "HTTPS://api.EXAMPLE.com/v1/"])
async def test_the_same_address_keeps_the_key(
    doors: Doors, http: httpx.AsyncClient, same: str
) -> None:
    api_id = await created(http)
    reply = await change(http, api_id, base_url=same, name="renamed")
    assert (reply.json()["base_url"], reply.json()["key_hint"]) == (
        GIVEN["base_url"],
        API_KEY[-4:],
    )
    assert doors.database.state.apis[0].sealed_key == fake_seal(Secret(API_KEY))


@pytest.mark.parametrize("address", [{}, {"base_url": OTHER_URL}, {"base_url": GIVEN["base_url"]}])
async def test_a_new_key_is_kept_whatever_the_address(
    doors: Doors, http: httpx.AsyncClient, address: dict[str, str]
) -> None:
    api_id = await created(http)
    reply = await change(http, api_id, api_key="sk-another-5678", **address)
    assert reply.json()["key_hint"] == "5678"
    assert doors.database.state.apis[0].sealed_key == fake_seal(Secret("sk-another-5678"))


async def test_an_empty_key_takes_the_key_away(doors: Doors, http: httpx.AsyncClient) -> None:
    api_id = await created(http)
    assert (await change(http, api_id, api_key="")).json()["key_hint"] == ""
    assert doors.database.state.apis[0].sealed_key is None


async def test_what_is_deleted_is_gone(doors: Doors, http: httpx.AsyncClient) -> None:
    api_id = await created(http)
    reply = await http.delete(f"/api/user/apis/{api_id}")
    assert (reply.status_code, reply.content) == (204, b"")
    assert_problem(await http.delete(f"/api/user/apis/{api_id}"), 404, "api_not_found")
    assert await names(http) == []
    assert doors.database.state.apis == []
    assert (await create(http)).status_code == 201


@pytest.mark.parametrize(
    "api_id", ["none", "0", "-1", "1.0", "01", "9" * 19, "9" * 5000, "٣", "%00", "first", "99"]
)
async def test_an_id_that_nothing_has_is_a_problem(http: httpx.AsyncClient, api_id: str) -> None:
    await created(http)
    path = f"/api/user/apis/{api_id}"
    for reply in (
        await http.put(path, json={"name": "new"}),
        await http.delete(path),
        await http.post(f"{path}/test"),
    ):
        assert reply.status_code == 404
        assert reply.json()["code"] == "api_not_found"
    assert await names(http) == ["mine"]


async def test_what_is_anothers_does_not_exist(doors: Doors, http: httpx.AsyncClient) -> None:
    theirs = await foreign(doors)
    path = f"/api/user/apis/{theirs.id}"
    for reply in (
        await http.get("/api/user/apis/first"),
        await http.get(f"/api/user/apis/{theirs.name}"),
        await http.put(path, json={"name": "stolen", "base_url": OTHER_URL}),
        await http.delete(path),
        await http.post(f"{path}/test"),
    ):
        assert_problem(reply, 404, "api_not_found")
    assert await names(http) == []
    assert theirs.model_name not in (await http.get("/api/models")).text
    reply = await http.post("/api/chat/session", json={"model_name": theirs.model_name})
    assert_problem(reply, 404, "model_not_found")
    assert doors.database.state.apis == [theirs]
    assert doors.models.asked == []
    assert await created(http, name=theirs.name) != theirs.id


async def test_a_method_that_is_not_allowed_names_those_that_are(
    http: httpx.AsyncClient,
) -> None:
    reply = await http.patch("/api/user/apis/7")
    assert_problem(reply, 405, "method_not_allowed")
    assert {"GET", "PUT", "DELETE"} <= set(reply.headers["allow"].split(", "))
    reply = await http.delete("/api/user/apis")
    assert {"GET", "POST"} <= set(reply.headers["allow"].split(", "))


# Testing the connection


async def test_a_model_that_answers_is_fine(doors: Doors, http: httpx.AsyncClient) -> None:
    api_id = await created(http)
    reply = await http.post(f"/api/user/apis/{api_id}/test")
    assert reply.status_code == 200
    assert reply.json().keys() == {"ok", "latency_ms", "detail"}
    assert reply.json()["ok"] is True
    assert isinstance(reply.json()["latency_ms"], int)
    assert [config.id for config in doors.models.asked] == [api_id]


async def test_a_model_that_can_not_be_reached_is_not_fine(
    doors: Doors, http: httpx.AsyncClient
) -> None:
    doors.model.script = says(then=ModelUnreachable("No connection could be made."))
    reply = await http.post(f"/api/user/apis/{await created(http)}/test")
    assert reply.status_code == 200
    assert (reply.json()["ok"], reply.json()["detail"]) == (False, "No connection could be made.")


# Models


async def test_models_are_the_users_and_the_servers(http: httpx.AsyncClient) -> None:
    servers = [
        {"model_name": name, "provider": "simulated", "source": "server"}
        for name in ("scripted", "other")
    ]
    reply = await http.get("/api/models")
    assert (reply.status_code, reply.json()) == (200, {"models": servers, "default": "scripted"})
    await created(http)
    own = {"model_name": "gpt-9", "provider": "openai", "source": "user"}
    reply = await http.get("/api/models")
    assert reply.json() == {"models": [own, *servers], "default": "gpt-9"}


async def test_a_model_of_the_user_goes_before_the_servers_one_of_its_name(
    http: httpx.AsyncClient,
) -> None:
    await created(http, model_name="scripted")
    listed = (await http.get("/api/models")).json()
    assert [(model["model_name"], model["source"]) for model in listed["models"]] == [
        ("scripted", "user"),
        ("other", "server"),
    ]


async def test_a_message_can_name_a_configured_model_of_any_length(
    doors: Doors, http: httpx.AsyncClient, session: SessionId
) -> None:
    model_name = "m" * 200
    api_id = await created(http, model_name=model_name)
    made = await http.post(
        "/api/chat/session", json={"session_id": "new", "model_name": model_name}
    )
    assert made.status_code == 201
    reply = await http.post(
        f"/api/chat/sessions/{session}/messages", json={"message": "why?", "model_name": model_name}
    )
    assert reply.status_code == 202
    await doors.answer(reply.json()["generation_id"])
    assert [config.id for config in doors.models.asked] == [api_id]


# Keys stay with their owner


async def test_a_key_is_never_shown_nor_logged(
    doors: Doors, http: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    api_id = await created(http)
    taken = await created(http, name="taken")
    every, one = "/api/user/apis", f"/api/user/apis/{api_id}"
    whole = json.dumps(GIVEN)
    replies = [
        await http.post(every, json={**GIVEN, "name": "new"}),
        await create(http),
        await create(http, name="first"),
        await create(http, provider="telegraph"),
        await create(http, provider=API_KEY),
        await create(http, api_key=[API_KEY]),
        await create(http, api_key={API_KEY: API_KEY}),
        await create(http, api_key=f"{API_KEY} {API_KEY}"),
        await create(http, api_key=API_KEY * 50),
        await create(http, name=[API_KEY]),
        await create(http, base_url=API_KEY),
        await create(http, base_url=f"https://api.example.com:{API_KEY}"),
        await create(http, base_url=f"https://{API_KEY}@api.example.com"),
        await create(http, base_url=f"https://api.example.com?key={API_KEY}"),
        await http.post(every, content=whole[:-1]),
        await http.post(every, content=whole[:-3]),
        await http.post(every, content=f"{whole}{API_KEY}"),
        await http.post(every, content=API_KEY),
        await http.post(every, content=json.dumps(API_KEY)),
        await http.post(every, content=json.dumps([API_KEY])),
        await http.post(every, content=whole.encode("utf-16")),
        await http.put(one, json={"api_key": API_KEY}),
        await http.put(one, json={"api_key": f"{API_KEY}\x00"}),
        await http.put(f"{every}/{taken}", json={"name": "mine", "api_key": API_KEY}),
        await http.put(f"{every}/99", json={"api_key": API_KEY}),
        await http.get(every),
        await http.get(f"{every}/first"),
        await http.get(f"{every}/mine"),
        await http.get("/api/models"),
        await http.post(f"{one}/test"),
        await http.delete(one),
    ]
    doors.database.away = 1
    replies.append(await create(http))
    assert {reply.status_code for reply in replies} == {200, 201, 204, 404, 409, 422, 503}
    for reply in replies:
        assert API_KEY not in reply.text
        assert API_KEY not in repr(reply.headers)
        assert API_KEY[:-4] not in reply.text
    assert API_KEY[:-4] not in caplog.text
    assert caplog.records
    assert not any(API_KEY[:-4] in repr(record.__dict__) for record in caplog.records)
