"""Stopping an answer: over HTTP, and by a frame of a WebSocket."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from domain.identifiers import GenerationId, SessionId
from tests.application.test_answer_message import Gate
from tests.interface.clients import Json, Socket, assert_problem, event_source, websocket
from tests.interface.conftest import NothingIsLeft
from tests.interface.doors import Doors
from tests.interface.test_websocket import assert_error, told


@asynccontextmanager
async def answering(doors: Doors, session: SessionId) -> AsyncIterator[GenerationId]:
    """An answer that has said "so far", and must be stopped within."""
    doors.model.script = gate = Gate()
    generation_id = await doors.ask(session)
    task = asyncio.create_task(doors.answer(generation_id))
    await gate.reached.wait()
    yield generation_id
    await asyncio.wait_for(task, 10)
    assert gate.closed


async def cancel(http: httpx.AsyncClient, generation_id: str) -> httpx.Response:
    return await http.post(f"/api/chat/generations/{generation_id}/cancel")


# Over HTTP


async def test_one_that_waits_is_stopped_at_once(
    doors: Doors, http: httpx.AsyncClient, session: SessionId
) -> None:
    generation_id = await doors.ask(session)
    for _ in range(2):
        reply = await cancel(http, generation_id)
        assert reply.status_code == 200
        assert reply.json() == {"generation_id": generation_id, "status": "stopped"}
    read = (await http.get(f"/api/chat/generations/{generation_id}")).json()
    assert (read["status"], read["text"], read["last_event_id"]) == ("stopped", "", "1-0")
    assert (read["attempt"], read["started_at"], read["error"]) == (0, None, None)
    assert read["ended_at"].endswith("Z")
    shown = (await http.get(f"/api/chat/sessions/{session}")).json()
    assert (shown["active_generation"], shown["message_count"]) == (None, 1)


async def test_one_that_runs_is_about_to_stop_and_then_it_has(
    doors: Doors, http: httpx.AsyncClient, session: SessionId
) -> None:
    async with (
        event_source(doors.app, f"/sse/{session}") as stream,
        answering(doors, session) as generation_id,
    ):
        for _ in range(2):
            reply = await cancel(http, generation_id)
            assert reply.status_code == 202
            assert reply.json() == {"generation_id": generation_id, "status": "running"}
        await doors.renew.of_session(session)
        *_, last = await stream.events(3)
    for _ in range(2):
        reply = await cancel(http, generation_id)
        assert reply.status_code == 200
        assert reply.json() == {"generation_id": generation_id, "status": "stopped"}
    assert (last["type"], last["chunk"], last["is_last"]) == ("stopped", "", True)
    assert last["message_id"] == doors.database.state.messages[1].id
    items = (await http.get(f"/api/chat/sessions/{session}/messages")).json()["items"]
    assert (items[1]["content"], items[1]["status"]) == ("so far", "stopped")


async def test_what_has_ended_stays_as_it_is(
    doors: Doors, http: httpx.AsyncClient, session: SessionId
) -> None:
    generation_id = await doors.answered(session)
    path = f"/api/chat/generations/{generation_id}"
    before = (await http.get(path)).json()
    reply = await cancel(http, generation_id)
    assert (reply.status_code, reply.json()["status"]) == (200, "completed")
    assert (await http.get(path)).json() == before


async def test_what_is_foreign_unknown_or_impossible_is_not_there(
    doors: Doors, http: httpx.AsyncClient
) -> None:
    foreign = await doors.foreign_question()
    for generation_id in (foreign, "none", "a" * 51):
        assert_problem(await cancel(http, generation_id), 404, "generation_not_found")
    assert not doors.database.state.rows[foreign].generation.stop_requested


async def test_a_stop_is_posted_and_nothing_else(
    doors: Doors, http: httpx.AsyncClient, session: SessionId
) -> None:
    generation_id = await doors.ask(session)
    for method in ("GET", "DELETE", "PUT"):
        path = f"/api/chat/generations/{generation_id}/cancel"
        assert_problem(await http.request(method, path), 405, "method_not_allowed")


async def test_while_the_database_is_away_nothing_is_stopped(
    doors: Doors, http: httpx.AsyncClient, session: SessionId
) -> None:
    generation_id = await doors.ask(session)
    doors.database.away = 1
    assert_problem(await cancel(http, generation_id), 503, "database_unavailable")
    assert (await cancel(http, generation_id)).status_code == 200


async def test_who_follows_one_that_is_stopped_while_it_waits_is_told_and_the_stream_ends(
    doors: Doors, http: httpx.AsyncClient, session: SessionId, nothing_is_left: NothingIsLeft
) -> None:
    generation_id = await doors.ask(session)
    path = f"/api/chat/generations/{generation_id}/stream"
    async with event_source(doors.app, path) as stream:
        await cancel(http, generation_id)
        (event,) = await stream.rest()
    async with event_source(doors.app, path) as stream:
        assert await stream.rest() == [event]
    async with event_source(doors.app, path, f"last_event_id={event['id']}") as stream:
        assert stream.status == 204
    assert event == {
        "id": "1-0",
        "type": "stopped",
        "session_id": session,
        "generation_id": generation_id,
        "chunk": "",
        "is_last": True,
        "message_id": None,
        "usage": None,
    }
    await nothing_is_left()


# By a frame


async def cancelled(socket: Socket, frame: Json) -> list[Json]:
    """What is heard of a stop: the reply, and the end; either may come first."""
    socket.say({"type": "cancel", **frame})
    heard = await socket.hear_many(2)
    return sorted(heard, key=lambda each: str(each["type"]))


async def test_a_frame_stops_the_answer_that_it_names(doors: Doors, session: SessionId) -> None:
    async with websocket(doors.app, f"session_id={session}") as socket:
        await socket.hear()
        first, second = await doors.ask(session, "one?"), await doors.ask(session, "two?")
        reply, end = await cancelled(socket, {"generation_id": second})
        assert reply == {"type": "cancelling", "session_id": session, "generation_id": second}
        assert (end["type"], end["generation_id"]) == ("stopped", second)
        again = await socket.ask({"type": "cancel", "generation_id": second})
        assert again == reply
        await doors.answer(first)
        assert told(await socket.hear_many(4))[-1] == ("2-3", "done")
        late = await socket.ask({"type": "cancel", "generation_id": first})
        assert (late["type"], late["generation_id"]) == ("cancelling", first)
    assert doors.database.state.rows[first].generation.status == "completed"


async def test_a_frame_that_names_none_stops_the_answer_that_runs(
    doors: Doors, session: SessionId
) -> None:
    async with (
        websocket(doors.app, f"session_id={session}") as socket,
        answering(doors, session) as generation_id,
    ):
        await socket.hear()
        waiting = await doors.ask(session)
        assert [event["type"] for event in await socket.hear_many(2)] == ["start", "chunk"]
        reply = await socket.ask({"type": "cancel"})
        assert (reply["type"], reply["generation_id"]) == ("cancelling", generation_id)
        await doors.renew.of_session(session)
        end = await socket.hear()
        assert (end["type"], end["generation_id"]) == ("stopped", generation_id)
        reply, end = await cancelled(socket, {"generation_id": None})
        assert reply["generation_id"] == end["generation_id"] == waiting


async def test_a_frame_may_name_another_session(doors: Doors, session: SessionId) -> None:
    other = await doors.session("session_2")
    here, there = await doors.ask(session), await doors.ask(other)
    async with websocket(doors.app, f"session_id={session}") as socket:
        await socket.hear()
        reply = await socket.ask({"type": "cancel", "session_id": other})
        assert reply == {"type": "cancelling", "session_id": other, "generation_id": there}
        assert doors.database.state.rows[here].generation.status == "queued"
        await doors.session("session_3")
        far = await doors.ask(SessionId("session_3"))
        reply = await socket.ask({"type": "cancel", "generation_id": far})
        assert (reply["session_id"], reply["generation_id"]) == ("session_3", far)


async def test_where_nothing_is_answered_there_is_nothing_to_stop(
    doors: Doors, session: SessionId
) -> None:
    other = await doors.session("session_2")
    await doors.ask(other)
    async with websocket(doors.app, f"session_id={session}") as socket:
        await socket.hear()
        assert_error(await socket.ask({"type": "cancel"}), "nothing_to_stop")
        await doors.answered(session)
        await socket.hear_many(4)
        assert_error(await socket.ask({"type": "cancel"}), "nothing_to_stop")
        assert await socket.ask({"type": "ping"}) == {"type": "pong"}


async def test_a_frame_stops_nothing_that_is_foreign_or_unknown(
    doors: Doors, session: SessionId
) -> None:
    foreign = await doors.foreign_question()
    async with websocket(doors.app, f"session_id={session}") as socket:
        await socket.hear()
        for generation_id in (foreign, "none", "", "a b", "a" * 51):
            refused = await socket.ask({"type": "cancel", "generation_id": generation_id})
            assert_error(refused, "generation_not_found")
        for session_id in ("session_of_bob", "none", "", "a" * 51):
            refused = await socket.ask({"type": "cancel", "session_id": session_id})
            assert_error(refused, "session_not_found")
        assert await socket.ask({"type": "ping"}) == {"type": "pong"}
    assert not doors.database.state.rows[foreign].generation.stop_requested


@pytest.mark.parametrize(
    ("frame", "pointer"),
    [
        ({"generation_id": 7}, "/generation_id"),
        ({"generation_id": ["gen_1"]}, "/generation_id"),
        ({"generation_id": True}, "/generation_id"),
        ({"session_id": 7}, "/session_id"),
        ({"session_id": {}}, "/session_id"),
        ({"reason": "enough"}, "/reason"),
    ],
)
async def test_a_bad_frame_stops_nothing_and_the_connection_stays(
    doors: Doors, session: SessionId, frame: Json, pointer: str
) -> None:
    generation_id = await doors.ask(session)
    async with websocket(doors.app, f"session_id={session}") as socket:
        await socket.hear()
        refused = await socket.ask({"type": "cancel", **frame})
        assert_error(refused, "invalid_request", flaws=True)
        assert [flaw["pointer"] for flaw in refused["error"]["errors"]] == [pointer]
        assert await socket.ask({"type": "ping"}) == {"type": "pong"}
    assert not doors.database.state.rows[generation_id].generation.stop_requested
