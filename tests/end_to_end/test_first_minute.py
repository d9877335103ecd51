"""What a new user does in the first minute: real process, real sockets."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

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

CHUNKS = [f"chunk {number}: Hello, LLM!" for number in range(1, 6)]


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Process]:
    async with process(tmp_path, SIMULATED_DELAY="0.05") as made:
        yield made


def without_id(events: list[Json]) -> list[Json]:
    return [{name: value for name, value in event.items() if name != "id"} for event in events]


async def test_hello_shows_session_accepted_start_five_chunks_and_done(server: Process) -> None:
    async with server.websocket() as socket:
        opened = await hear(socket)
        assert (opened["type"], opened["last_event_id"]) == ("session", "0-0")
        await socket.send("Hello, LLM!")
        frames = await hear_until(socket, "done")
    assert [frame["type"] for frame in frames] == ["accepted", "start", *["chunk"] * 5, "done"]
    assert [frame["chunk"] for frame in frames[2:7]] == CHUNKS
    assert not any(frame["is_last"] for frame in frames[2:7])
    assert (frames[1]["message"], frames[1]["attempt"]) == ("Hello, LLM!", 1)
    done = frames[-1]
    assert (done["is_last"], done["chunk"], done["finish_reason"]) == (True, "", "stop")
    assert done["usage"]["total_tokens"] > 0
    assert {frame["session_id"] for frame in frames} == {opened["session_id"]}


async def test_sse_shows_the_same_events_with_the_same_ids(server: Process) -> None:
    async with server.websocket() as socket:
        session_id = (await hear(socket))["session_id"]
        async with aclosing(sse(server, f"/sse/{session_id}")) as events:
            heard = asyncio.create_task(sse_until_last(events))
            await server.says(f"GET '/sse/{session_id}' 200")
            await socket.send("Hello, LLM!")
            frames = await hear_until(socket, "done")
            assert await heard == frames[1:]


async def test_who_is_cut_off_and_comes_back_gets_exactly_the_rest(server: Process) -> None:
    async with server.websocket() as socket:
        session_id = (await hear(socket))["session_id"]
        await socket.send("Hello, LLM!")
        everything = (await hear_until(socket, "done"))[1:]
    for index, event in enumerate(everything[:-1]):
        rest = everything[index + 1 :]
        async with server.websocket(
            f"?session_id={session_id}&last_event_id={event['id']}"
        ) as back:
            assert (await hear(back))["last_event_id"] == event["id"]
            assert await hear_until(back, "done") == rest
        path = f"/sse/{session_id}"
        for stream in (
            sse(server, path, event["id"]),
            sse(server, path, last_event_id=event["id"]),
        ):
            async with aclosing(stream) as events:
                assert await sse_until_last(events) == rest


async def test_who_is_cut_off_in_mid_answer_goes_on_over_any_transport(server: Process) -> None:
    async with server.websocket() as socket:
        session_id = (await hear(socket))["session_id"]
        await socket.send("Hello, LLM!")
        seen = (await hear_until(socket, "chunk"))[1:]
    async with aclosing(sse(server, f"/sse/{session_id}", seen[-1]["id"])) as events:
        async for event in events:
            seen.append(event)
            break
    async with server.websocket(f"?session_id={session_id}&last_event_id={seen[-1]['id']}") as back:
        await hear(back)
        seen += await hear_until(back, "done")
    assert [event["type"] for event in seen] == ["start", *["chunk"] * 5, "done"]
    assert text_of(seen) == "".join(CHUNKS)


async def test_a_newcomer_in_mid_answer_gets_a_snapshot_and_the_rest(server: Process) -> None:
    async with server.websocket() as socket:
        session_id = (await hear(socket))["session_id"]
        await socket.send("Hello, LLM!")
        await hear_until(socket, "chunk")
        async with aclosing(sse(server, f"/sse/{session_id}")) as events:
            heard = await sse_until_last(events)
    assert heard[0]["type"] == "snapshot"
    assert heard[0]["recovered"] is True
    assert {event["type"] for event in heard[1:]} == {"chunk", "done"}
    assert text_of(heard) == "".join(CHUNKS)


async def test_resume_follow_and_unfollow_on_one_socket(server: Process) -> None:
    async with server.websocket() as one, server.websocket() as two:
        first, second = (await hear(one))["session_id"], (await hear(two))["session_id"]
        await one.send("Hello, LLM!")
        everything = await hear_until(one, "done")
        await say(one, type="resume", last_event_id=everything[2]["id"])
        assert await hear_until(one, "done") == everything[3:]
        await say(one, type="follow", session_id=second)
        assert await hear(one) == {
            "type": "following", "session_id": second, "last_event_id": "0-0",
        }  # fmt: skip
        await two.send("Hello, LLM!")
        theirs = await hear_until(two, "done")
        assert await hear_until(one, "done") == theirs[1:]
        await say(one, type="unfollow", session_id=second)
        assert (await hear(one))["type"] == "unfollowed"
        await say(one, type="send", session_id=second, message="Hello, LLM!")
        assert (await hear(one))["type"] == "accepted"
        await hear_until(two, "done")
        await say(one, type="ping")
        assert (await hear(one)) == {"type": "pong"}
        assert first != second


async def test_messages_sent_during_an_answer_are_answered_afterwards_in_order(
    server: Process,
) -> None:
    async with server.websocket() as socket:
        session_id = (await hear(socket))["session_id"]
        texts = [f"question {number}" for number in range(9)]
        for text in texts:
            await socket.send(text)
        frames: list[Json] = []
        while len([frame for frame in frames if frame["type"] == "done"]) < 9:
            frames.append(await hear(socket))
    starts = [frame["message"] for frame in frames if frame["type"] == "start"]
    assert starts == texts
    events = [frame for frame in frames if "id" in frame]
    ids = [tuple(int(part) for part in event["id"].split("-")) for event in events]
    assert ids == sorted(set(ids))
    async with server.http() as http:
        reply = (await http.get(f"/api/chat/sessions/{session_id}/messages")).json()
    asked = [item["content"] for item in reply["items"] if item["role"] == "user"]
    assert asked == texts
    assert [item["role"] for item in reply["items"]] == ["user", "assistant"] * 9


async def test_an_answer_goes_on_when_its_client_leaves(server: Process) -> None:
    async with server.websocket() as socket:
        session_id = (await hear(socket))["session_id"]
        await socket.send("Hello, LLM!")
        accepted = await hear(socket)
    path = f"/api/chat/generations/{accepted['generation_id']}"
    async with aclosing(sse(server, f"{path}/stream")) as events:
        heard = [event async for event in events]  # the stream ends by itself
    assert heard[-1]["type"] == "done"
    async with server.http() as http:
        generation = (await http.get(path)).json()
        messages = (await http.get(f"/api/chat/sessions/{session_id}/messages")).json()
    assert generation["status"] == "completed"
    assert generation["text"] == text_of(heard) == "".join(CHUNKS)
    assert generation["last_event_id"] == heard[-1]["id"]
    assert messages["items"][1]["content"] == generation["text"]
    assert messages["items"][1]["id"] == heard[-1]["message_id"]


async def test_over_http_alone(server: Process) -> None:
    async with server.http() as http:
        session = (await http.post("/api/chat/session", json={"model_name": "simulated"})).json()
        path = f"/api/chat/sessions/{session['session_id']}"
        reply = await http.post(f"{path}/messages", json={"message": "Hello, LLM!"})
        assert reply.status_code == 202
        accepted = reply.json()
        stream = f"/api/chat/generations/{accepted['generation_id']}/stream"
        async with aclosing(sse(server, stream)) as events:
            assert (await sse_until_last(events))[-1]["type"] == "done"
        listed = (await http.get("/api/chat/sessions")).json()["items"]
        assert listed[0]["message_count"] == 2
        assert listed[0]["title"] == "Hello, LLM!"
        assert listed[0]["active_generation"] is None
        assert (await http.get("/healthz")).json() == {"status": "ok"}
        assert (await http.get("/readyz")).status_code == 200
