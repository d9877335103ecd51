"""Changing, clearing and deleting a session, and having an answer given again."""

import asyncio

import httpx
import pytest

from domain.errors import ModelFailed
from domain.identifiers import SessionId
from tests.application.test_answer_message import Gate
from tests.fakes import says
from tests.interface.clients import assert_problem, event_source, websocket
from tests.interface.conftest import NothingIsLeft
from tests.interface.doors import Doors
from tests.interface.test_sessions import SESSION_KEYS, create, pointers, send


async def change(http: httpx.AsyncClient, session_id: str, /, **fields: object) -> httpx.Response:
    return await http.patch(f"/api/chat/sessions/{session_id}", json=fields)


async def regenerate(
    http: httpx.AsyncClient, session_id: str, fields: object = None, key: str | None = None
) -> httpx.Response:
    headers = {} if key is None else {"Idempotency-Key": key}
    return await http.post(
        f"/api/chat/sessions/{session_id}/regenerate", json=fields or {}, headers=headers
    )


async def history(http: httpx.AsyncClient, session_id: str) -> list[str]:
    reply = await http.get(f"/api/chat/sessions/{session_id}/messages")
    assert reply.status_code == 200
    return [item["content"] for item in reply.json()["items"]]


# Changing


async def test_what_is_changed_is_shown_and_kept(
    http: httpx.AsyncClient, session: SessionId
) -> None:
    reply = await change(http, session, title=" Fences ", model_name="other", persona="teacher")
    assert reply.status_code == 200
    changed = reply.json()
    assert changed.keys() == SESSION_KEYS
    assert (changed["session_id"], changed["title"]) == (session, "Fences")
    assert (changed["model_name"], changed["persona"]) == ("other", "teacher")
    assert (await http.get(f"/api/chat/sessions/{session}")).json() == changed


@pytest.mark.parametrize("name", ["title", "model_name", "persona"])
async def test_null_takes_a_choice_away_and_what_is_absent_stays(
    http: httpx.AsyncClient, name: str
) -> None:
    given = {"title": "Fences", "model_name": "other", "persona": "teacher"}
    made = (await create(http, **given)).json()
    reply = await change(http, made["session_id"], **{name: None})
    assert reply.status_code == 200
    changed = reply.json()
    assert {key: changed[key] for key in given} == {**given, name: None}
    same = await change(http, made["session_id"])
    assert {key: same.json()[key] for key in given} == {**given, name: None}


@pytest.mark.parametrize("prompt", ["Be brief.", "", None])
async def test_a_system_prompt_begins_the_conversation_anew(
    doors: Doors, http: httpx.AsyncClient, session: SessionId, prompt: str | None
) -> None:
    await doors.answered(session)
    renamed = (await change(http, session, title="Fences")).json()
    assert renamed["message_count"] == 2
    reply = await change(http, session, system_prompt=prompt)
    assert (reply.status_code, reply.json()["message_count"]) == (200, 0)
    assert await history(http, session) == []
    await doors.answered(session, "how?")
    said = [message.content for message in doors.model.prompts[-1].messages]
    assert said == [*filter(None, [prompt]), "how?"]


async def test_while_an_answer_is_written_only_the_conversation_must_stay(
    doors: Doors, http: httpx.AsyncClient, session: SessionId
) -> None:
    await doors.running(session)
    assert (await change(http, session, title="Fences", model_name="other")).status_code == 200
    assert_problem(await change(http, session, system_prompt="Brief."), 409, "session_busy")
    path = f"/api/chat/sessions/{session}/messages"
    assert_problem(await http.delete(path), 409, "session_busy")
    assert_problem(await regenerate(http, session), 409, "session_busy")
    assert await history(http, session) == ["why?"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("title", ""),
        ("title", " "),
        ("title", "a" * 201),
        ("title", "nul\x00"),
        ("title", 7),
        ("title", ["Fences"]),
        ("model_name", ""),
        ("model_name", "a" * 201),
        ("model_name", {"name": "other"}),
        ("persona", ""),
        ("persona", "a" * 101),
        ("persona", True),
        ("system_prompt", "a" * 32_001),
        ("system_prompt", "nul\x00"),
        ("system_prompt", 1.5),
        ("session_id", "another"),
        ("message_count", 0),
        ("a/b~c", 1),
    ],
)
async def test_a_change_that_breaks_a_rule_is_pointed_at_and_changes_nothing(
    http: httpx.AsyncClient, session: SessionId, field: str, value: object
) -> None:
    before = (await http.get(f"/api/chat/sessions/{session}")).json()
    reply = await change(http, session, **{"title": "new", field: value})
    assert_problem(reply, 422, "invalid_request", flaws=True)
    assert pointers(reply) == ["/" + field.replace("~", "~0").replace("/", "~1")]
    assert (await http.get(f"/api/chat/sessions/{session}")).json() == before


