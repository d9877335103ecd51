"""Crashes, restarts and load: nothing that was accepted is lost."""

import asyncio
import os
import signal
import socket as sockets
import sqlite3
from contextlib import AsyncExitStack, aclosing, closing, suppress
from pathlib import Path

import httpx
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

QUICK = {"LEASE_SECONDS": "3", "SWEEP_SECONDS": "0.5"}


async def ended(server: Process, generation_id: str) -> Json:
    """A generation once it has ended, as the database has it."""
    async with aclosing(sse(server, f"/api/chat/generations/{generation_id}/stream")) as events:
        await sse_until_last(events)
    async with server.http() as http:
        found: Json = (await http.get(f"/api/chat/generations/{generation_id}")).json()
    return found


async def answers_of(server: Process, session_id: str) -> list[Json]:
    async with server.http() as http:
        reply = await http.get(f"/api/chat/sessions/{session_id}/messages?limit=100")
    return [item for item in reply.json()["items"] if item["role"] == "assistant"]


async def test_after_a_crash_in_mid_answer_the_next_start_completes_it_without_any_client(
    tmp_path: Path,
) -> None:
    async with process(tmp_path, SIMULATED_DELAY="0.2", **QUICK) as server:
        async with server.websocket() as socket:
            session_id = (await hear(socket))["session_id"]
            await socket.send("Hello, LLM!")
            seen = (await hear_until(socket, "chunk"))[1:]
            await server.kill()
        await server.start()
        await server.says(f"answering {seen[0]['generation_id']}, attempt 2")
        cursor = seen[-1]["id"]
        async with server.websocket(f"?session_id={session_id}&last_event_id={cursor}") as socket:
            await hear(socket)
            seen += await hear_until(socket, "done")
        generation = await ended(server, seen[0]["generation_id"])
        answers = await answers_of(server, session_id)
    assert [event["type"] for event in seen].count("reset") == 1
    assert [event["type"] for event in seen].count("done") == 1
    assert (generation["status"], generation["attempt"]) == ("completed", 2)
    assert [answer["content"] for answer in answers] == [text_of(seen)]
    assert text_of(seen) == "".join(f"chunk {number}: Hello, LLM!" for number in range(1, 6))


async def test_a_message_that_was_stored_but_never_hinted_is_found(tmp_path: Path) -> None:
    """Accepted by a process that has no worker; then one with a worker starts."""
    async with process(tmp_path, "dev", **QUICK):
        pass
    async with process(tmp_path, "serve", **QUICK) as doors, doors.websocket() as socket:
        await hear(socket)
        await socket.send("Hello, LLM!")
        accepted = await hear(socket)
    async with process(tmp_path, "dev", SIMULATED_DELAY="0.01", **QUICK) as server:
        generation = await ended(server, accepted["generation_id"])
    assert (generation["status"], generation["attempt"]) == ("completed", 1)


async def test_doors_and_worker_in_two_processes_meet_in_the_database(tmp_path: Path) -> None:
    async with process(tmp_path):
        pass
    async with (
        process(tmp_path, "serve", WATCHDOG_SECONDS="0.5") as doors,
        process(tmp_path, "work", SIMULATED_DELAY="0.05", **QUICK),
        doors.websocket() as socket,
    ):
        await hear(socket)
        await socket.send("Hello, LLM!")
        frames = await hear_until(socket, "done")
    assert frames[-2]["type"] == "snapshot"
    assert text_of(frames).startswith("chunk 1: Hello, LLM!")


async def test_a_frozen_process_that_wakes_after_a_takeover_changes_nothing(tmp_path: Path) -> None:
    """Two workers on one file; the first is stopped past its lease."""
    async with (
        process(tmp_path, SIMULATED_DELAY="0.3", **QUICK) as frozen,
        frozen.websocket() as socket,
    ):
        session_id = (await hear(socket))["session_id"]
        await socket.send("Hello, LLM!")
        seen = (await hear_until(socket, "chunk"))[1:]
        assert frozen.running is not None
        os.kill(frozen.running.pid, signal.SIGSTOP)
        async with process(tmp_path, SIMULATED_DELAY="0.05", **QUICK) as other:
            await other.says(f"answering {seen[0]['generation_id']}, attempt 2")
            generation = await ended(other, seen[0]["generation_id"])
            os.kill(frozen.running.pid, signal.SIGCONT)
            await frozen.says(f"{generation['generation_id']} (is answered|was ended) by another")
            answers = await answers_of(other, session_id)
            again = await ended(other, generation["generation_id"])
        # who followed at the frozen process ends with the same text
        seen += await hear_until(socket, "done")
    assert (generation["status"], generation["attempt"]) == ("completed", 2)
    assert again == generation
    assert [answer["content"] for answer in answers] == [generation["text"]] == [text_of(seen)]


