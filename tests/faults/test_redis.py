"""What happens to Redis: T12 to T15."""

import asyncio
import re
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import redis.asyncio

from tests import servers
from tests.end_to_end.processes import PATIENCE, text_of
from tests.faults.case import CHUNKS, FULL, Case
from tests.faults.oracle import Question, Rule, Violation, until
from tests.faults.readers import Reader
from tests.faults.scripted_model import Hold
from tests.faults.stack import L, Stack

pytestmark = pytest.mark.asyncio(loop_scope="package")

ONE = ("",)
TWO = ("", "")
HANG_SECONDS = 30.0 if FULL else 4.0
MOST_LINES = 5
"""Warnings and errors that a process may log in one second."""


def server_of(run: Case) -> servers.Redis:
    assert run.stack.redis is not None
    return run.stack.redis


async def readiness(stack: Stack) -> set[str]:
    found = set()
    for web in stack.up_webs():
        async with web.http() as http:
            found.add((await http.get("/readyz")).json()["status"])
    return found


async def all_are(stack: Stack, status: str) -> None:
    async def are() -> bool:
        return await readiness(stack) == {status}

    assert await until(are)


def most_lines(run: Case) -> int:
    """Warnings and errors of one process in one second."""
    most = 0
    for place in run.stack.places:
        seconds = re.findall(
            r'(?m)^{"timestamp": "[^"]+T([0-9:]+)\.\d+Z", "level": "(?:warning|error)"', place.log
        )
        most = max([most, *Counter(seconds).values()])
    assert most, "nobody has said that Redis is away"
    return most


@contextmanager
def durable(server: servers.Redis) -> Iterator[None]:
    """It keeps on disk what it holds; begun anew."""
    server.kill()
    server.durable = True
    server.start()
    try:
        yield
    finally:
        server.kill()
        for kept in server.folder.iterdir():
            shutil.rmtree(kept) if kept.is_dir() else kept.unlink()
        server.durable = False
        server.start()


