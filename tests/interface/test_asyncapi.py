"""The description of the streams is true: of the code, and of what the code says and hears."""

import hashlib
import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, get_args

import httpx
import pytest
from jsonschema import Draft7Validator  # type: ignore[import-untyped]

from application.events import Chunk, Start, StreamEvent
from domain.errors import NotSignedIn
from domain.identifiers import FileId
from interface.asyncapi import examples
from interface.asyncapi.document import asyncapi_document
from interface.websocket import COME_BACK_LATER, FAULT, NO_SUCH_SESSION, NOT_SIGNED_IN
from interface.wire.frames import Frame
from tests.builders import add_file, add_question, add_session, claim
from tests.interface.clients import Json, event_source, websocket
from tests.interface.doors import Doors
from tests.interface.test_wire import PROTOCOL, over_sse, over_websocket

ROOT: Final = Path(__file__).parents[2]
VENDOR: Final = Path(__file__).parent / "vendor" / "asyncapi"
DOCUMENT: Final[Json] = json.loads(json.dumps(asyncapi_document()))
SOCKET: Final[Mapping[str, Json]] = DOCUMENT["channels"]["ws"]["messages"]
STREAM: Final[Mapping[str, Json]] = DOCUMENT["channels"]["sse"]["messages"]
OPERATIONS: Final[Mapping[str, Json]] = DOCUMENT["operations"]


def official() -> Draft7Validator:
    return Draft7Validator(json.loads((VENDOR / "3.0.0.json").read_text(encoding="utf-8")))


def looked_up(reference: str) -> Any:
    place: Any = DOCUMENT
    for step in reference.removeprefix("#/").split("/"):
        place = place[step]
    return place


def references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        part = list(part.values())
    if isinstance(part, list):
        for each in part:
            yield from references(each)


def closed(payload: Json) -> Json:
    """The schema of a payload, by which a field that is not described is wrong."""
    if payload.get("type") == "string":
        return payload
    shape: Json = {"type": "object", "additionalProperties": False, "properties": {}}
    required = set[str]()
    for part in payload.get("allOf", [payload]):
        described = looked_up(part["$ref"]) if "$ref" in part else part
        shape["properties"].update(described["properties"])
        required |= set(described.get("required", ()))
    schemas = {
        name: {**schema, "additionalProperties": False}
        for name, schema in DOCUMENT["components"]["schemas"].items()
    }
    return {**shape, "required": sorted(required), "components": {"schemas": schemas}}


def assert_described(message: Json, payload: Any) -> None:
    Draft7Validator(closed(message["payload"])).validate(payload)


def assert_described_event(told: Json) -> None:
    """As a client of SSE has it: with the id before it, or None."""
    message = STREAM[told["type"]]
    payload = {name: value for name, value in told.items() if name != "id"}
    assert_described(message, payload)
    assert ("headers" in message) is (told["id"] is not None)


def named(messages: Sequence[Json]) -> list[str]:
    return [reference["$ref"].rpartition("/")[2] for reference in messages]


# The document


def test_it_is_what_asyncapi_says_that_a_document_is() -> None:
    assert [error.message for error in official().iter_errors(DOCUMENT)] == []


def test_the_vendored_schema_is_the_published_one() -> None:
    (checksum,) = re.findall(r"`([0-9a-f]{64})`", (VENDOR / "README.md").read_text())
    assert hashlib.sha256((VENDOR / "3.0.0.json").read_bytes()).hexdigest() == checksum
    assert "Apache License" in (VENDOR / "LICENSE").read_text()


def test_all_that_it_refers_to_is_in_it() -> None:
    found = set(references(DOCUMENT))
    assert len(found) > 40
    for reference in found:
        assert looked_up(reference), reference


def test_it_has_the_version_of_the_product() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert DOCUMENT["info"]["version"] == project["version"]


async def test_everybody_may_have_it_and_it_is_sent_once(
    locked: Doors, locked_http: httpx.AsyncClient
) -> None:
    reply = await locked_http.get("/asyncapi.json", headers={"Accept-Encoding": "gzip"})
    assert (reply.status_code, reply.json()) == (200, DOCUMENT)
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["content-encoding"] == "gzip"
    again = {"Accept-Encoding": "gzip", "If-None-Match": reply.headers["etag"]}
    assert (await locked_http.get("/asyncapi.json", headers=again)).status_code == 304


# What is in it


def test_each_kind_of_event_is_in_both_channels_and_nothing_else_is_in_a_stream() -> None:
    kinds = {kind.__name__.lower() for kind in get_args(StreamEvent)} | {"gone"}
    assert set(STREAM) == kinds
    assert kinds <= set(SOCKET)


def test_each_frame_can_be_sent_by_an_operation_of_its_own() -> None:
    types = [frame.model_fields["type"].annotation for frame in get_args(Frame)]
    kinds = {kind for annotation in types for kind in get_args(annotation)} | {"text"}
    received = {
        name: named(operation["messages"])
        for name, operation in OPERATIONS.items()
        if operation["action"] == "receive"
    }
    assert received == {kind: [kind] for kind in kinds}


def test_each_message_is_said_by_somebody() -> None:
    said = set(references([*OPERATIONS.values()]))
    assert said >= {f"#/channels/ws/messages/{name}" for name in SOCKET}
    assert said >= {f"#/channels/sse/messages/{name}" for name in STREAM}