async def test_a_change_may_be_as_large_as_the_rules_say(
    http: httpx.AsyncClient, session: SessionId
) -> None:
    title, prompt = "é" * 200, "é" * 32_000
    reply = await change(http, session, title=title, system_prompt=prompt)
    assert (reply.status_code, reply.json()["title"]) == (200, title)


@pytest.mark.parametrize("body", [b"[]", b"null", b"{", b'"title"', b"[" * 100_000])
async def test_a_change_that_is_no_object_is_refused(
    http: httpx.AsyncClient, session: SessionId, body: bytes
) -> None:
    for method, path in (("PATCH", ""), ("POST", "/regenerate")):
        reply = await http.request(method, f"/api/chat/sessions/{session}{path}", content=body)
        assert_problem(reply, 422, "invalid_request", flaws=True)


async def test_a_huge_change_is_refused(http: httpx.AsyncClient, session: SessionId) -> None:
    reply = await change(http, session, system_prompt="a" * 1024 * 1024)
    assert_problem(reply, 413, "payload_too_large")
    reply = await change(http, session, **{f"k{n}": 1 for n in range(50_000)})
    assert_problem(reply, 422, "invalid_request", flaws=True)
    assert len(reply.json()["errors"]) == 1


async def test_what_does_not_exist_can_not_be_chosen(
    http: httpx.AsyncClient, session: SessionId
) -> None:
    assert_problem(await change(http, session, model_name="none"), 404, "model_not_found")
    assert_problem(await change(http, session, persona="none"), 404, "persona_not_found")


async def test_a_foreign_unknown_or_impossible_session_is_not_there(
    doors: Doors, http: httpx.AsyncClient
) -> None:
    for session_id in (await doors.foreign_session(), "none", "a b", "a" * 51):
        path = f"/api/chat/sessions/{session_id}"
        for reply in (
            await change(http, session_id, title="mine"),
            await http.delete(path),
            await http.delete(f"{path}/messages"),
            await regenerate(http, session_id),
        ):
            assert reply.status_code == 404
            assert reply.json()["code"] == "session_not_found"
    assert doors.happened == []


# Clearing and deleting


async def test_a_cleared_session_is_empty_and_goes_on(
    doors: Doors, http: httpx.AsyncClient, session: SessionId
) -> None:
    generation_id = await doors.answered(session)
    for _ in range(2):
        reply = await http.delete(f"/api/chat/sessions/{session}/messages")
        assert (reply.status_code, reply.content) == (204, b"")
    read = (await http.get(f"/api/chat/sessions/{session}")).json()
    assert (read["message_count"], read["title"]) == (0, "why?")
    assert await history(http, session) == []
    gone = await http.get(f"/api/chat/generations/{generation_id}")
    assert_problem(gone, 404, "generation_not_found")
    await doors.answered(session, "how?")
    assert await history(http, session) == ["how?", "Hello there"]


async def test_who_comes_back_to_a_cleared_session_is_shown_nothing_of_before(
    doors: Doors, http: httpx.AsyncClient, session: SessionId
) -> None:
    await doors.answered(session)
    await http.delete(f"/api/chat/sessions/{session}/messages")
    async with event_source(doors.app, f"/sse/{session}", "last_event_id=1-0") as stream:
        await doors.answered(session)
        event = await stream.event()
    assert event is not None
    assert event["id"] == "2-0"


async def test_a_deleted_session_is_gone_with_all_that_was_in_it(
    doors: Doors, http: httpx.AsyncClient, session: SessionId
) -> None:
    ended = await doors.answered(session)
    running = await doors.running(session)
    waiting = await doors.ask(session)
    path = f"/api/chat/sessions/{session}"
    reply = await http.delete(path)
    assert (reply.status_code, reply.content) == (204, b"")
    assert (await http.get("/api/chat/sessions")).json()["items"] == []
    for reply in (
        await http.get(path),
        await http.delete(path),
        await http.get(f"{path}/messages"),
        await send(http, session),
        await create(http, session_id=session),
    ):
        assert_problem(reply, 404, "session_not_found")
    for generation_id in (ended, running.generation_id, waiting):
        one = f"/api/chat/generations/{generation_id}"
        for reply in (await http.get(one), await http.post(f"{one}/cancel")):
            assert_problem(reply, 404, "generation_not_found")


async def test_who_follows_a_deleted_session_is_told_at_once_that_it_is_gone(
    doors: Doors, http: httpx.AsyncClient, session: SessionId, nothing_is_left: NothingIsLeft
) -> None:
    other = await doors.session("session_2")
    running = await doors.running(session)
    one = f"/api/chat/generations/{running.generation_id}/stream"
    gone = {"type": "gone", "session_id": session, "generation_id": None}
    async with (
        event_source(doors.app, f"/sse/{session}") as stream,
        event_source(doors.app, one) as answer,
        websocket(doors.app, f"session_id={session}") as socket,
        websocket(doors.app, f"session_id={other}") as elsewhere,
    ):
        await socket.hear()
        await elsewhere.hear()
        await http.delete(f"/api/chat/sessions/{session}")
        assert await stream.rest() == [{"id": None, **gone}]
        assert await answer.rest() == [{"id": None, **gone}]
        assert await socket.hear() == gone
        refused = await socket.ask("Anybody there?")
        assert refused["error"]["code"] == "session_not_found"
        assert await elsewhere.ask({"type": "ping"}) == {"type": "pong"}
        for each in (socket, elsewhere):
            each.leave()
            await each.connection.ended()
        await nothing_is_left()


