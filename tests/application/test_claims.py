import asyncio

import pytest

from application.claims import Claim, Claims, Interruption
from domain.identifiers import GenerationId
from tests.builders import a_generation

ENDS = [Interruption.STOP, Interruption.FENCED, Interruption.RELEASE]


@pytest.mark.parametrize("first", ENDS)
@pytest.mark.parametrize("second", [*ENDS, Interruption.STEP_ASIDE])
async def test_the_first_reason_to_end_counts(first: Interruption, second: Interruption) -> None:
    claim = Claim(a_generation())
    assert claim.must_end is None
    claim.interrupt(first)
    claim.interrupt(second)
    assert claim.must_end is claim.interruption.result() is first


@pytest.mark.parametrize("first", ENDS)
@pytest.mark.parametrize("second", [*ENDS, Interruption.STEP_ASIDE])
async def test_a_reason_to_end_that_comes_while_it_steps_aside_is_kept(
    first: Interruption, second: Interruption
) -> None:
    claim = Claim(a_generation())
    claim.interrupt(Interruption.STEP_ASIDE)
    for why in (first, second):
        claim.interrupt(why)
    assert claim.must_end is first
    claim.go_on()
    assert claim.must_end is claim.interruption.result() is first


async def test_stepping_aside_is_no_reason_to_end_and_can_be_asked_for_again() -> None:
    claim = Claim(a_generation())
    for _ in range(2):
        claim.interrupt(Interruption.STEP_ASIDE)
        claim.interrupt(Interruption.STEP_ASIDE)
        assert claim.interruption.result() is Interruption.STEP_ASIDE
        assert claim.must_end is None
        claim.go_on()
        assert not claim.interruption.done()
    claim.interrupt(Interruption.STOP)
    assert claim.must_end is Interruption.STOP


async def test_who_waits_for_an_interruption_is_woken_by_the_next_one_too() -> None:
    claim = Claim(a_generation())
    claim.interrupt(Interruption.STEP_ASIDE)
    claim.go_on()
    waiting = asyncio.ensure_future(claim.interruption)
    claim.interrupt(Interruption.RELEASE)
    assert await waiting is Interruption.RELEASE


async def test_all_that_are_held_and_will_be_are_interrupted() -> None:
    claims = Claims()
    moving, later = Claim(a_generation()), Claim(a_generation(GenerationId("gen_2")))
    moving.interrupt(Interruption.STEP_ASIDE)
    with claims.holding(moving):
        claims.interrupt(Interruption.RELEASE)
        assert moving.must_end is Interruption.RELEASE
        with claims.holding(later):
            assert later.must_end is Interruption.RELEASE
