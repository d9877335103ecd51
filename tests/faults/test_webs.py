"""What happens to web processes and to who is connected with them: T07 to T11, T17, T33."""

import asyncio
import base64
import re
import socket as sockets
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from tests.end_to_end.processes import Json, hear, hear_until, say
from tests.faults.case import CHUNKS, Case
from tests.faults.oracle import Question, Rule, until
from tests.faults.readers import Reader
from tests.faults.scripted_model import Script
from tests.faults.stack import SETTINGS, WORKERS, L, Place

pytestmark = pytest.mark.asyncio(loop_scope="package")

ONE = ("",)
GRACE = float(SETTINGS["SHUTDOWN_GRACE"])


async def ask_and_leave(run: Case, door: str, prompt: tuple[str, Script]) -> Question:
    """The connection ends right after the answer was promised, without a goodbye."""
    session_id = await run.session(readers=False)
    text, script = prompt
    web = run.stack.web
    if door == "ws":
        async with web.websocket(f"?session_id={session_id}") as socket:
            await hear(socket)
            await say(socket, type="send", message=text)
            accepted = (await hear_until(socket, "accepted"))[-1]
            socket.transport.abort()
        return run.accepted(session_id, accepted["generation_id"], text, script)
    body = {"session_id": session_id, "message": text}
    async with (
        web.http() as http,
        http.stream("POST", "/api/chat/message/stream", json=body) as reply,
    ):
        assert reply.status_code == 200
        async for line in reply.aiter_lines():
            if line.startswith("data: "):
                break
    async with web.http() as http:
        session: Json = (await http.get(f"/api/chat/sessions/{session_id}")).json()
    active = session["active_generation"]
    return run.accepted(session_id, active["generation_id"], text, script)


@pytest.mark.fault("T07", limit=L, runs=3)
async def test_the_client_leaves_right_after_it_was_accepted(run: Case) -> None:
    await run.stack.be(workers=ONE)
    for door in ("ws", "sse"):
        await ask_and_leave(run, door, run.script(chunks=20))
    assert await run.violations() == []


@pytest.mark.fault("T07")
async def test_the_client_leaves_and_that_stops_the_answer(run: Case) -> None:
    await run.stack.be(webs=("leaving",), workers=ONE)
    text, script = run.script()
    script.hold(1, CHUNKS)
    question = await ask_and_leave(run, "ws", (text, script))
    await run.is_stored(question, "stopped")
    assert await run.broken(within=L) == {Rule.ENDS}


