"""The description of the API: whole, valid, and true."""

import asyncio
import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import httpx
import pytest
import schemathesis
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from typing_extensions import TypedDict

from domain.api_config import NewApiConfig
from domain.identifiers import GenerationId
from interface.dialects.openai_errors import code_of
from interface.openapi.areas import AREAS
from interface.openapi.document import UNDESCRIBED, described, document_of, keys_of
from interface.openapi.operation import EVENT_STREAM, Answer, Area, ErrorShape, Operation
from interface.openapi.routes import openapi_routes
from interface.problems import STATUS
from interface.wire.answers import HealthJson
from tests.builders import add_api, add_api_token, add_file
from tests.interface.clients import Json, Reply, ask
from tests.interface.doors import Doors

OPERATIONS: Final = {key: operation for key, (_, operation) in described().items()}
DOCUMENT: Final[Json] = json.loads(json.dumps(document_of(OPERATIONS)))


def shown(key: tuple[str, str]) -> Json:
    """An operation as it stands in the document."""
    method, path = key
    found: Json = DOCUMENT["paths"][OPERATIONS[key].shown_as or path][method.lower()]
    return found


def resolved(reference: Json) -> Json:
    if "$ref" not in reference:
        return reference
    found: Any = DOCUMENT
    for step in reference["$ref"].removeprefix("#/").split("/"):
        found = found[step]
    return resolved(found)


def each_object(part: object) -> Iterator[Json]:
    if isinstance(part, dict):
        yield part
        for value in part.values():
            yield from each_object(value)
    if isinstance(part, list):
        for value in part:
            yield from each_object(value)


# Whole


def test_each_route_is_described_and_nothing_else_is(doors: Doors) -> None:
    routed = {key for key in keys_of(doors.routes) if key[1] not in UNDESCRIBED}
    assert routed == OPERATIONS.keys()
    assert {path for _, path in keys_of(doors.routes)} >= UNDESCRIBED


def test_no_operation_is_described_twice_or_called_as_another() -> None:
    assert sum(len(area.operations) for area in AREAS) == len(OPERATIONS)
    names = [operation.name for operation in OPERATIONS.values()]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", name) for name in names)


def test_what_is_not_routed_is_not_told_of(doors: Doors) -> None:
    (route,) = openapi_routes([route for route in doors.routes if "persona" in str(route)])
    assert keys_of([route]) == [("GET", "/openapi.json")]
    document = document_of([("GET", "/api/personas/")])
    assert document["paths"].keys() == {"/api/personas/"}
    assert [tag["name"] for tag in document["tags"]] == ["Personas"]


class OtherErrorJson(TypedDict):
    error: str


def test_an_area_may_tell_errors_in_its_own_words_and_answers_in_several_forms() -> None:
    answer = Answer("So.", HealthJson, also={EVENT_STREAM: {"type": "string"}})
    other = Area(
        "Other",
        "In other words.",
        {("GET", "/other"): Operation("read_other", "Another", {200: answer})},
        ErrorShape(OtherErrorJson, "application/json", "InOtherWords"),
    )
    document = document_of([("GET", "/healthz"), ("GET", "/other")], [*AREAS, other])
    responses = document["paths"]["/other"]["get"]["responses"]
    assert responses["200"]["content"].keys() == {"application/json", EVENT_STREAM}
    told = document["components"]["responses"]
    reference = {"schema": {"$ref": "#/components/schemas/OtherError"}}
    assert told["InternalErrorInOtherWords"]["content"] == {"application/json": reference}
    assert told["InternalError"]["content"].keys() == {"application/problem+json"}


def test_each_error_can_be_met_somewhere() -> None:
    told = {code for part in each_object(DOCUMENT) for code in part.get("x-codes", ())}
    elsewhere = {
        "answer_restarted",
        "headers_too_large",
        "method_not_allowed",
        "not_found",
        "nothing_to_stop",
        "queue_unavailable",
    }
    known = set(map(code_of, STATUS)) | {code for code in STATUS if code in told}
    assert told | elsewhere == known
    assert not told & elsewhere


def test_it_has_the_version_of_the_product() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert DOCUMENT["info"]["version"] == project["project"]["version"]


async def test_everybody_may_have_it(locked_http: httpx.AsyncClient) -> None:
    reply = await locked_http.get("/openapi.json")
    assert (reply.status_code, reply.headers["content-type"]) == (200, "application/json")
    assert reply.json() == DOCUMENT


# Valid


