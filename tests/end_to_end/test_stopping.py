"""Answers are stopped and sessions deleted at any moment: one end each, and nothing left behind."""

import asyncio
import random
from collections import Counter
from pathlib import Path

import pytest

from tests.end_to_end.kept import Kept
from tests.end_to_end.processes import (
    PATIENCE,
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
from tests.upstream import Call, upstream

SEED = 20_261_125
ENDS = ("done", "stopped", "failed")
QUICK = {"LEASE_SECONDS": "3", "SWEEP_SECONDS": "0.5"}


async def slowly(call: Call) -> None:
    """An answer of a fifth of a second."""
    await call.begin()
    for number in range(20):
        await call.chunk(f"{number} ")
        await asyncio.sleep(0.01)
    await call.finish()
    await call.done()


async def endlessly(call: Call) -> None:
    await call.begin()
    await call.chunk("so far")
    await call.hang()


async def oracle(server: Process, session_id: str, generation_id: str, seen: list[Json]) -> str:
    """One terminal event, ids that rise, one text for who was there, who comes late and the
    database. How it ended."""
    own = [event for event in seen if event.get("generation_id") == generation_id and "id" in event]
    ids = [tuple(map(int, event["id"].split("-"))) for event in own]
    assert ids == sorted(set(ids))
    assert Counter(event["type"] in ENDS for event in own)[True] == 1
    late = await sse_until_last(sse(server, f"/api/chat/generations/{generation_id}/stream"))
    assert late[-1]["type"] == own[-1]["type"]
    async with server.http() as http:
        generation = (await http.get(f"/api/chat/generations/{generation_id}")).json()
        messages = (await http.get(f"/api/chat/sessions/{session_id}/messages")).json()["items"]
    stored = [each["content"] for each in messages if each["role"] == "assistant"]
    assert text_of(own) == text_of(late) == generation["text"] == "".join(stored)
    status: str = generation["status"]
    assert {"done": "completed"}.get(own[-1]["type"], own[-1]["type"]) == status
    return status


async def test_stopped_at_random_moments_each_answer_has_one_end(
    tmp_path: Path, kept: Kept
) -> None:
    """T32, the first half: 200 answers, each stopped twice, over two transports."""
    random_ = random.Random(SEED)
    async with upstream() as models:
        models.answers(slowly)
        env = {"OPENAI_BASE_URL": models.base_url, "OPENAI_MODEL": "slow", **QUICK, **kept.settings}
        async with process(tmp_path, **env) as server, server.http() as http:
            at_once = asyncio.Semaphore(40)

            async def one(delay: float) -> str:
                async with at_once, server.websocket() as socket:
                    session_id = (await hear(socket))["session_id"]
                    await socket.send("Talk")
                    accepted = await hear(socket)
                    generation_id = accepted["generation_id"]
                    await asyncio.sleep(delay)
                    await say(socket, type="cancel", generation_id=generation_id)
                    path = f"/api/chat/generations/{generation_id}/cancel"
                    cancelled = await http.post(path)
                    assert cancelled.status_code in (200, 202)
                    seen = await hear_until(socket, *ENDS)
                    if not any(frame["type"] == "cancelling" for frame in seen):
                        assert (await hear(socket))["type"] == "cancelling"
                    status = await oracle(server, session_id, generation_id, seen)
                    settled = await http.post(path)
                    assert settled.status_code == 200
                    assert settled.json()["status"] == status
                    return status

            delays = [random_.uniform(0, 0.3) for _ in range(200)]
            ends = Counter(await asyncio.gather(*(one(delay) for delay in delays)))
            assert ends["stopped"] > 0, f"seed {SEED}"
            assert ends.keys() <= {"stopped", "completed"}, f"seed {SEED}"
            async with asyncio.timeout(PATIENCE):
                await models.idle()
            assert len(models.calls) <= 200
    assert await kept.count("generations", "status IN ('queued', 'running')") == 0


async def test_deleted_at_random_moments_a_session_leaves_nothing(
    tmp_path: Path, kept: Kept
) -> None:
    """T32, the second half: 200 sessions, each deleted twice with an answer on its way."""
    random_ = random.Random(SEED + 1)
    async with upstream() as models:
        models.answers(slowly)
        env = {"OPENAI_BASE_URL": models.base_url, "OPENAI_MODEL": "slow", **QUICK, **kept.settings}
        async with process(tmp_path, **env) as server, server.http() as http:
            at_once = asyncio.Semaphore(40)

            async def one(delay: float) -> None:
                async with at_once, server.websocket() as socket:
                    session_id = (await hear(socket))["session_id"]
                    await socket.send("Talk")
                    generation_id = (await hear(socket))["generation_id"]
                    await asyncio.sleep(delay)
                    path = f"/api/chat/sessions/{session_id}"
                    replies = await asyncio.gather(http.delete(path), http.delete(path))
                    assert sorted(reply.status_code for reply in replies) == [204, 404]
                    seen = await hear_until(socket, "gone")
                    assert [frame["type"] in ENDS for frame in seen].count(True) <= 1
                    assert (await http.get(path)).status_code == 404
                    generation = f"/api/chat/generations/{generation_id}"
                    assert (await http.get(generation)).status_code == 404
                    assert (await http.post(f"{generation}/cancel")).status_code == 404
                    await socket.send("Anybody there?")
                    frame = await hear(socket)
                    assert frame["error"]["code"] == "session_not_found"

            await asyncio.gather(*(one(random_.uniform(0, 0.3)) for _ in range(200)))
            async with asyncio.timeout(PATIENCE):
                await models.idle()
            assert (await http.get("/api/chat/sessions")).json()["items"] == []
    assert await kept.count("chat_messages", "deleted_at IS NULL") == 0
    assert await kept.count("chat_sessions", "deleted_at IS NULL") == 0
    assert await kept.count("generations", "status IN ('queued', 'running')") == 0


async def test_a_stop_closes_the_call_to_the_model_and_keeps_the_text(
    tmp_path: Path, kept: Kept
) -> None:
    async with upstream() as models:
        models.answers(endlessly)
        env = {"OPENAI_BASE_URL": models.base_url, "OPENAI_MODEL": "endless", **kept.settings}
        async with process(tmp_path, **env) as server, server.websocket() as socket:
            session_id = (await hear(socket))["session_id"]
            await socket.send("Talk")
            accepted, *seen = await hear_until(socket, "chunk")
            await say(socket, type="cancel")
            seen += await hear_until(socket, "stopped")
            async with asyncio.timeout(PATIENCE):
                await models.calls[0].left.wait()
            assert seen[-1]["message_id"] is not None
            generation_id = accepted["generation_id"]
            assert await oracle(server, session_id, generation_id, seen) == "stopped"
            await say(socket, type="cancel")
            assert (await hear(socket))["error"]["code"] == "nothing_to_stop"


async def test_a_message_that_waits_is_stopped_at_once_and_every_tab_is_told(
    tmp_path: Path, kept: Kept
) -> None:
    """The answer in front of it steps aside for that event, and goes on."""
    async with upstream() as models:
        models.answers(endlessly)
        env = {"OPENAI_BASE_URL": models.base_url, "OPENAI_MODEL": "endless", **kept.settings}
        async with process(tmp_path, **env) as server, server.websocket() as socket:
            session_id = (await hear(socket))["session_id"]
            await socket.send("Talk")
            seen = await hear_until(socket, "chunk")
            running = seen[0]["generation_id"]
            async with (
                server.websocket(f"?session_id={session_id}") as tab,
                server.http() as http,
            ):
                before = await hear_until(tab, "snapshot", "chunk")
                path = f"/api/chat/sessions/{session_id}/messages"
                waiting = (await http.post(path, json={"message": "Wait"})).json()["generation_id"]
                behind = asyncio.create_task(
                    sse_until_last(sse(server, f"/api/chat/generations/{waiting}/stream"))
                )
                stopped = await http.post(f"/api/chat/generations/{waiting}/cancel")
                assert (stopped.status_code, stopped.json()["status"]) == (200, "stopped")
                for told in (await hear_until(socket, "stopped"), await hear_until(tab, "stopped")):
                    assert told[-1]["generation_id"] == waiting
                assert [event["type"] for event in await behind] == ["stopped"]
                goes_on = await hear_until(socket, "snapshot")
                assert goes_on[-1]["generation_id"] == running
                assert goes_on[-1]["text"] == "so far"
                await say(socket, type="cancel", generation_id=running)
                ends = [await hear_until(each, "stopped") for each in (socket, tab)]
                assert [end[-1]["generation_id"] for end in ends] == [running, running]
            seen += goes_on + ends[0]
            assert await oracle(server, session_id, running, seen) == "stopped"
            resumed = await resume(server, session_id, before[-1].get("id", "0-0"))
            kinds = [(event["type"], event["generation_id"]) for event in resumed]
            assert kinds.count(("stopped", waiting)) == 1
            assert kinds[-1] == ("stopped", running)


async def resume(server: Process, session_id: str, cursor: str) -> list[Json]:
    """What a session shows after a cursor, up to its last end."""
    seen: list[Json] = []
    async with server.http() as http:
        position = (await http.get(f"/api/chat/sessions/{session_id}/messages")).json()
    assert position["items"]
    async for event in sse(server, f"/sse/{session_id}", cursor):
        seen.append(event)
        if [each["type"] for each in seen].count("stopped") == 2:
            break
    return seen


@pytest.mark.parametrize("signal", ["kill", "terminate"])
async def test_a_stop_outlives_the_process_that_was_to_obey_it(
    tmp_path: Path, kept: Kept, signal: str
) -> None:
    """The wish is in the database: whoever finds the answer without a worker ends it."""
    env = {"SIMULATED_DELAY": "0.1", **QUICK, "SHUTDOWN_GRACE": "0", **kept.settings}
    async with process(tmp_path, **env) as server:
        async with server.websocket() as socket:
            session_id = (await hear(socket))["session_id"]
            await say(socket, type="send", message="Talk", model_name="simulated-long")
            generation_id = (await hear_until(socket, "chunk"))[0]["generation_id"]
            await getattr(server, signal)()
        await kept.do("UPDATE generations SET cancel_requested = true")
        await server.start()
        late = await sse_until_last(sse(server, f"/api/chat/generations/{generation_id}/stream"))
        assert late[-1]["type"] == "stopped"
        assert f"answering {generation_id}, attempt 2" not in server.log
        assert await oracle(server, session_id, generation_id, late) == "stopped"
