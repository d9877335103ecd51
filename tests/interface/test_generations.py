from collections.abc import AsyncGenerator

import httpx

from application.events import Chunk, Start
from application.ports import Piece, TextPiece
from domain.errors import ModelFailed
from domain.identifiers import SessionId
from domain.prompt import Prompt
from tests.interface.clients import assert_problem, problem_keys
from tests.interface.doors import Doors

KEYS = {
    "generation_id",
    "session_id",
    "status",
    "attempt",
    "text",
    "finish_reason",
    "usage",
    "error",
    "last_event_id",
    "created_at",
    "started_at",
    "ended_at",
}


async def half_an_answer(_: Prompt) -> AsyncGenerator[Piece, None]:
    yield TextPiece("Half")
    raise ModelFailed("The model is overloaded.")


async def test_a_generation_that_waits_has_nothing_to_show(
    doors: Doors, http: httpx.AsyncClient, session: SessionId
) -> None:
    generation_id = await doors.ask(session)
    read = (await http.get(f"/api/chat/generations/{generation_id}")).json()
    assert read.keys() >= KEYS
    assert (read["generation_id"], read["session_id"]) == (generation_id, session)
    assert (read["status"], read["attempt"], read["text"]) == ("queued", 0, "")
    for name in ("finish_reason", "usage", "error", "last_event_id", "started_at", "ended_at"):
        assert read[name] is None
    assert read["created_at"].endswith("Z")


async def test_a_running_generation_shows_its_text_so_far(
    doors: Doors, http: httpx.AsyncClient, session: SessionId
) -> None:
    running = await doors.running(session)
    path = f"/api/chat/generations/{running.generation_id}"
    read = (await http.get(path)).json()
    assert (read["status"], read["text"], read["last_event_id"]) == ("running", "", None)
    running.writer.write(Start(running.generation_id, 1, "scripted", "why?"))
    running.writer.write(Chunk(running.generation_id, "So "))
    running.writer.write(Chunk(running.generation_id, "far"))
    await running.writer.flush()
    read = (await http.get(path)).json()
    assert (read["status"], read["attempt"]) == ("running", 1)
    assert (read["text"], read["last_event_id"]) == ("So far", "1-2")
    assert read["started_at"].endswith("Z")
    assert read["ended_at"] is None


async def test_a_completed_generation_shows_its_answer(
    doors: Doors, http: httpx.AsyncClient, session: SessionId
) -> None:
    generation_id = await doors.answered(session)
    read = (await http.get(f"/api/chat/generations/{generation_id}")).json()
    assert (read["status"], read["attempt"], read["text"]) == ("completed", 1, "Hello there")
    assert (read["finish_reason"], read["last_event_id"]) == ("stop", "1-3")
    assert read["usage"] == {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    assert read["error"] is None
    assert read["created_at"] < read["started_at"] < read["ended_at"]


async def test_a_failed_generation_shows_a_problem_and_the_text_it_had(
    doors: Doors, http: httpx.AsyncClient, session: SessionId
) -> None:
    doors.model.script = half_an_answer
    generation_id = await doors.answered(session)
    path = f"/api/chat/generations/{generation_id}"
    read = (await http.get(path)).json()
    assert (read["status"], read["text"]) == ("failed", "Half")
    assert read["error"].keys() == problem_keys()
    assert (read["error"]["code"], read["error"]["status"]) == ("upstream_error", 502)
    assert read["error"]["detail"] == "The model is overloaded."
    assert read["error"]["instance"] == path
    assert read["error"]["request_id"] == "request-1"


async def test_an_unknown_generation_is_a_problem(http: httpx.AsyncClient) -> None:
    assert_problem(await http.get("/api/chat/generations/none"), 404, "generation_not_found")


async def test_a_foreign_generation_is_not_there(doors: Doors, http: httpx.AsyncClient) -> None:
    generation_id = await doors.foreign_question()
    reply = await http.get(f"/api/chat/generations/{generation_id}")
    assert_problem(reply, 404, "generation_not_found")