async def test_200_sessions_at_once_survive_a_restart_in_mid_answer(tmp_path: Path) -> None:
    """SIGTERM while all of them stream: what can't be finished in the grace is given back, and
    the next start completes it, exactly once."""
    settings = {"SIMULATED_DELAY": "0.1", "SIMULATED_CHUNKS": "60", "SHUTDOWN_GRACE": "1", **QUICK}
    count = 200
    async with process(tmp_path, **settings) as server:
        async with AsyncExitStack() as stack:
            sockets = [await stack.enter_async_context(server.websocket()) for _ in range(count)]
            sessions = [(await hear(socket))["session_id"] for socket in sockets]
            for socket in sockets:
                await say(socket, type="send", message="Tell me", model_name="simulated-long")
            seen = await asyncio.gather(*(hear_until(socket, "chunk") for socket in sockets))
            assert await server.terminate() == 0
            for socket in sockets:
                await socket.wait_closed()
            assert {socket.close_code for socket in sockets} == {1012}
        with closing(sqlite3.connect(tmp_path / "data" / "llm-chat.db")) as database:
            released = "SELECT count(*) FROM generations WHERE status = 'running' AND releases = 1"
            assert database.execute(released).fetchone() == (count,)
        await server.start()
        generations = await asyncio.gather(
            *(ended(server, events[0]["generation_id"]) for events in seen)
        )
        answers = await asyncio.gather(*(answers_of(server, each) for each in sessions))
    assert {generation["status"] for generation in generations} == {"completed"}
    for generation, kept in zip(generations, answers, strict=True):
        assert [answer["content"] for answer in kept] == [generation["text"]]
    assert len({generation["text"] for generation in generations}) == 1


async def test_an_answer_that_is_nearly_done_is_finished_in_the_grace(tmp_path: Path) -> None:
    async with process(tmp_path, SIMULATED_DELAY="0.1", SHUTDOWN_GRACE="30") as server:
        async with server.websocket() as socket:
            await hear(socket)
            await socket.send("Hello, LLM!")
            seen = await hear_until(socket, "chunk")
        assert await server.terminate() == 0
        assert "giving back" not in server.log
        await server.start()
        generation = await ended(server, seen[0]["generation_id"])
    assert (generation["status"], generation["attempt"]) == ("completed", 1)


async def test_a_second_signal_gives_the_answer_back_instead_of_dropping_it(
    tmp_path: Path,
) -> None:
    async with process(tmp_path, SIMULATED_DELAY="5", SHUTDOWN_GRACE="60") as server:
        async with server.websocket() as socket:
            await hear(socket)
            await socket.send("Hello, LLM!")
            accepted = (await hear_until(socket, "start"))[0]
        assert server.running is not None
        server.running.send_signal(signal.SIGTERM)
        with suppress(httpx.HTTPError):  # until nobody listens any more
            async with server.http() as http:
                while True:
                    await http.get("/healthz")
        assert await server.terminate() == 0
    with closing(sqlite3.connect(tmp_path / "data" / "llm-chat.db")) as database:
        rows = database.execute("SELECT id, status, releases FROM generations").fetchall()
    assert rows == [(accepted["generation_id"], "running", 1)]


async def test_who_reads_is_told_that_the_stream_ends(tmp_path: Path) -> None:
    """Not cut off: an SSE stream ends in good order when the process is asked to."""
    async with process(tmp_path) as server, server.http() as http:
        session_id = (await http.post("/api/chat/session", json={})).json()["session_id"]
        async with http.stream("GET", f"/sse/{session_id}") as reply:
            lines = reply.aiter_lines()
            assert await anext(lines) == "retry: 1000"
            assert await server.terminate() == 0
            assert {line async for line in lines} <= {"", ":"}
    assert "is cut" not in server.log


def socket_of_one_who_does_not_read() -> sockets.socket:
    made = sockets.socket()
    made.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
    return made


