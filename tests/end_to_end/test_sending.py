"""Messages sent over HTTP in every way, their repeats, and what a person does to a conversation."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.end_to_end.kept import Kept
from tests.end_to_end.processes import (
    Json,
    Process,
    hear,
    hear_until,
    process,
    say,
    sse,
    sse_until_last,
    text_of,
)
from tests.upstream import Call, Upstream, upstream

FIVE_CHUNKS = "".join(f"chunk {number}: Hello" for number in range(1, 6))


async def contents(http: httpx.AsyncClient, session_id: str) -> list[str]:
    reply = await http.get(f"/api/chat/sessions/{session_id}/messages?limit=100")
    return [item["content"] for item in reply.json()["items"]]


async def ended(server: Process, generation_id: str) -> list[Json]:
    return await sse_until_last(sse(server, f"/api/chat/generations/{generation_id}/stream"))


async def test_a_message_is_answered_whole_as_a_stream_or_later(tmp_path: Path, kept: Kept) -> None:
    env = {"SIMULATED_DELAY": "0.01", **kept.settings}
    async with process(tmp_path, **env) as server, server.http() as http:
        whole = await http.post("/api/chat/message", json={"message": "Hello"})
        assert whole.status_code == 200
        answer = whole.json()
        assert answer.keys() == {
            "session_id", "generation_id", "message", "finish_reason", "usage",
        }  # fmt: skip
        assert answer["message"]["content"] == FIVE_CHUNKS
        assert answer["message"]["role"] == "assistant"
        assert answer["finish_reason"] == "stop"
        body = {"message": "Hello", "session_id": answer["session_id"]}
        async with http.stream("POST", "/api/chat/message/stream", json=body) as reply:
            assert reply.status_code == 200
            assert reply.headers["content-type"].startswith("text/event-stream")
            lines = [line async for line in reply.aiter_lines() if line.startswith(("id", "data"))]
        assert [line[4:] for line in lines[::2]] == [f"2-{seq}" for seq in range(7)]
        assert '"type":"start"' in lines[1]
        assert '"type":"done"' in lines[-1]
        path = f"/api/chat/sessions/{answer['session_id']}/messages"
        later = await http.post(path, json={"message": "Hello"})
        assert later.status_code == 202
        await ended(server, later.json()["generation_id"])
        assert await contents(http, answer["session_id"]) == ["Hello", FIVE_CHUNKS] * 3


async def test_who_does_not_wait_so_long_finds_the_answer_later(tmp_path: Path) -> None:
    async with (
        process(tmp_path, SIMULATED_DELAY="0.2", SYNC_TIMEOUT="0.1") as server,
        server.http() as http,
    ):
        headers = {"Idempotency-Key": "once"}
        reply = await http.post("/api/chat/message", json={"message": "Hello"}, headers=headers)
        assert reply.status_code == 504
        pending = reply.json()
        assert pending["code"] == "answer_pending"
        events = await ended(server, pending["generation_id"])
        assert text_of(events) == FIVE_CHUNKS
        again = await http.post("/api/chat/message", json={"message": "Hello"}, headers=headers)
        assert again.status_code == 200
        assert again.json()["generation_id"] == pending["generation_id"]
        assert again.json()["message"]["content"] == FIVE_CHUNKS


async def test_equal_sends_to_two_processes_make_one_message(tmp_path: Path, kept: Kept) -> None:
    """T29"""
    env = {"SIMULATED_DELAY": "0.02", **kept.settings}
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    async with (
        process(tmp_path / "one", **env) as one,
        process(tmp_path / "two", **env) as two,
        one.http() as first,
        two.http() as second,
    ):
        headers = {"Idempotency-Key": "the-same"}

        async def send(http: httpx.AsyncClient) -> Json:
            body = {"message": "Hello"}
            reply = await http.post("/api/chat/message", json=body, headers=headers)
            assert reply.status_code == 200, reply.text
            answer: Json = reply.json()
            return answer

        answers = await asyncio.gather(*(send([first, second][n % 2]) for n in range(50)))
        assert all(answer == answers[0] for answer in answers)
        assert await contents(first, answers[0]["session_id"]) == ["Hello", FIVE_CHUNKS]
        sessions = (await second.get("/api/chat/sessions")).json()["items"]
        assert len(sessions) == 1
        conflict = await first.post("/api/chat/message", json={"message": "Else"}, headers=headers)
        assert (conflict.status_code, conflict.json()["code"]) == (422, "idempotency_conflict")


async def test_many_sends_in_one_session_are_answered_in_order_up_to_the_limit(
    tmp_path: Path, kept: Kept
) -> None:
    """T31"""
    env = {"SIMULATED_DELAY": "0.02", **kept.settings}
    async with process(tmp_path, **env) as server, server.http() as http:
        await http.post("/api/chat/session", json={"session_id": "busy"})
        long = {"message": "Talk", "model_name": "simulated-long"}
        first = (await http.post("/api/chat/sessions/busy/messages", json=long)).json()
        async with server.websocket("?session_id=busy") as socket:
            await hear(socket)
            await hear_until(socket, "snapshot", "start")  # it is running, so eight may wait

            async def send(number: int) -> httpx.Response:
                body = {"message": f"number {number}"}
                return await http.post("/api/chat/sessions/busy/messages", json=body)

            replies = await asyncio.gather(*(send(number) for number in range(20)))
            statuses = Counter(reply.status_code for reply in replies)
            assert statuses == {202: 8, 409: 12}
            assert {r.json()["code"] for r in replies if r.status_code == 409} == {"session_busy"}
            await say(socket, type="cancel", generation_id=first["generation_id"])
            accepted = [reply.json() for reply in replies if reply.status_code == 202]
            accepted.sort(key=lambda each: each["message_id"])
            ends: list[Json] = []
            while len(ends) < 9:
                ends.append((await hear_until(socket, "done", "stopped"))[-1])
        assert [end["generation_id"] for end in ends] == [
            each["generation_id"] for each in (first, *accepted)
        ]
        questions = (await contents(http, "busy"))[0::2]
        assert questions[0] == "Talk"
        assert len(questions) == 9


@pytest.fixture
async def names() -> Any:
    """A model that says what it was told of the conversation."""

    async def recite(call: Call) -> None:
        told = " | ".join(f"{m['role']}: {m['content']}" for m in call.body["messages"])
        await call.begin()
        await call.chunk(told)
        await call.finish()
        await call.done()

    async with upstream() as server:
        server.answers(recite)
        yield server


async def test_a_conversation_is_told_regenerated_begun_anew_and_cleared(
    tmp_path: Path, kept: Kept, names: Upstream
) -> None:
    env = {"OPENAI_BASE_URL": names.base_url, "OPENAI_MODEL": "reciter", **kept.settings}
    async with process(tmp_path, **env) as server, server.http() as http:
        await http.post("/api/chat/session", json={"session_id": "s", "system_prompt": "Be brief."})

        async def ask(text: str) -> str:
            body = {"message": text, "session_id": "s"}
            reply = await http.post("/api/chat/message", json=body)
            said: str = reply.json()["message"]["content"]
            return said

        body = {"message": "Once", "session_id": "s"}
        headers = {"Idempotency-Key": "once"}
        once = await http.post("/api/chat/message", json=body, headers=headers)
        again = await http.post("/api/chat/sessions/s/regenerate")
        await ended(server, again.json()["generation_id"])
        repeat = await http.post("/api/chat/message", json=body, headers=headers)
        assert repeat.json() == once.json()  # also when another answer has taken its place
        await http.delete("/api/chat/sessions/s/messages")

        first = await ask("My name is Ada.")
        assert first == "system: Be brief. | user: My name is Ada."
        second = await ask("Who am I?")
        assert second == f"{first} | assistant: {first} | user: Who am I?"

        again = await http.post("/api/chat/sessions/s/regenerate", json={})
        assert again.status_code == 202
        assert text_of(await ended(server, again.json()["generation_id"])) == second
        history = (await http.get("/api/chat/sessions/s/messages")).json()["items"]
        assert [item["content"] for item in history] == [
            "My name is Ada.", first, "Who am I?", second,
        ]  # fmt: skip
        assert history[3]["generation_id"] == again.json()["generation_id"]
        assert (await http.get("/api/chat/sessions/s")).json()["message_count"] == 4

        renamed = await http.patch("/api/chat/sessions/s", json={"title": "Names"})
        assert renamed.json()["title"] == "Names"
        assert len(await contents(http, "s")) == 4
        anew = await http.patch("/api/chat/sessions/s", json={"system_prompt": "Be long."})
        assert (anew.status_code, anew.json()["message_count"]) == (200, 0)
        assert await ask("Who am I?") == "system: Be long. | user: Who am I?"

        cleared = await http.delete("/api/chat/sessions/s/messages")
        assert cleared.status_code == 204
        assert await contents(http, "s") == []
        assert await ask("And now?") == "system: Be long. | user: And now?"
        nothing = await http.post("/api/chat/session", json={"session_id": "empty"})
        assert nothing.status_code == 201
        refused = await http.post("/api/chat/sessions/empty/regenerate")
        assert (refused.status_code, refused.json()["code"]) == (409, "nothing_to_regenerate")


async def test_an_edited_personas_file_is_picked_up_and_a_bad_one_is_not(
    tmp_path: Path, names: Upstream
) -> None:
    personas = tmp_path / "style.yaml"
    personas.write_text("- {name: cat, content: Meow.}\n- {name: dog, content: Woof.}\n")
    env = {"OPENAI_BASE_URL": names.base_url, "OPENAI_MODEL": "reciter"}
    async with (
        process(tmp_path, PERSONAS_FILE=str(personas), **env) as server,
        server.http() as http,
    ):

        async def ask(**wishes: str) -> str:
            reply = await http.post("/api/chat/message", json={"message": "Hi", **wishes})
            said: str = reply.json()["message"]["content"]
            return said

        async def listed() -> Any:
            return (await http.get("/api/personas/")).json()

        assert await listed() == {"personas": ["cat", "dog"], "default": "cat"}
        assert await ask() == "system: Meow. | user: Hi"
        assert await ask(persona="dog") == "system: Woof. | user: Hi"
        chosen = await http.put("/api/personas/default", json={"name": "dog"})
        assert chosen.status_code == 204
        assert (await listed())["default"] == "dog"
        assert await ask() == "system: Woof. | user: Hi"

        seen = len(server.log)
        personas.write_text("- {name: dog, content: Wuff.}\n- {name: owl, content: Hoo.}\n")
        await server.says("was read again", seen)
        assert await ask() == "system: Wuff. | user: Hi"
        seen = len(server.log)
        personas.write_text("- {name: dog\n")
        await server.says("go on to hold", seen)
        assert await listed() == {"personas": ["dog", "owl"], "default": "dog"}
        seen = len(server.log)
        personas.write_text("- {name: owl, content: Hoo.}\n")
        await server.says("was read again", seen)
        assert await listed() == {"personas": ["owl"], "default": "owl"}
        assert await ask() == "system: Hoo. | user: Hi"