async def test_an_answer_that_is_written_when_its_session_is_deleted_is_closed(
    doors: Doors, http: httpx.AsyncClient, session: SessionId, nothing_is_left: NothingIsLeft
) -> None:
    doors.model.script = gate = Gate()
    answering = asyncio.create_task(doors.answer(await doors.ask(session)))
    await gate.reached.wait()
    await http.delete(f"/api/chat/sessions/{session}")
    await doors.renew.of_session(session)
    await answering
    assert gate.closed
    assert list(await doors.stream.held(session)) == []
    await nothing_is_left()


# Giving an answer again


async def test_an_answer_is_given_again(
    doors: Doors, http: httpx.AsyncClient, session: SessionId
) -> None:
    former = await doors.answered(session)
    await doors.queue.heard()
    reply = await http.post(
        f"/api/chat/sessions/{session}/regenerate", headers={"X-Request-ID": "request-42"}
    )
    assert reply.status_code == 202
    accepted = reply.json()
    assert accepted.keys() >= {"session_id", "message_id", "generation_id", "status"}
    assert (accepted["session_id"], accepted["status"]) == (session, "queued")
    assert accepted["message_id"] == doors.database.state.messages[0].id
    assert accepted["generation_id"] == await doors.queue.heard() != former
    assert doors.queue.requests[-1].request_id == "request-42"
    assert await history(http, session) == ["why?"]
    await doors.answer(accepted["generation_id"])
    items = (await http.get(f"/api/chat/sessions/{session}/messages")).json()["items"]
    assert [item["generation_id"] for item in items] == [accepted["generation_id"]] * 2
    old = (await http.get(f"/api/chat/generations/{former}")).json()
    assert (old["status"], old["text"]) == ("completed", "Hello there")


async def test_an_answer_is_given_again_by_another_model_or_persona(
    doors: Doors, http: httpx.AsyncClient, session: SessionId
) -> None:
    await doors.answered(session)
    reply = await regenerate(http, session, {"model_name": "other", "persona": "teacher"})
    row = doors.database.state.rows[reply.json()["generation_id"]]
    assert (row.generation.model_name, row.generation.persona) == ("other", "teacher")


async def test_where_nothing_was_asked_nothing_is_given_again(
    http: httpx.AsyncClient, session: SessionId
) -> None:
    assert_problem(await regenerate(http, session), 409, "nothing_to_regenerate")


async def test_a_repeat_of_a_regeneration_under_its_key_is_the_same(
    doors: Doors, http: httpx.AsyncClient, session: SessionId
) -> None:
    await doors.answered(session)
    first = await regenerate(http, session, key="key-1")
    again = await regenerate(http, session, key="key-1")
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.json() == first.json()
    await doors.answer(first.json()["generation_id"])
    assert (await regenerate(http, session, key="key-1")).json() == first.json()
    for other in ({"persona": "teacher"}, {"model_name": "other"}):
        reply = await regenerate(http, session, other, "key-1")
        assert_problem(reply, 422, "idempotency_conflict")
    assert_problem(await send(http, session, "key-1"), 422, "idempotency_conflict")
    assert (await regenerate(http, session)).json() != first.json()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("model_name", ""),
        ("model_name", 7),
        ("persona", "a" * 101),
        ("message", "why?"),
        ("file_ids", []),
    ],
)
async def test_a_bad_regeneration_is_pointed_at_and_takes_nothing_away(
    doors: Doors, http: httpx.AsyncClient, session: SessionId, field: str, value: object
) -> None:
    await doors.answered(session)
    reply = await regenerate(http, session, {field: value})
    assert_problem(reply, 422, "invalid_request", flaws=True)
    assert pointers(reply) == [f"/{field}"]
    assert_problem(await regenerate(http, session, key="a b"), 422, "invalid_request", flaws=True)
    assert_problem(await regenerate(http, session, {"model_name": "none"}), 404, "model_not_found")
    assert_problem(await regenerate(http, session, {"persona": "none"}), 404, "persona_not_found")
    assert await history(http, session) == ["why?", "Hello there"]


async def test_a_failed_answer_without_text_is_given_again(
    doors: Doors, http: httpx.AsyncClient, session: SessionId
) -> None:
    doors.model.script = says(then=ModelFailed("The model is overloaded."))
    await doors.answered(session)
    assert await history(http, session) == ["why?"]
    assert (await regenerate(http, session)).status_code == 202
