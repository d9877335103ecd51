"""What happens to workers: T01 to T05, T44."""

import asyncio

import pytest

from tests.end_to_end.processes import text_of
from tests.faults.case import CHUNKS, Case
from tests.faults.oracle import Question, Rule
from tests.faults.stack import L

pytestmark = pytest.mark.asyncio(loop_scope="package")

TWO = ("", "")
"""Workers: one for the fault, one to take over."""
ZOMBIE = "heartbeat,places,probes"


@pytest.mark.fault("T01", limit=L, runs=20)
async def test_killed_in_mid_answer(run: Case) -> None:
    await run.stack.be(workers=TWO)
    after = (0, 1, CHUNKS // 2, CHUNKS - 1)[run.seed % 4]
    run.notes.append(f"after chunk {after}")
    question, _ = await run.in_mid_answer(after)
    question.calls = 2
    await (await run.stack.answering(question.generation_id)).kill()
    assert await run.violations() == []
    assert (await run.stored(question))["attempt"] == 2
    for reader in run.live(question):
        kinds = [event["type"] for event in reader.events_of(question.generation_id)]
        assert kinds.count("reset") == (1 if run.stack.redis else 0)


@pytest.mark.fault("T01")
async def test_killed_in_mid_answer_and_nobody_sweeps(run: Case) -> None:
    await run.stack.be(workers=("sweeper", "sweeper"))
    question, _ = await run.in_mid_answer(1, readers=False)
    await (await run.stack.answering(question.generation_id)).kill()
    assert await run.broken(within=L) >= {Rule.ENDS}


@pytest.mark.fault("T02", limit=L, runs=3)
async def test_killed_between_the_commit_and_the_terminal_event(run: Case) -> None:
    await run.stack.be(workers=("stop_after_commit",))
    await run.ask(prompt=run.script())
    await run.stack.workers[0].stops_at("after the commit")
    await run.stack.workers[0].kill()
    assert await run.violations() == []


@pytest.mark.fault("T02")
async def test_killed_between_the_commit_and_the_terminal_event_and_nobody_watches(
    run: Case,
) -> None:
    await run.stack.be(webs=("watchdog",), workers=("stop_after_commit",))
    await run.ask(prompt=run.script())
    await run.stack.workers[0].stops_at("after the commit")
    await run.stack.workers[0].kill()
    assert await run.broken(within=3) >= {Rule.ENDS}


@pytest.mark.fault("T03", limit=L, runs=3)
async def test_killed_between_taking_and_claiming(run: Case) -> None:
    await run.stack.be(workers=("stop_before_claim",))
    await run.ask(prompt=run.script())
    await run.stack.workers[0].stops_at("before the claim")
    await run.stack.workers[0].kill()
    await run.stack.be(workers=("slow_upkeep", "slow_upkeep"))
    assert await run.violations() == []


@pytest.mark.fault("T03")
async def test_killed_between_taking_and_claiming_and_nobody_sweeps(run: Case) -> None:
    await run.stack.be(workers=("stop_before_claim",))
    await run.ask(await run.session(readers=False), prompt=run.script())
    await run.stack.workers[0].stops_at("before the claim")
    await run.stack.workers[0].kill()
    await run.stack.be(workers=("sweeper,pending",))
    assert await run.broken(within=L) >= {Rule.ENDS}


@pytest.mark.fault("T04", limit=1, runs=5)
@pytest.mark.parametrize("model", ["goes on", "has ended"])
async def test_frozen_past_its_lease(run: Case, model: str) -> None:
    """The zombie wakes while another worker answers. Its model's call still goes on; or the whole
    answer has come in the meantime, so that it has an end to store."""
    await run.stack.be(workers=TWO)
    question, first = await run.in_mid_answer(CHUNKS // 2)
    second = question.script.hold(2, 2)
    question.calls = 2
    zombie = await run.stack.answering(question.generation_id)
    zombie.freeze()
    if model == "has ended":
        first.go_on.set()
    async with asyncio.timeout(L):
        await second.reached.wait()
    async with run.timed():
        zombie.thaw()
        await zombie.up.says(rf"{question.generation_id} (is answered|was ended) by another")
        if model == "goes on":
            await question.script.tellings[0].call.left.wait()
    second.go_on.set()
    assert await run.violations(timed=False) == []
    assert (await run.stored(question))["attempt"] == 2
    assert zombie.runs


@pytest.mark.fault("T04")
async def test_frozen_past_its_lease_and_there_is_no_fence(run: Case) -> None:
    """The zombie's end is stored, and who follows the one that took over is told none."""
    await run.stack.be(workers=("fence",))
    question, first = await run.in_mid_answer(CHUNKS // 2, readers=False)
    second = question.script.hold(2, 2)
    zombie = await run.stack.answering(question.generation_id)
    zombie.freeze()
    first.go_on.set()
    await run.stack.be(workers=("fence", ""))
    await second.reached.wait()
    zombie.thaw()
    await run.is_stored(question, "completed")
    second.go_on.set()
    assert await run.broken(within=3) >= {Rule.ENDS}


@pytest.mark.fault("T04")
async def test_frozen_past_its_lease_and_there_are_no_places(run: Case) -> None:
    """Here the database's fence holds, but not the stream's. What the zombie has to say comes
    before it asks whether Redis is there."""
    await run.stack.be(workers=(ZOMBIE,))
    question, first = await run.in_mid_answer(CHUNKS // 2)
    second = question.script.hold(2, 2)
    zombie = await run.stack.answering(question.generation_id)
    told = f"1.{CHUNKS // 2 - 1} "
    await run.all_hear(question, lambda reader: told in text_of(reader.seen))
    await asyncio.sleep(0.2)  # nobody says that it has read what Redis replied
    zombie.freeze()
    first.go_on.set()
    await run.stack.be(workers=(ZOMBIE, ""))
    await second.reached.wait()
    zombie.thaw()
    await zombie.up.says(rf"{question.generation_id} was ended by another")
    second.go_on.set()
    assert await run.broken(within=L) >= {Rule.SHOWN}


@pytest.mark.fault("T05", limit=L, runs=3)
async def test_frozen_for_less_than_its_lease(run: Case) -> None:
    await run.stack.be(workers=TWO)
    question, hold = await run.in_mid_answer(CHUNKS // 2)
    frozen = await run.stack.answering(question.generation_id)
    frozen.freeze()
    await asyncio.sleep(1.5)  # of the 2 at least that are left when the heartbeat is due
    frozen.thaw()
    hold.go_on.set()
    assert await run.violations() == []
    assert (await run.stored(question))["attempt"] == 1


@pytest.mark.fault("T05")
async def test_frozen_for_a_moment_and_there_is_no_lease(run: Case) -> None:
    await run.stack.be(workers=("lease", "lease"))
    question, _ = await run.in_mid_answer(CHUNKS // 2, readers=False)
    (await run.stack.answering(question.generation_id)).freeze()
    await run.stack.answering(question.generation_id, attempt=2)
    assert await run.broken(within=0.5) >= {Rule.CALLS}


async def kill_each_that_asks(run: Case, question: Question, first: int, last: int) -> None:
    for attempt in range(first, last + 1):
        await question.script.hold(attempt, 0).reached.wait()
        victim = await run.stack.answering(question.generation_id, attempt)
        await victim.kill()
        await victim.start(victim.without)


@pytest.mark.fault("T44", limit=5 * L, runs=2)
async def test_a_request_that_kills_its_worker_each_time(run: Case) -> None:
    await run.stack.be()
    text, script = run.script()
    for attempt in (1, 2, 3):
        script.hold(attempt, 0)
    poison = await run.ask(prompt=(text, script))
    poison.calls, poison.status = 3, "failed"
    others = [await run.ask(prompt=run.script(chunks=60)) for _ in range(3)]
    for other in others:
        other.calls = 3  # some were answered beside it
    async with run.timed():
        await kill_each_that_asks(run, poison, 1, 3)
        assert await run.violations(timed=False) == []
    assert (await run.stored(poison))["error"]["code"] == "worker_lost"


@pytest.mark.fault("T44")
async def test_a_request_that_kills_its_worker_and_nobody_counts(run: Case) -> None:
    await run.stack.be(workers=("attempts", "attempts"))
    poison, _ = await run.in_mid_answer(0, readers=False)
    poison.status = "failed"
    await run.stack.sql("UPDATE generations SET attempt = 3 WHERE status = 'running'")
    await (await run.stack.answering(poison.generation_id)).kill()
    assert await run.broken(within=L) >= {Rule.ENDS, Rule.CALLS}