def test_it_is_openapi() -> None:
    """By the schema of its specification, which Schemathesis brings along."""
    schemathesis.openapi.from_dict(DOCUMENT).validate()
    for schema in DOCUMENT["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def test_what_it_refers_to_is_there_and_all_that_is_there_is_referred_to() -> None:
    references = {part["$ref"] for part in each_object(DOCUMENT) if "$ref" in part}
    components = {
        f"#/components/{kind}/{name}"
        for kind, parts in DOCUMENT["components"].items()
        if kind != "securitySchemes"
        for name in parts
    }
    assert references == components


def test_paths_differ_by_more_than_names_and_name_their_parameters() -> None:
    shapes = [re.sub(r"{\w+}", "{}", path) for path in DOCUMENT["paths"]]
    assert len(set(shapes)) == len(shapes)
    for path, item in DOCUMENT["paths"].items():
        for method in item.keys() - {"parameters"}:
            named = [each for each in item[method].get("parameters", ()) if each["in"] == "path"]
            assert [each["name"] for each in named] == re.findall(r"{(\w+)}", path)


def test_links_lead_to_operations_and_give_their_parameters() -> None:
    by_name = {shown(key)["operationId"]: shown(key) for key in OPERATIONS}
    for link in DOCUMENT["components"]["links"].values():
        parameters = by_name[link["operationId"]]["parameters"]
        wanted = {f"path.{each['name']}" for each in parameters if each["in"] == "path"}
        assert link["parameters"].keys() == wanted


# True


@dataclass(frozen=True)
class Stocked:
    """A server, where there is one of everything: an answered question, a file, …"""

    doors: Doors
    things: Mapping[str, str]

    async def ask(self, key: tuple[str, str], body: Json | None = None) -> Reply:
        method, path = key
        operation = OPERATIONS.get(key)
        examples = {
            each.name: each.example.format(**self.things)
            for each in (operation.parameters if operation else ())
            if each.example is not None
        }
        form = key == ("POST", "/api/files/upload")
        headers = {"Content-Type": "multipart/form-data; boundary=b"} if form else {}
        content = b"" if body is None else as_form(body) if form else json.dumps(body).encode()
        return await ask(
            self.doors.app,
            method,
            path.format(**self.things),
            urlencode(examples),
            headers,
            content,
        )


def as_form(fields: Mapping[str, str]) -> bytes:
    named = {"session_id": "", "file": '; filename="notes.txt"'}
    parts = [
        f'--b\r\nContent-Disposition: form-data; name="{name}"{named[name]}\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    return "".join([*parts, "--b--\r\n"]).encode()


@pytest.fixture
async def stocked(doors: Doors) -> Stocked:
    database, user = doors.database, await doors.local()
    session_id = await doors.session()
    generation_id = await doors.answered(session_id)
    await doors.queue.heard()
    api = await add_api(
        database, NewApiConfig(user, "my own", "scripted", "http://model/v1", "openai", None)
    )
    token = await add_api_token(database, user, "sk-mine")
    file = await add_file(database, doors.files, user, session_id, "rivers.txt")
    things = {
        "session_id": session_id,
        "generation_id": generation_id,
        "api_id": str(api.id),
        "name": api.name,
        "token_id": str(token.id),
        "file_id": str(file.id),
        "model": "scripted",
        "response_id": await response(doors),
    }
    return Stocked(doors, things)


async def response(doors: Doors) -> str:
    """One that was asked for, and waits."""
    body = json.dumps({"input": "why?", "background": True}).encode()
    asked = await ask(doors.app, "POST", "/v1/responses", "", {}, body)
    await doors.queue.heard()
    response_id: str = asked.json()["id"]
    return response_id


async def filled(stocked: Stocked, name: str, example: Json) -> Json:
    """With what must be there in fact."""
    if name == "upload_file":
        return {**example, "session_id": stocked.things["session_id"]}
    if name in ("log_in", "refresh_sign_in"):
        key = ("POST", "/api/auth/register")
        credentials = {"username": "grace", "password": "correct-horse-battery"}
        registered = await stocked.ask(key, credentials)
        if name == "refresh_sign_in":
            return {"refresh_token": registered.json()["refresh_token"]}
    return {**example, "model": "scripted"} if "model" in example else example


def waits(name: str, example: Json | None) -> bool:
    """Whether the answer of a model is waited for."""
    said = example or {}
    at_once = said.get("stream") or said.get("background")
    return name == "ask" or (name in CALLS and not at_once)


CALLS: Final = ("create_chat_completion", "create_response")


def validator(schema: Json, *, closed: bool) -> Draft202012Validator:
    """A `closed` one lets pass nothing that is not described."""
    components = json.loads(json.dumps({"schemas": DOCUMENT["components"]["schemas"]}))
    if closed:
        for part in each_object(components):
            if part.get("type") == "object":
                part.setdefault("additionalProperties", False)
    return Draft202012Validator({"components": components, **schema})


def assert_as_described(key: tuple[str, str], reply: Reply) -> None:
    answers = shown(key)["responses"]
    assert str(reply.status) in answers, reply
    answer = resolved(answers[str(reply.status)])
    for name, header in answer["headers"].items():
        assert resolved(header)["description"]
        if name in ("X-Request-ID", "WWW-Authenticate", "Retry-After", "Content-Disposition"):
            assert name.lower() in reply.headers
    if "content" not in answer:
        assert reply.text == ""
        return
    media_type = reply.headers["content-type"].split(";")[0]
    assert media_type in answer["content"]
    content = answer["content"][media_type]
    if media_type.endswith("json"):
        validator(content["schema"], closed=True).validate(reply.json())
    if reply.status >= 400:
        said = reply.json()
        assert said.get("error", said)["code"] in answer["x-codes"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/chat/message", {"message": "why?"}),
        ("/api/chat/message/stream", {"message": "why?"}),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "why?"}]}),
        ("/v1/responses", {"input": "why?"}),
        ("/v1/responses", {"input": "why?", "stream": True}),
    ],
)
async def test_what_was_deleted_before_it_is_asked_again_is_described(
    doors: Doors, http: httpx.AsyncClient, path: str, body: Json
) -> None:
    key = {"Idempotency-Key": "7f3a"}
    asking = asyncio.create_task(http.post(path, json=body, headers=key))
    generation_id = await doors.queue.heard()
    await doors.answer(generation_id)
    await asking
    [session_id] = doors.database.state.sessions
    await http.delete(f"/api/chat/sessions/{session_id}")
    again = await http.post(path, json=body, headers=key)
    assert again.status_code == 404
    assert_as_described(("POST", path), Reply(404, dict(again.headers), again.text))


