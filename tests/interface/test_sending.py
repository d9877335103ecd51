"""A message that is sent and answered in one request: as a whole, or as a stream."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx
import pytest

from application.ports import Request as QueuedRequest
from application.ports import TextPiece
from domain.errors import ModelFailed, ModelRateLimited, ModelTimedOut
from domain.identifiers import SessionId
from domain.message import MAX_MESSAGE_CHARACTERS
from tests.application.test_answer_message import Gate
from tests.fakes import FakeDatabase, says
from tests.interface.clients import (
    Connection,
    EventSource,
    Json,
    assert_problem,
    event_source,
    http_scope,
    problem_keys,
)
from tests.interface.conftest import NothingIsLeft
from tests.interface.doors import Doors, HeardQueue
from tests.interface.test_sessions import pointers, send
from tests.interface.test_sse import ids, kinds

WHOLE, STREAM = "/api/chat/message", "/api/chat/message/stream"
KEYS = {"session_id", "generation_id", "message", "finish_reason", "usage"}


def ask(
    http: httpx.AsyncClient, key: str | None = None, **body: object
) -> "asyncio.Task[httpx.Response]":
    """A request that waits for its answer."""
    headers = {"X-Request-ID": "request-42"}
    if key is not None:
        headers["Idempotency-Key"] = key
    return asyncio.create_task(http.post(WHOLE, json={"message": "why?", **body}, headers=headers))


@asynccontextmanager
async def asking(
    doors: Doors, key: str | None = None, **body: object
) -> AsyncIterator[EventSource]:
    """A request whose answer is followed as it is written."""
    headers = {} if key is None else {"Idempotency-Key": key}
    said = {"message": "why?", **body}
    async with event_source(doors.app, STREAM, "", headers, "POST", body=said) as stream:
        yield stream


# As a whole


async def test_an_answer_comes_back_whole(doors: Doors, http: httpx.AsyncClient) -> None:
    asked = ask(http)
    generation_id = await doors.queue.heard()
    assert doors.queue.requests[0].request_id == "request-42"
    await doors.answer(generation_id)
    reply = await asked
    assert reply.status_code == 200
    assert reply.headers["content-type"] == "application/json"
    answer = reply.json()
    assert answer.keys() == KEYS
    assert (answer["generation_id"], answer["finish_reason"]) == (generation_id, "stop")
    assert answer["usage"] == {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    history = await http.get(f"/api/chat/sessions/{answer['session_id']}/messages")
    question, stored = history.json()["items"]
    assert answer["message"] == stored
    assert (question["content"], stored["content"]) == ("why?", "Hello there")


async def test_a_message_goes_where_it_is_sent_and_as_it_is_wished(
    doors: Doors, http: httpx.AsyncClient, session: SessionId
) -> None:
    asked = ask(http, session_id=session, model_name="other", persona="teacher", file_ids=None)
    generation_id = await doors.queue.heard()
    generation = doors.database.state.rows[generation_id].generation
    assert generation.session_id == session
    assert (generation.model_name, generation.persona) == ("other", "teacher")
    await doors.answer(generation_id)
    assert (await asked).json()["session_id"] == session
    assert list(doors.database.state.sessions) == [session]


async def test_null_is_no_session_so_a_new_one_is_made(
    doors: Doors, http: httpx.AsyncClient, session: SessionId
) -> None:
    asked = ask(http, session_id=None)
    await doors.answer(await doors.queue.heard())
    made = (await asked).json()["session_id"]
    assert made != session
    assert (await http.get(f"/api/chat/sessions/{made}")).json()["title"] == "why?"


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (ModelFailed("The model is overloaded."), 502, "upstream_error"),
        (ModelTimedOut("Too slow."), 504, "upstream_timeout"),
        (ModelRateLimited("Too often."), 503, "upstream_rate_limited"),
        (ZeroDivisionError(), 500, "internal_error"),
    ],
)
@pytest.mark.parametrize("said", [(), (TextPiece("so far"),)])
async def test_a_failed_answer_is_a_problem_that_names_it(
    doors: Doors,
    http: httpx.AsyncClient,
    error: Exception,
    status: int,
    code: str,
    said: tuple[TextPiece, ...],
) -> None:
    doors.model.script = says(*said, then=error)
    asked = ask(http)
    generation_id = await doors.queue.heard()
    await doors.answer(generation_id)
    reply = await asked
    assert reply.status_code == status
    assert reply.headers["content-type"] == "application/problem+json"
    assert ("retry-after" in reply.headers) == (status == 503)
    shown = reply.json()
    assert shown.keys() == problem_keys() | {"session_id", "generation_id"}
    assert (shown["status"], shown["code"], shown["instance"]) == (status, code, WHOLE)
    assert shown["request_id"] == reply.headers["x-request-id"] == "request-42"
    assert shown["generation_id"] == generation_id
    assert (await http.get(f"/api/chat/sessions/{shown['session_id']}")).status_code == 200
    read = (await http.get(f"/api/chat/generations/{generation_id}")).json()
    assert (read["status"], read["text"]) == ("failed", "".join(piece.text for piece in said))


async def test_a_stopped_answer_is_what_was_said_so_far(
    doors: Doors, http: httpx.AsyncClient
) -> None:
    doors.model.script = gate = Gate()
    asked = ask(http)
    generation_id = await doors.queue.heard()
    answering = asyncio.create_task(doors.answer(generation_id))
    await gate.reached.wait()
    assert (await http.post(f"/api/chat/generations/{generation_id}/cancel")).status_code == 202
    await doors.renew()
    await answering
    reply = await asked
    assert reply.status_code == 200
    message = reply.json()["message"]
    assert (message["content"], message["status"]) == ("so far", "stopped")


async def test_one_that_is_stopped_while_it_waits_has_no_message(
    doors: Doors, http: httpx.AsyncClient
) -> None:
    asked = ask(http)
    generation_id = await doors.queue.heard()
    await http.post(f"/api/chat/generations/{generation_id}/cancel")
    reply = await asked
    assert reply.status_code == 200
    assert reply.json().keys() == KEYS
    assert reply.json()["message"] is None


async def test_an_answer_whose_session_is_deleted_meanwhile_is_not_there(
    doors: Doors, http: httpx.AsyncClient, session: SessionId, nothing_is_left: NothingIsLeft
) -> None:
    asked = ask(http, session_id=session)
    await doors.queue.heard()
    await http.delete(f"/api/chat/sessions/{session}")
    assert_problem(await asked, 404, "generation_not_found")
    await nothing_is_left()


async def test_who_waits_long_enough_learns_where_the_answer_will_be() -> None:
    doors = Doors(sync_timeout=0)
    transport = httpx.ASGITransport(doors.app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://chat") as http:
        reply = await ask(http, "key-1")
        assert reply.status_code == 504
        assert reply.headers["content-type"] == "application/problem+json"
        shown = reply.json()
        assert shown.keys() == problem_keys() | {"session_id", "generation_id"}
        assert (shown["code"], shown["status"], shown["instance"]) == ("answer_pending", 504, WHOLE)
        generation_id = await doors.queue.heard()
        assert shown["generation_id"] == generation_id
        assert list(doors.followers) == []
        await doors.answer(generation_id)
        read = (await http.get(f"/api/chat/generations/{generation_id}")).json()
        assert (read["session_id"], read["text"]) == (shown["session_id"], "Hello there")
        again = await ask(http, "key-1")
        assert (again.status_code, again.json()["generation_id"]) == (200, generation_id)
    doors.stream.close()


async def test_when_the_process_ends_who_waits_learns_where_the_answer_will_be(
    doors: Doors, http: httpx.AsyncClient, nothing_is_left: NothingIsLeft
) -> None:
    asked = ask(http)
    generation_id = await doors.queue.heard()
    await asyncio.sleep(0)
    doors.followers.end()
    reply = await asked
    assert (reply.status_code, reply.json()["generation_id"]) == (504, generation_id)
    await nothing_is_left()


async def test_a_repeat_waits_for_the_same_answer(
    doors: Doors, http: httpx.AsyncClient, nothing_is_left: NothingIsLeft
) -> None:
    asked = [ask(http, "key-1") for _ in range(3)]
    await doors.answer(await doors.queue.heard())
    first, *others = [await each for each in asked]
    late = await ask(http, "key-1")
    assert first.status_code == 200
    for reply in (*others, late):
        assert (reply.status_code, reply.json()) == (200, first.json())
    assert len(doors.database.state.sessions) == 1
    assert len(doors.database.state.messages) == 2
    assert len(doors.queue.requests) == 1
    for other in ({"message": "how?"}, {"session_id": first.json()["session_id"]}):
        assert_problem(await ask(http, "key-1", **other), 422, "idempotency_conflict")
    await nothing_is_left()


def connected(doors: Doors) -> Connection:
    """A request that waits for its answer, as its server sees it."""
    connection = Connection(fails_once_left=False)
    body = json.dumps({"message": "why?"}).encode()
    connection.tell({"type": "http.request", "body": body, "more_body": False})
    connection.call(doors.app, http_scope(WHOLE, method="POST"))
    return connection


async def test_a_client_that_stays_connected_is_not_listened_to_after_its_answer(
    doors: Doors, nothing_is_left: NothingIsLeft
) -> None:
    connection = connected(doors)
    await doors.answer(await doors.queue.heard())
    assert (await connection.told())["status"] == 200
    await connection.ended()
    await nothing_is_left()


async def test_a_client_that_does_not_wait_leaves_nothing_behind_and_its_answer_goes_on(
    doors: Doors, http: httpx.AsyncClient, nothing_is_left: NothingIsLeft
) -> None:
    connection = connected(doors)
    generation_id = await doors.queue.heard()
    connection.leave({"type": "http.disconnect"})
    await connection.ended()
    await nothing_is_left()
    await doors.answer(generation_id)
    read = (await http.get(f"/api/chat/generations/{generation_id}")).json()
    assert (read["status"], read["text"]) == ("completed", "Hello there")


# As a stream


async def test_an_answer_is_seen_from_its_first_event_to_its_last(
    doors: Doors, nothing_is_left: NothingIsLeft
) -> None:
    async with asking(doors) as stream:
        assert stream.status == 200
        assert stream.headers["content-type"].startswith("text/event-stream")
        assert stream.headers["cache-control"] == "no-store"
        generation_id = await doors.queue.heard()
        await doors.answer(generation_id)
        events = await stream.rest()
    assert ids(events) == ["1-0", "1-1", "1-2", "1-3"]
    assert kinds(events) == ["start", "chunk", "chunk", "done"]
    assert {event["generation_id"] for event in events} == {generation_id}
    assert events[0]["message"] == "why?"
    await nothing_is_left()


async def test_an_answer_that_began_before_it_is_followed_is_seen_whole(
    doors: Doors, session: SessionId
) -> None:
    async with asking(doors, "key-1", session_id=session):
        doors.model.script = gate = Gate()
        answering = asyncio.create_task(doors.answer(await doors.queue.heard()))
        await gate.reached.wait()
        async with asking(doors, "key-1", session_id=session) as again:
            early = await again.events(2)
            gate.open.set()
            await answering
            rest = await again.rest()
    assert kinds([*early, *rest]) == ["start", "chunk", "done"]


async def test_only_the_messages_own_answer_is_seen(doors: Doors, session: SessionId) -> None:
    await doors.answered(session, "before")
    await doors.queue.heard()
    first = await doors.ask(session, "one?")
    await doors.queue.heard()
    async with asking(doors, session_id=session) as stream:
        second = await doors.queue.heard()
        await doors.answer(first)
        await doors.answer(second)
        events = await stream.rest()
    assert ids(events) == [f"3-{seq}" for seq in range(4)]
    assert {event["generation_id"] for event in events} == {second}


async def test_a_failure_within_the_stream_is_its_last_event(doors: Doors) -> None:
    doors.model.script = says(TextPiece("so far"), then=ModelFailed("The model is overloaded."))
    async with asking(doors) as stream:
        await doors.answer(await doors.queue.heard())
        events = await stream.rest()
    assert kinds(events) == ["start", "chunk", "failed"]
    assert events[-1]["error"]["code"] == "upstream_error"


async def test_one_that_is_stopped_while_it_waits_is_a_stream_of_its_end(
    doors: Doors, http: httpx.AsyncClient
) -> None:
    async with asking(doors) as stream:
        generation_id = await doors.queue.heard()
        await http.post(f"/api/chat/generations/{generation_id}/cancel")
        assert kinds(await stream.rest()) == ["stopped"]


async def test_a_repeat_under_the_key_gives_the_same_events(
    doors: Doors, http: httpx.AsyncClient, nothing_is_left: NothingIsLeft
) -> None:
    async with asking(doors, "key-1") as stream, asking(doors, "key-1") as other:
        await doors.answer(await doors.queue.heard())
        events = await stream.rest()
        assert await other.rest() == events
    async with asking(doors, "key-1") as late:
        assert await late.rest() == events
    assert kinds(events) == ["start", "chunk", "chunk", "done"]
    assert len(doors.database.state.messages) == 2
    assert len(doors.queue.requests) == 1
    whole = await ask(http, "key-1")
    assert whole.json()["generation_id"] == events[0]["generation_id"]
    doors.stream.close()  # after a restart the database answers
    async with asking(doors, "key-1") as later:
        (snapshot, done) = await later.rest()
    assert (snapshot["type"], snapshot["text"]) == ("snapshot", "Hello there")
    assert (done["type"], done["id"]) == ("done", events[-1]["id"])
    await nothing_is_left()


async def test_a_client_that_leaves_the_stream_leaves_nothing_and_the_answer_goes_on(
    doors: Doors, http: httpx.AsyncClient, nothing_is_left: NothingIsLeft
) -> None:
    async with asking(doors) as stream:
        generation_id = await doors.queue.heard()
        stream.leave()
        await stream.connection.ended()
        await nothing_is_left()
    await doors.answer(generation_id)
    read = (await http.get(f"/api/chat/generations/{generation_id}")).json()
    assert (read["status"], read["text"]) == ("completed", "Hello there")


async def test_a_session_that_is_deleted_ends_the_stream(
    doors: Doors, http: httpx.AsyncClient, session: SessionId
) -> None:
    async with asking(doors, session_id=session) as stream:
        await doors.queue.heard()
        await http.delete(f"/api/chat/sessions/{session}")
        assert kinds(await stream.rest()) == ["gone"]


# When the database goes away after it has accepted the message


@dataclass
class Cutting(HeardQueue):
    """Its database is away for a moment once the message is accepted."""

    database: FakeDatabase = field(default_factory=FakeDatabase)

    async def put(self, request: QueuedRequest) -> None:
        await super().put(request)
        self.database.away = 1


@pytest.mark.parametrize("path", [WHOLE, STREAM])
async def test_who_was_accepted_is_not_told_to_send_again(path: str) -> None:
    queue = Cutting()
    doors = Doors(queue.database, queue=queue)
    transport = httpx.ASGITransport(doors.app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://chat") as http:
        reply = await http.post(path, json={"message": "why?"})
        assert reply.status_code == 504
        shown = reply.json()
        assert shown.keys() == problem_keys() | {"session_id", "generation_id"}
        assert (shown["code"], shown["instance"]) == ("answer_pending", path)
        assert shown["request_id"] == reply.headers["x-request-id"]
        assert shown["generation_id"] == await queue.heard()
        await doors.answer(shown["generation_id"])
        read = (await http.get(f"/api/chat/generations/{shown['generation_id']}")).json()
        assert (read["session_id"], read["text"]) == (shown["session_id"], "Hello there")
    assert list(doors.followers) == []
    doors.stream.close()


# What is refused, in either way


@pytest.mark.parametrize("path", [WHOLE, STREAM])
@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/message"),
        ({"message": " "}, "/message"),
        ({"message": 7}, "/message"),
        ({"message": "a" * (MAX_MESSAGE_CHARACTERS + 1)}, "/message"),
        ({"message": "why?", "session_id": 7}, "/session_id"),
        ({"message": "why?", "session_id": ["a"]}, "/session_id"),
        ({"message": "why?", "persona": ""}, "/persona"),
        ({"message": "why?", "file_ids": ["1"]}, "/file_ids/0"),
        ({"message": "why?", "stream": True}, "/stream"),
    ],
)
async def test_a_bad_message_is_pointed_at_and_makes_nothing(
    doors: Doors, http: httpx.AsyncClient, path: str, body: Json, pointer: str
) -> None:
    reply = await http.post(path, json=body)
    assert_problem(reply, 422, "invalid_request", flaws=True)
    assert pointers(reply) == [pointer]
    assert doors.database.state.sessions == {}
    assert doors.queue.requests == []


@pytest.mark.parametrize("path", [WHOLE, STREAM])
async def test_a_refusal_before_the_answer_is_a_problem(
    doors: Doors, http: httpx.AsyncClient, session: SessionId, path: str
) -> None:
    async def refused(key: str | None = None, **body: object) -> httpx.Response:
        headers = {} if key is None else {"Idempotency-Key": key}
        return await http.post(path, json={"message": "why?", **body}, headers=headers)

    for session_id in (await doors.foreign_session(), "none", "", "a b", "a" * 51):
        assert_problem(await refused(session_id=session_id), 404, "session_not_found")
    assert_problem(await refused(model_name="none"), 404, "model_not_found")
    assert_problem(await refused(persona="none"), 404, "persona_not_found")
    assert_problem(await refused(file_ids=[7]), 404, "file_not_found")
    assert_problem(await refused("a b"), 422, "invalid_request", flaws=True)
    assert doors.database.state.messages == []
    await send(http, session, "key-1")
    assert_problem(await refused("key-1", message="how?"), 422, "idempotency_conflict")
    for _ in range(8):
        await doors.ask(session)
    assert_problem(await refused(session_id=session), 409, "session_busy")
    doors.database.away = 1
    assert_problem(await refused(), 503, "database_unavailable")
    assert_problem(await http.post(path, content=b"["), 422, "invalid_request", flaws=True)
    assert_problem(await http.post(path, content=b" " * (2**20 + 1)), 413, "payload_too_large")
    for method in ("GET", "PUT"):
        assert_problem(await http.request(method, path), 405, "method_not_allowed")
