"""T45: after very many generations nothing is left of them but what is kept."""

import asyncio
from pathlib import Path

import asyncpg
import pytest
import redis.asyncio

from tests.end_to_end.processes import PATIENCE
from tests.faults.case import FULL, Case
from tests.faults.oracle import Rule, until
from tests.faults.scripted_model import Script

pytestmark = pytest.mark.asyncio(loop_scope="package")

MANY = 10_000 if FULL else 300
IN_A_SESSION = 5
AT_ONCE = 20
SPARE_FILES = 40
"""Connections that pools keep, and a log."""


async def ask_many(run: Case, many: int) -> dict[str, Script]:
    """A few in each session; each script by its generation."""
    asked: dict[str, Script] = {}

    async def ask_in_sessions(sessions: int, web: int) -> None:
        async with run.stack.webs[web].up.http() as http:
            for _ in range(sessions):
                made = await http.post("/api/chat/session", json={})
                path = f"/api/chat/sessions/{made.json()['session_id']}/messages"
                for _ in range(IN_A_SESSION):
                    text, script = run.script(chunks=2, pace=0)
                    reply = await http.post(path, json={"message": text})
                    assert reply.status_code == 202, reply.text
                    asked[reply.json()["generation_id"]] = script

    sessions = many // IN_A_SESSION // AT_ONCE
    await asyncio.gather(*(ask_in_sessions(sessions, n % 2) for n in range(AT_ONCE)))
    return asked


async def kept(run: Case) -> dict[str, tuple[str, int]]:
    """The answers that are stored, and in which attempts, once all have ended."""
    database = await asyncpg.connect(run.stack.database_url)

    async def all_ended() -> bool:
        sql = "SELECT count(*) FROM generations WHERE status IN ('queued', 'running')"
        return bool(await database.fetchval(sql) == 0)

    try:
        assert await until(all_ended, 10 * PATIENCE)
        rows = await database.fetch(
            "SELECT g.id, m.content, g.attempt FROM generations g JOIN chat_messages m"
            " ON m.generation_id = g.id AND m.role = 'assistant' WHERE g.status = 'completed'"
        )
    finally:
        await database.close()
    return {row["id"]: (row["content"], row["attempt"]) for row in rows}


def files(run: Case) -> dict[str, int]:
    return {
        place.name: len(list(Path(f"/proc/{place.pid}/fd").iterdir()))
        for place in run.stack.places
        if place.runs
    }


@pytest.mark.fault("T45")
@pytest.mark.timeout(1800)
async def test_very_many_generations(run: Case) -> None:
    expiring = ("expiry", "expiry", "expiry")
    await run.stack.be(workers=expiring)
    assert run.stack.redis is not None
    async with redis.asyncio.Redis.from_url(run.stack.redis.url) as client:
        await client.flushall()
        before = files(run)
        asked = await ask_many(run, MANY)
        answers = await kept(run)
        assert len(asked) == MANY
        for generation_id, script in asked.items():
            answer, attempt = answers[generation_id]
            assert answer == script.tellings[-1].text
            assert len(script.tellings) <= attempt
        again = sum(attempt > 1 for _, attempt in answers.values())

        async def only_the_queue_is_left() -> bool:
            return await client.keys("*") == [b"llmchat:requests"]

        assert await until(only_the_queue_is_left)
    assert await run.violations(timed=False) == []
    for name, count in files(run).items():
        assert count <= before[name] + SPARE_FILES
    run.notes.append(f"{MANY} generations, {again} of them taken over")


@pytest.mark.fault("T45")
async def test_what_was_taken_is_not_forgotten(run: Case) -> None:
    await run.stack.be(workers=("forget",))
    await run.ask(await run.session(readers=False), prompt=run.script())
    assert await run.broken(within=PATIENCE) == {Rule.NOTHING_LEFT}