async def test_readers_who_do_not_read_delay_the_end_by_little_and_leave_no_traceback(
    tmp_path: Path,
) -> None:
    """10 MB each, more than the buffers hold. The fixture looks for tracebacks; that the process
    ends at all is the other half."""
    async with process(tmp_path, SIMULATED_DELAY="0", SHUTDOWN_GRACE="1") as server:
        async with server.websocket() as socket:
            session_id = (await hear(socket))["session_id"]
            for _ in range(16):
                await say(socket, type="send", message="😀" * 32_000)
                await hear_until(socket, "done")
        host, port = server.address.split(":")
        get = f"GET /sse/{session_id}?last_event_id=0-0 HTTP/1.1\r\nHost: x\r\n\r\n"
        stalled = [socket_of_one_who_does_not_read() for _ in range(4)]
        for connection in stalled:
            await asyncio.to_thread(connection.connect, (host, int(port)))
            connection.sendall(get.encode())
        await server.says(rf"(?s)(GET '/sse/{session_id}' 200.*){{4}}")
        assert await server.terminate() == 0
        for connection in stalled:
            connection.close()


async def test_an_unfinished_or_refused_upgrade_does_not_disturb_the_end(tmp_path: Path) -> None:
    async with process(tmp_path, SIMULATED_DELAY="0.2", SHUTDOWN_GRACE="30") as server:
        async with server.websocket() as socket:
            await hear(socket)
            await socket.send("Hello, LLM!")
            accepted = await hear(socket)
            host, port = server.address.split(":")
            head = b"GET /ws HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            connections = []
            for cookie in (b"Cookie: " + b"y" * 9_000 + b"\r\n\r\n", b""):
                reader, writer = await asyncio.open_connection(host, int(port))
                writer.write(head + cookie)
                connections.append((reader, writer))
            assert (await connections[0][0].readline()).startswith(b"HTTP/1.1 431 ")
            assert await server.terminate() == 0
        for _, writer in connections:
            writer.close()
        await server.start()
        generation = await ended(server, accepted["generation_id"])
    assert (generation["status"], generation["attempt"]) == ("completed", 1)


async def test_endless_headers_are_refused(tmp_path: Path) -> None:
    async with process(tmp_path) as server:
        host, port = server.address.split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        lines = [b"X-Header-%d: %b" % (number, b"x" * 100) for number in range(600)]
        writer.write(b"\r\n".join([b"GET /healthz HTTP/1.1", *lines]))
        assert (await reader.readline()).startswith(b"HTTP/1.1 431 ")
        writer.close()


@pytest.mark.parametrize(
    ("begun", "more"),
    [
        (b"2\r\n{}\r\n0\r\n", b"X-Trailer: %b\r\n" % (b"x" * 100) * 600),
        (b"2\r\n{}\r\n0\r\nX-Trailer: ", b"x" * 60_000),
        (b"2\r\n{}\r\n5;x=", b"x" * 60_000),
    ],
    ids=["trailers", "one trailer", "an extension of a chunk"],
)
async def test_what_goes_on_for_ever_behind_a_body_is_cut_off(
    tmp_path: Path, begun: bytes, more: bytes
) -> None:
    async with process(tmp_path) as server:
        host, port = server.address.split(":")
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(
            b"POST /api/chat/session HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        writer.write(begun)

        async def go_on() -> None:
            for _ in range(100):
                writer.write(more)
                await writer.drain()

        with pytest.raises(ConnectionError):
            await go_on()
        writer.close()


async def test_a_body_with_a_trailer_is_read(tmp_path: Path) -> None:
    async with process(tmp_path) as server:
        host, port = server.address.split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(
            b"POST /api/chat/session HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
            b'f\r\n{"title":"Ada"}\r\n0\r\nX-Checksum: 1\r\n\r\n'
        )
        assert (await reader.readline()).startswith(b"HTTP/1.1 201 ")
        writer.close()


async def test_long_bodies_on_one_connection_are_no_long_headers(tmp_path: Path) -> None:
    async with process(tmp_path) as server, server.http() as http:
        for _ in range(3):
            session = (await http.post("/api/chat/session", json={})).json()["session_id"]
            path = f"/api/chat/sessions/{session}/messages"
            reply = await http.post(path, json={"message": "😀" * 32_000})
            assert reply.status_code == 202


async def test_who_sends_requests_far_ahead_of_their_answers_is_cut_off(tmp_path: Path) -> None:
    async with process(tmp_path) as server:
        host, port = server.address.split(":")
        for ahead, cut in ((50, False), (5_000, True)):
            reader, writer = await asyncio.open_connection(host, int(port))
            with suppress(ConnectionError):
                writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * ahead)
                writer.write(b"GET /healthz HTTP/1.0\r\nHost: x\r\n\r\n")
                answers = (await reader.read()).count(b"HTTP/1.1 200 OK")
                assert (answers <= ahead) == cut
            writer.close()