def test_each_message_says_what_it_is() -> None:
    for message in (*SOCKET.values(), *STREAM.values()):
        assert message["summary"], message["name"]


@pytest.mark.parametrize("channel", ["ws", "sse"])
def test_each_message_has_examples_that_are_what_it_says(channel: str) -> None:
    for message in DOCUMENT["channels"][channel]["messages"].values():
        assert message["examples"], message["name"]
        for example in message["examples"]:
            assert_described(message, example["payload"])
            assert ("headers" in example) is ("headers" in message)


def test_the_codes_that_a_socket_is_closed_with_are_told() -> None:
    told = {each["code"] for each in DOCUMENT["channels"]["ws"]["x-close-codes"]}
    assert told >= {FAULT, COME_BACK_LATER, NOT_SIGNED_IN, NO_SUCH_SESSION, 1009, 1012}
    for code in told:
        assert f"| {code} |" in DOCUMENT["channels"]["ws"]["description"]


# What the code says


def test_the_protocols_events_are_all_kinds_that_there_are() -> None:
    assert {type(event) for event, _ in PROTOCOL} == set(get_args(StreamEvent))


@pytest.mark.parametrize(
    "event", [event for event, _ in PROTOCOL], ids=lambda event: type(event).__name__
)
def test_an_event_is_what_its_schema_says(event: StreamEvent) -> None:
    over = over_websocket(event)
    assert_described(SOCKET[over["type"]], over)
    assert_described(STREAM[over["type"]], over_sse(event))


async def test_a_conversation_says_nothing_that_is_not_described(doors: Doors) -> None:
    session = await doors.session()
    other = await doors.session("session_2")
    heard: list[Json] = []
    async with (
        websocket(doors.app, f"session_id={session}") as socket,
        event_source(doors.app, f"/sse/{session}") as stream,
    ):
        heard.append(await socket.hear())
        accepted = await socket.ask("why?")
        await doors.answer(accepted["generation_id"])
        heard += [accepted, *await socket.hear_many(4)]
        heard.append(await socket.ask({"type": "follow", "session_id": other}))
        heard.append(await socket.ask({"type": "unfollow", "session_id": other}))
        heard.append(await socket.ask({"type": "ping"}))
        heard.append(await socket.ask({"type": "none"}))
        heard.append(await socket.ask({"type": "send", "message": "", "client_message_id": "m-1"}))
        waiting = await socket.ask({"type": "send", "message": "so?", "client_message_id": "m-2"})
        socket.say({"type": "cancel", "generation_id": waiting["generation_id"]})
        heard += [waiting, *await socket.hear_many(2)]  # in either order
        doors.delete(session)
        await doors.watch()
        heard.append(await socket.hear())
        events = [*await stream.events(5), *await stream.rest()]
    for frame in heard:
        assert_described(SOCKET[frame["type"]], frame)
    for event in events:
        assert_described_event(event)
    assert {frame["type"] for frame in heard} == {
        *("session", "accepted", "start", "chunk", "done", "following", "unfollowed", "pong"),
        *("error", "cancelling", "stopped", "gone"),
    }
    assert [event["type"] for event in events] == [
        *("start", "chunk", "chunk", "done", "stopped", "gone")
    ]


async def test_who_may_not_come_in_is_told_so_by_the_frame_that_is_described(
    locked: Doors,
) -> None:
    async with websocket(locked.app) as socket:
        refused = await socket.hear()
    assert refused["error"]["code"] == NotSignedIn.code
    assert "error" in named(OPERATIONS["open"]["messages"])
    assert_described(SOCKET["error"], refused)


# What the code hears


EXAMPLES: Final = [
    (name, example["payload"])
    for name, operation in OPERATIONS.items()
    if operation["action"] == "receive"
    for example in SOCKET[name]["examples"]
]


@pytest.mark.parametrize(("name", "said"), EXAMPLES)
async def test_an_example_is_obeyed_and_answered_as_it_is_described(
    doors: Doors, name: str, said: Json | str
) -> None:
    """By a session with an answer in the middle of being written, and another one with a file."""
    user = await doors.local()
    doors.models.by_name["simulated"] = doors.model
    await add_session(doors.database, user, examples.SESSION)
    await add_session(doors.database, user, examples.ANOTHER)
    file = await add_file(doors.database, doors.files, user, examples.ANOTHER)
    assert file.id == FileId(1)
    await add_question(doors.database, user, examples.SESSION, generation_id=examples.GENERATION)
    claimed = await claim(doors.database, examples.GENERATION)
    assert claimed is not None
    writer = doors.stream.writer(examples.SESSION, claimed.fence)
    writer.write(Start(examples.GENERATION, 1, "simulated", examples.QUESTION))
    writer.write(Chunk(examples.GENERATION, "A counter"))
    async with websocket(doors.app, f"session_id={examples.SESSION}") as socket:
        await socket.hear_many(2)  # where it stands, and the answer so far
        if name == "unfollow":
            await socket.ask({"type": "follow", "session_id": examples.ANOTHER})
        answer = await socket.ask(said)
    assert answer["type"] != "error", answer
    assert answer["type"] in named(OPERATIONS[name]["reply"]["messages"])
    assert_described(SOCKET[answer["type"]], answer)