EXAMPLES: Final[list[tuple[tuple[str, str], Json | None]]] = [
    (key, None) for key, operation in OPERATIONS.items() if not operation.body
] + [
    (key, json.loads(json.dumps(example)))
    for key, operation in OPERATIONS.items()
    if operation.body
    for example in operation.body.examples.values()
]


@pytest.mark.parametrize(
    ("key", "example"), EXAMPLES, ids=[OPERATIONS[key].name for key, _ in EXAMPLES]
)
async def test_each_example_is_accepted_and_answered_as_described(
    stocked: Stocked, key: tuple[str, str], example: Json | None
) -> None:
    if example is not None:
        (content,) = shown(key)["requestBody"]["content"].values()
        validator(content["schema"], closed=False).validate(example)
        example = await filled(stocked, OPERATIONS[key].name, example)
    asked = asyncio.create_task(stocked.ask(key, example))
    if waits(OPERATIONS[key].name, example):
        await stocked.doors.answer(await stocked.doors.queue.heard())
    reply = await asked
    assert reply.status < 300, reply
    assert_as_described(key, reply)


WITHOUT_BODY: Final = [
    key for key, operation in OPERATIONS.items() if operation.body and not operation.body.required
]


@pytest.mark.parametrize("key", WITHOUT_BODY, ids=" ".join)
async def test_a_body_that_is_not_required_may_be_left_out(
    stocked: Stocked, key: tuple[str, str]
) -> None:
    assert (await stocked.ask(key)).status < 300


NAMING: Final = [key for key in OPERATIONS if "{" in key[1]]


@pytest.mark.parametrize("key", NAMING, ids=" ".join)
async def test_what_is_not_there_is_a_problem_as_described(
    doors: Doors, key: tuple[str, str]
) -> None:
    names = ("session_id", "generation_id", "response_id", "name", "model")
    things = dict.fromkeys(names, "none")
    nothing = Stocked(doors, things | dict.fromkeys(("api_id", "token_id", "file_id"), "7"))
    body = OPERATIONS[key].body
    example = next(iter(body.examples.values())) if body else None
    reply = await nothing.ask(key, json.loads(json.dumps(example)) if example else None)
    assert reply.status == 404
    assert_as_described(key, reply)


@pytest.mark.parametrize("key", OPERATIONS, ids=" ".join)
async def test_who_is_not_known_and_what_is_out_of_order_is_told_as_described(
    locked: Doors, stocked: Stocked, key: tuple[str, str]
) -> None:
    closed = Stocked(locked, stocked.things)
    operation = shown(key)
    if "401" in operation["responses"] and operation.get("security") != []:
        reply = await closed.ask(key, {})
        assert reply.status == 401
        assert_as_described(key, reply)
    stocked.doors.database.away = 9
    reply = await stocked.ask(key, {})
    assert reply.status in (200, 400, 415, 422, 503)
    assert_as_described(key, reply)


@pytest.mark.parametrize("key", [key for key in OPERATIONS if OPERATIONS[key].body], ids=" ".join)
async def test_a_body_that_breaks_a_rule_is_a_problem_as_described(
    stocked: Stocked, key: tuple[str, str]
) -> None:
    reply = await stocked.ask(key, {"session_id": "\x00"} if "upload" in key[1] else {"nothing": 1})
    assert reply.status == described()[key][0].errors.status_of("invalid_request")
    assert_as_described(key, reply)


async def test_streams_are_text_and_end_with_204_once_all_is_seen(stocked: Stocked) -> None:
    key = ("GET", "/api/chat/generations/{generation_id}/stream")
    assert EVENT_STREAM in shown(key)["responses"]["200"]["content"]
    generation = GenerationId(stocked.things["generation_id"])
    end = stocked.doors.database.state.rows[generation].generation.end
    path = key[1].format(**stocked.things)
    reply = await ask(stocked.doors.app, "GET", path, f"last_event_id={end}", {}, b"")
    assert reply.status == 204
    assert_as_described(key, reply)
