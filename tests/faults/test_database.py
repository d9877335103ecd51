"""What happens to Postgres: T40."""

import asyncio

import pytest

from tests.end_to_end.processes import PATIENCE
from tests.faults.case import CHUNKS, Case
from tests.faults.oracle import Question, Rule
from tests.faults.stack import L

pytestmark = pytest.mark.asyncio(loop_scope="package")

TWO = ("", "")


async def is_unavailable(run: Case, session_id: str) -> None:
    """To read and to write."""
    async with run.stack.web.http() as http:
        replies = await asyncio.gather(
            http.get("/api/chat/sessions"),
            http.post(f"/api/chat/sessions/{session_id}/messages", json={"message": "Hello"}),
        )
    assert [reply.status_code for reply in replies] == [503, 503]


async def gone_at_the_end(run: Case) -> Question:
    """Gone when the model has said all; back once a worker has tried in vain to store it."""
    question, hold = await run.in_mid_answer(CHUNKS)
    worker = await run.stack.answering(question.generation_id)
    for place in run.stack.places:
        place.postgres.refuse()
    hold.go_on.set()
    async with run.timed():
        await is_unavailable(run, question.session_id)
    await worker.up.says("the end of .* is not stored yet|database_unavailable")
    run.stack.heal()
    return question


@pytest.mark.fault("T40", limit=2, runs=3)
async def test_postgres_is_restarted(run: Case) -> None:
    await run.stack.be(workers=TWO)
    question = await gone_at_the_end(run)
    assert await run.violations(timed=False) == []
    assert (await run.stored(question))["attempt"] == 1


@pytest.mark.fault("T40")
async def test_postgres_is_restarted_and_nobody_tries_again(run: Case) -> None:
    await run.stack.be(workers=("store_again", "store_again"))
    await gone_at_the_end(run)
    assert await run.broken(within=L) >= {Rule.CALLS}


@pytest.mark.fault("T40", limit=8, runs=2)
async def test_postgres_hangs(run: Case) -> None:
    await run.stack.be(workers=TWO)
    question, hold = await run.in_mid_answer(CHUNKS // 2)
    question.calls = 2  # for longer than a lease
    for place in run.stack.places:
        place.postgres.hang()
    async with run.timed():
        await is_unavailable(run, question.session_id)
    run.stack.heal()
    hold.go_on.set()
    assert await run.violations(timed=False) == []


@pytest.mark.fault("T40", limit=2, runs=2)
async def test_postgres_has_too_many_connections(run: Case) -> None:
    await run.stack.be(workers=TWO)
    question, hold = await run.in_mid_answer(CHUNKS)
    role = run.stack.role
    await run.stack.sql(f"ALTER ROLE {role} CONNECTION LIMIT 0")
    await run.stack.sql(
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'"
    )
    hold.go_on.set()
    async with run.timed():
        await is_unavailable(run, question.session_id)
    await run.stack.sql(f"ALTER ROLE {role} CONNECTION LIMIT -1")
    assert await run.violations(PATIENCE, timed=False) == []
    assert (await run.stored(question))["attempt"] == 1