async def goes(run: Case, *, one_reader: bool = False) -> Hold:
    """Redis, while one answer is followed and twenty others are given. Returns where the model
    waits again, when some chunks were said while Redis was gone."""
    await all_are(run.stack, "ready")
    question, hold = await run.in_mid_answer(CHUNKS // 2, readers=not one_reader, pace=0.3)
    if one_reader:
        await run.follow(Reader("live", run.stack.up_webs, question.session_id, "ws"))
    for _ in range(20):
        await run.ask(await run.session(readers=False), prompt=run.script(chunks=20, pace=0.1))
    await run.all_hear(question, lambda reader: len(reader.seen) > 1)
    last = question.script.hold(1, CHUNKS - 1)
    server_of(run).kill()
    hold.go_on.set()
    await last.reached.wait()
    return last


async def restarted(run: Case) -> list[Violation]:
    last = await goes(run)
    server_of(run).start()
    last.go_on.set()
    return await run.violations()


@pytest.mark.fault("T12", limit=L, runs=3)
@pytest.mark.parametrize("keeps", ["nothing", "all"])
async def test_redis_is_restarted(run: Case, keeps: str) -> None:
    await run.stack.be(workers=("slow_upkeep", "slow_upkeep"))
    if keeps == "all":
        with durable(server_of(run)):
            assert await restarted(run) == []
    else:
        assert await restarted(run) == []
    assert most_lines(run) < MOST_LINES
    run.notes.append(f"at most {most_lines(run)} lines/s")


@pytest.mark.fault("T12")
async def test_redis_is_restarted_and_what_is_lost_is_not_noticed(run: Case) -> None:
    """Neither by who writes nor by who reads; one reader, for each that comes makes all read. Both
    are back before the answer ends, or else the database would tell all of it."""
    await run.stack.be(webs=("tails",), workers=("gaps",))
    last = await goes(run, one_reader=True)
    worker = run.stack.workers[0].up
    since = len(worker.log)
    server_of(run).start()
    await all_are(run.stack, "ready")
    await worker.says("Redis is there", since)
    last.go_on.set()
    assert await run.broken(within=L) >= {Rule.SHOWN}


@pytest.mark.fault("T12", limit=L, runs=3)
async def test_redis_is_slow_and_then_its_replies_are_lost(run: Case) -> None:
    """What was stored is written again by who does not know it."""
    await run.stack.be(workers=TWO)
    question, hold = await run.in_mid_answer(CHUNKS // 2, pace=0.1)
    ways = [place.redis for place in run.stack.workers if place.redis is not None]
    for way in ways:
        way.delay = 0.1
    hold.go_on.set()
    await run.all_hear(question, lambda reader: f"1.{CHUNKS // 2} " in text_of(reader.seen))
    for way in ways:
        way.lose_replies()
    await asyncio.sleep(0.2)
    run.stack.heal()
    assert await run.violations() == []


async def flush_in_mid_answer(run: Case) -> Question:
    """One more reader comes after that."""
    question, hold = await run.in_mid_answer(CHUNKS // 2)
    await run.all_hear(question, lambda reader: len(reader.seen) > 1)
    async with redis.asyncio.Redis.from_url(server_of(run).url) as client:
        await client.flushall()
    told = question.script.hold(1, CHUNKS - 1)
    hold.go_on.set()
    await told.reached.wait()
    await run.follow(Reader("newcomer", run.stack.up_webs, question.session_id, "ws"))
    told.go_on.set()
    return question


@pytest.mark.fault("T13", limit=L, runs=5)
async def test_all_is_flushed_in_mid_answer(run: Case) -> None:
    await run.stack.be(workers=TWO)
    question = await flush_in_mid_answer(run)
    assert await run.violations() == []
    assert (await run.stored(question))["attempt"] == 1


@pytest.mark.fault("T13")
async def test_all_is_flushed_in_mid_answer_and_that_is_not_noticed(run: Case) -> None:
    await run.stack.be(workers=("gaps",))
    await flush_in_mid_answer(run)
    assert await run.broken(within=L) >= {Rule.SHOWN}


async def answered_after(run: Case, *, kept: bool = True) -> tuple[float, float]:
    """Seconds until a question was accepted, and until one who follows was told the end."""
    session_id = await run.session(readers=False)
    reader = await run.follow(Reader("live", run.stack.up_webs, session_id, "ws", run.seed))
    began = time.monotonic()
    question = await run.ask(session_id, prompt=run.script())
    accepted = time.monotonic() - began
    async with asyncio.timeout(PATIENCE):
        await reader.hears(lambda reader: question.generation_id in reader.ended)
    return accepted, time.monotonic() - began


@pytest.mark.fault("T14", limit=1, runs=2)
async def test_redis_hangs(run: Case) -> None:
    await run.stack.be(workers=TWO)
    await all_are(run.stack, "ready")
    usual = min([(await answered_after(run))[1] for _ in range(3)])
    server_of(run).pause()
    slowest, ends = 0.0, time.monotonic() + HANG_SECONDS
    try:
        while time.monotonic() < ends:
            accepted, answered = await answered_after(run)
            slowest = max(slowest, accepted)
            run.worst = max(run.worst, answered - usual)
        assert await readiness(run.stack) == {"degraded"}
        async with run.stack.web.http() as http:
            assert (await http.get("/healthz")).status_code == 200
    finally:
        server_of(run).go_on()
    await all_are(run.stack, "ready")
    assert await run.violations(timed=False) == []
    run.notes.append(f"slowest accepted in {slowest:.2f} s")
    run.notes += ["SLOW TO ACCEPT"] if slowest > 2 else []


@pytest.mark.fault("T14")
async def test_redis_hangs_and_nobody_looks_into_the_database(run: Case) -> None:
    await run.stack.be(webs=("watchdog",), workers=ONE)
    await all_are(run.stack, "ready")
    session_id = await run.session(readers=False)
    await run.follow(Reader("live", run.stack.up_webs, session_id, "ws"))
    server_of(run).pause()
    try:
        await run.ask(session_id, prompt=run.script())
        assert await run.broken(within=L) >= {Rule.ENDS}
    finally:
        server_of(run).go_on()


async def first_text(run: Case) -> None:
    """Returns once some text of a long answer is shown."""
    session_id = await run.session(readers=False)
    reader = await run.follow(Reader("live", run.stack.up_webs, session_id, "ws"))
    await run.ask(session_id, prompt=run.script(chunks=25, pace=0.15))
    await reader.hears(lambda reader: text_of(reader.seen) != "")


@contextmanager
def no_redis(run: Case) -> Iterator[None]:
    server_of(run).kill()
    try:
        yield
    finally:
        server_of(run).start()


@pytest.mark.fault("T15", limit=2, runs=2)
async def test_redis_is_not_there_from_the_start(run: Case) -> None:
    for place in run.stack.places:
        await place.kill()
    with no_redis(run):
        await run.stack.be(webs=ONE, workers=ONE)
        async with run.timed():
            await first_text(run)
        await run.ask(prompt=run.script())
        assert await run.violations(timed=False) == []
    await all_are(run.stack, "ready")
    await run.ask(prompt=run.script())
    assert await run.violations(timed=False) == []


@pytest.mark.fault("T15")
async def test_redis_is_not_there_and_nothing_is_shown_from_the_database(run: Case) -> None:
    await run.stack.be(webs=ONE, workers=("show_again",))
    with no_redis(run):
        await all_are(run.stack, "degraded")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2):
                await first_text(run)
