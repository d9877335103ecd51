import httpx
import pytest

from tests.interface.clients import assert_problem
from tests.interface.doors import Doors
from tests.interface.test_sessions import pointers


async def choose(http: httpx.AsyncClient, **fields: object) -> httpx.Response:
    return await http.put("/api/personas/default", json=fields)


async def test_the_personas_are_listed_with_the_default(
    doors: Doors, http: httpx.AsyncClient
) -> None:
    doors.personas.personas["owl"] = "Hoo."
    reply = await http.get("/api/personas/")
    assert reply.status_code == 200
    assert reply.json() == {"personas": ["teacher", "owl"], "default": "teacher"}


async def test_without_personas_there_is_no_default(doors: Doors, http: httpx.AsyncClient) -> None:
    doors.personas.personas.clear()
    assert (await http.get("/api/personas/")).json() == {"personas": [], "default": None}


async def test_a_default_is_chosen_and_told_to_the_model(
    doors: Doors, http: httpx.AsyncClient
) -> None:
    doors.personas.personas["owl"] = "Hoo."
    reply = await choose(http, name="owl")
    assert (reply.status_code, reply.content) == (204, b"")
    assert (await http.get("/api/personas/")).json()["default"] == "owl"
    await doors.answered(await doors.session())
    assert doors.model.prompts[-1].messages[0].content == "Hoo."


async def test_what_is_no_persona_is_not_found(doors: Doors, http: httpx.AsyncClient) -> None:
    assert_problem(await choose(http, name="none"), 404, "persona_not_found")
    assert doors.database.state.default_personas == {}


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({}, "/name"),
        ({"name": None}, "/name"),
        ({"name": ""}, "/name"),
        ({"name": 7}, "/name"),
        ({"name": "a" * 101}, "/name"),
        ({"name": "nul\x00"}, "/name"),
        ({"name": "teacher", "user": "bob"}, "/user"),
    ],
)
async def test_a_bad_choice_is_pointed_at(
    doors: Doors, http: httpx.AsyncClient, fields: dict[str, object], pointer: str
) -> None:
    reply = await choose(http, **fields)
    assert_problem(reply, 422, "invalid_request", flaws=True)
    assert pointers(reply) == [pointer]
    assert doors.database.state.default_personas == {}


async def test_a_default_is_put_and_nothing_else(http: httpx.AsyncClient) -> None:
    for method, path in (
        ("GET", "/api/personas/default"),
        ("POST", "/api/personas/default"),
        ("DELETE", "/api/personas/"),
    ):
        assert_problem(await http.request(method, path), 405, "method_not_allowed")