@pytest.mark.fault("T08", limit=L, runs=5)
async def test_a_web_process_is_killed(run: Case) -> None:
    await run.stack.be(workers=ONE)
    question, hold = await run.in_mid_answer(CHUNKS // 2)
    await run.all_hear(question, lambda reader: len(reader.seen) > 1)
    await run.stack.webs[run.seed % 2].kill()
    hold.go_on.set()
    assert await run.violations() == []
    assert [reader.cuts > 0 for reader in run.live(question)].count(True) == 1


@pytest.mark.fault("T08")
async def test_a_web_process_is_killed_and_nothing_is_shown_again(run: Case) -> None:
    """What is said while the reader is nowhere is what it never sees."""
    await run.stack.be(webs=("", "replay"), workers=ONE)
    question, hold = await run.in_mid_answer(2, readers=False)
    there = [run.stack.webs[0].up]
    reader = Reader("live", lambda: there, question.session_id, "ws")
    await run.follow(reader)
    await run.all_hear(question, lambda reader: len(reader.seen) > 1)
    there.clear()
    await run.stack.webs[0].kill()
    reader.connected.clear()
    last = question.script.hold(1, CHUNKS - 1)
    hold.go_on.set()
    await last.reached.wait()
    there.append(run.stack.webs[1].up)
    await reader.connected.wait()
    last.go_on.set()
    assert await run.broken(within=L) >= {Rule.SHOWN}


async def accepted_and_not_hinted(run: Case, key: str) -> None:
    """The web process dies between the commit and the hint; who asked is told nothing."""
    session_id = await run.session(readers=False)
    text, script = run.script()
    path, body = f"/api/chat/sessions/{session_id}/messages", {"message": text}
    headers = {"Idempotency-Key": key}
    async with run.stack.webs[0].up.http() as http:
        asking = asyncio.create_task(http.post(path, json=body, headers=headers))
        await run.stack.webs[0].stops_at("before the hint")
        await run.stack.webs[0].kill()
        with pytest.raises(httpx.TransportError):
            await asking
    async with run.stack.webs[1].up.http() as http:
        reply = await http.post(path, json=body, headers=headers)
    assert reply.status_code == 202
    run.accepted(session_id, reply.json()["generation_id"], text, script)


@pytest.mark.fault("T09", limit=L, runs=3)
async def test_a_web_process_is_killed_between_the_commit_and_the_hint(run: Case) -> None:
    await run.stack.be(webs=("stop_before_hint", ""), workers=ONE)
    await accepted_and_not_hinted(run, f"key-{run.seed}")
    assert await run.violations() == []


@pytest.mark.fault("T09")
async def test_a_web_process_is_killed_before_the_hint_and_nobody_sweeps(run: Case) -> None:
    await run.stack.be(webs=("stop_before_hint", ""), workers=("sweeper",))
    await accepted_and_not_hinted(run, f"no-{run.seed}")
    assert await run.broken(within=L) >= {Rule.ENDS}


async def restart(place: Place) -> float:
    """Returns after how many seconds it was gone."""
    began = time.monotonic()
    assert await place.up.terminate() == 0
    gone = time.monotonic() - began
    await place.start(place.without)
    return gone


@pytest.mark.fault("T10", limit=15, runs=2)
async def test_everything_is_restarted_under_50_streams(run: Case) -> None:
    await run.stack.be()
    for number in range(50):
        session_id = await run.session(readers=False)
        door = ("ws", "sse")[number % 2]
        await run.follow(Reader(f"{number}", run.stack.up_webs, session_id, door, number))
        question = await run.ask(session_id, prompt=run.script(chunks=60, pace=0.1))
        question.calls = 1 + WORKERS
    for place in run.stack.places:
        run.worst = max(run.worst, await restart(place))
    assert await run.violations(timed=False) == []


@pytest.mark.fault("T10")
async def test_a_worker_is_restarted_again_and_again_and_that_counts(run: Case) -> None:
    """Two releases are behind it, and it is given back once more."""
    await run.stack.be(webs=ONE, workers=("releases",))
    question, _ = await run.in_mid_answer(1, readers=False)
    question.calls = 2
    await run.stack.sql("UPDATE generations SET attempt = 3, releases = 2 WHERE status = 'running'")
    await restart(run.stack.workers[0])
    assert await run.broken(within=L) >= {Rule.ENDS}


async def stall(closing: AsyncExitStack, web: Place, request: str) -> None:
    """Asks, and never reads."""
    made = closing.enter_context(sockets.socket())
    made.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
    # With the large segments of loopback the kernel would take megabytes for it.
    made.setsockopt(sockets.IPPROTO_TCP, sockets.TCP_MAXSEG, 536)
    host, port = web.up.address.split(":")
    await asyncio.to_thread(made.connect, (host, int(port)))
    made.sendall(f"{request}\r\nHost: x\r\n\r\n".encode())


async def stall_over_both_doors(
    closing: AsyncExitStack, web: Place, session_id: str, cursor: str = ""
) -> None:
    key = base64.b64encode(bytes(16)).decode()
    upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13"
    query = f"session_id={session_id}&last_event_id={cursor}"
    await stall(closing, web, f"GET /sse/{session_id}?last_event_id={cursor} HTTP/1.1")
    ws = f"GET /ws?{query} HTTP/1.1\r\n{upgrade}\r\nSec-WebSocket-Key: {key}"
    await stall(closing, web, ws)


async def stalled_readers(run: Case, closing: AsyncExitStack) -> None:
    """Two over each door, with far more to read than buffers hold: 6 MB each."""
    session_id = await run.session(readers=False)
    last = [
        await run.ask(session_id, prompt=run.script(chunks=4, pace=0, size=200_000))
        for _ in range(8)
    ][-1]
    async with (
        run.stack.web.http() as http,
        http.stream("GET", f"/api/chat/generations/{last.generation_id}/stream") as reply,
    ):
        await reply.aread()
    run.questions.clear()  # to read them all again would take the oracle its time
    for _ in range(2):
        await stall_over_both_doors(closing, run.stack.webs[0], session_id, "0-0")
    await asyncio.sleep(1)  # nobody says that buffers are full


@pytest.mark.fault("T11", limit=GRACE + 2, runs=2)
async def test_a_web_process_ends_with_readers_who_do_not_read(run: Case) -> None:
    await run.stack.be(workers=ONE)
    async with AsyncExitStack() as closing:
        await stalled_readers(run, closing)
        _, hold = await run.in_mid_answer(CHUNKS // 2)
        async with run.timed():
            assert await run.stack.webs[0].up.terminate() == 0
    hold.go_on.set()
    assert await run.violations(timed=False) == []


@pytest.mark.fault("T11")
async def test_a_web_process_waits_for_readers_who_do_not_read(run: Case) -> None:
    await run.stack.be(webs=("end_of_streams",), workers=ONE)
    async with AsyncExitStack() as closing:
        await stalled_readers(run, closing)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(GRACE + 2):
                await run.stack.webs[0].up.terminate()
        await run.stack.webs[0].kill()


STALLED = 100
"""Over each door."""
MOST_MEMORY = 50e6
"""Bytes, for all of them."""


def most_memory(place: Place) -> int:
    """Bytes that were resident at a time, since this was asked last."""
    files = Path(f"/proc/{place.pid}")
    found = re.search(r"VmHWM:\s+(\d+) kB", (files / "status").read_text())
    assert found is not None
    (files / "clear_refs").write_text("5")
    return int(found[1]) * 1024


def hears_the_end(question: Question) -> Callable[[Reader], bool]:
    return lambda reader: question.generation_id in reader.ended


async def cost_of_who_does_not_read(run: Case, without: str = "") -> int:
    """Bytes that they take of their web process, where others read too. Each of them misses 400 KB
    of what is said while it is there."""
    web = run.stack.webs[0]
    await web.kill()  # a fresh one: what a process has had once it keeps
    await run.stack.be(webs=(without,), workers=ONE)
    session_id, other = await run.session(), await run.session(readers=False)
    await run.follow(Reader("of another session", run.stack.up_webs, other, "ws"))

    async def say_much(answers: int) -> None:
        for to in (session_id, other) * answers:
            await run.ask(to, prompt=run.script(chunks=100, pace=0.02, size=2_000))
        for question in run.questions[-2:]:
            await run.all_hear(question, hears_the_end(question))

    async def all_are_there() -> bool:
        log = web.log[seen:]
        return (
            log.count(f"GET '/sse/{session_id}' 200") + log.count("'/ws' accepted") >= 2 * STALLED
        )

    await say_much(1)
    before = most_memory(web)
    seen = len(web.log)
    async with AsyncExitStack() as closing:
        for _ in range(STALLED):
            await stall_over_both_doors(closing, web, session_id)
        assert await until(all_are_there)
        await say_much(2)
        cost = most_memory(web) - before
        assert await run.violations(timed=False) == []
    run.notes.append(f"{cost / 1e6:.0f} MB")
    return cost


@pytest.mark.fault("T33", runs=2)
async def test_a_hundred_readers_over_each_door_do_not_read(run: Case) -> None:
    """What they cost is bounded, and others read on."""
    assert await cost_of_who_does_not_read(run) < MOST_MEMORY


@pytest.mark.fault("T33")
async def test_nobody_waits_for_readers_who_do_not_read(run: Case) -> None:
    assert await cost_of_who_does_not_read(run, "waiting") > MOST_MEMORY


@pytest.mark.fault("T17", limit=15, runs=3)
async def test_the_way_from_redis_to_a_web_process_is_half_open(run: Case) -> None:
    await run.stack.be(workers=ONE)
    await half_open_in_mid_answer(run)
    assert await run.violations() == []


@pytest.mark.fault("T17")
async def test_the_way_from_redis_is_half_open_and_nobody_probes(run: Case) -> None:
    """With one reader only: what is read from Redis for one is shown to all."""
    await run.stack.be(webs=("probes",), workers=ONE)
    await half_open_in_mid_answer(run, readers=False)
    assert await run.broken(within=L) >= {Rule.ENDS}


async def half_open_in_mid_answer(run: Case, *, readers: bool = True) -> None:
    question, hold = await run.in_mid_answer(CHUNKS // 2, readers=readers)
    if not readers:
        await run.follow(Reader("live", run.stack.up_webs, question.session_id, "ws"))
    await run.all_hear(question, lambda reader: len(reader.seen) > 1)
    redis = run.stack.webs[0].redis
    assert redis is not None
    assert redis.half_open(b"SUBSCRIBE") == 1
    hold.go_on.set()
