"""Leaving a server alone that failed again and again (T28)."""

import asyncio
from contextlib import suppress
from dataclasses import replace

import pytest

from domain.errors import (
    KeyUnreadable,
    ModelAddressRefused,
    ModelFailed,
    ModelKeyRefused,
    ModelMalformed,
    ModelOverflowed,
    ModelRateLimited,
    ModelRequestRefused,
    ModelSuspended,
    ModelTimedOut,
    ModelTruncated,
    ModelUnreachable,
)
from domain.identifiers import UserId
from domain.secret import Secret
from infrastructure.upstreams.breaker import Breaker, Breakers
from infrastructure.upstreams.limits import Limits
from infrastructure.upstreams.model_server import ModelServer
from tests.answers import hear
from tests.infrastructure.conftest import MakeModel
from tests.upstream import Call, Upstream, hello

SERVERS_FAULT: list[type[ModelFailed]] = [
    ModelFailed,
    ModelMalformed,
    ModelTimedOut,
    ModelTruncated,
    ModelUnreachable,
]
NOT_SERVERS_FAULT: list[type[ModelFailed]] = [
    ModelAddressRefused,
    ModelKeyRefused,
    ModelOverflowed,
    ModelRateLimited,
    ModelRequestRefused,
]


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker(threshold=3, pause=10, now=clock)


def succeed(breaker: Breaker) -> None:
    with breaker.call():
        pass


def fail(breaker: Breaker, kind: type[Exception] = ModelFailed, times: int = 1) -> None:
    for _ in range(times):
        with suppress(kind), breaker.call():
            raise kind("x")


def lets_through(breaker: Breaker) -> bool:
    """Whether it would; a call that is cancelled changes nothing."""
    try:
        with breaker.call():
            raise asyncio.CancelledError
    except ModelSuspended:
        return False
    except asyncio.CancelledError:
        return True


@pytest.mark.parametrize("kind", SERVERS_FAULT)
def test_it_opens_when_the_server_failed_so_often_in_a_row(
    breaker: Breaker, kind: type[ModelFailed]
) -> None:
    fail(breaker, kind, times=2)
    assert lets_through(breaker)
    fail(breaker, kind)
    assert not lets_through(breaker)


def test_of_those_that_are_not_closed_is_known_how_many_they_are(clock: Clock) -> None:
    breakers = Breakers(threshold=3, pause=10)
    for server in ("a", "b", "c"):
        breakers.of(server).now = clock
    assert breakers.not_closed() == {"open": 0, "half_open": 0}
    fail(breakers.of("a"), times=3)
    clock.now += 4
    fail(breakers.of("b"), times=3)
    fail(breakers.of("c"), times=2)
    assert breakers.not_closed() == {"open": 2, "half_open": 0}
    clock.now += 6
    assert breakers.not_closed() == {"open": 1, "half_open": 1}
    fail(breakers.of("a"))
    assert breakers.not_closed() == {"open": 2, "half_open": 0}
    clock.now += 10
    succeed(breakers.of("a"))
    succeed(breakers.of("b"))
    assert breakers.not_closed() == {"open": 0, "half_open": 0}


@pytest.mark.parametrize("kind", NOT_SERVERS_FAULT)
def test_what_is_not_the_servers_fault_never_opens_it(
    breaker: Breaker, kind: type[ModelFailed]
) -> None:
    fail(breaker, kind, times=20)
    assert lets_through(breaker)


def test_what_is_wrong_with_ourselves_is_no_outcome(breaker: Breaker) -> None:
    fail(breaker, times=2)
    for _ in range(20):
        with suppress(RuntimeError), breaker.call():
            raise RuntimeError
        with suppress(KeyUnreadable), breaker.call():
            raise KeyUnreadable
    assert lets_through(breaker)
    fail(breaker)
    assert not lets_through(breaker)


@pytest.mark.parametrize("kind", [None, *NOT_SERVERS_FAULT])
def test_a_server_that_answers_in_between_has_not_failed_in_a_row(
    breaker: Breaker, kind: type[ModelFailed] | None
) -> None:
    for _ in range(5):
        fail(breaker, times=2)
        if kind is None:
            succeed(breaker)
        else:
            fail(breaker, kind)
    assert lets_through(breaker)


def test_calls_that_are_cancelled_have_no_outcome(breaker: Breaker) -> None:
    fail(breaker, times=2)
    for _ in range(5):
        with suppress(asyncio.CancelledError), breaker.call():
            raise asyncio.CancelledError
        with suppress(GeneratorExit), breaker.call():
            raise GeneratorExit
    assert lets_through(breaker)
    fail(breaker)
    assert not lets_through(breaker)


def test_while_it_is_open_nobody_calls_and_is_told_for_how_long(
    breaker: Breaker, clock: Clock
) -> None:
    fail(breaker, times=3)
    with pytest.raises(ModelSuspended, match=r"3 times in a row; it is tried again in 10 s\."):
        succeed(breaker)
    clock.now += 9.9
    with pytest.raises(ModelSuspended, match=r"in 1 s\."):
        succeed(breaker)


def test_after_the_pause_exactly_one_call_tries(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, times=3)
    clock.now += 10
    with breaker.call():
        for _ in range(3):
            assert not lets_through(breaker)
    assert lets_through(breaker)


def test_it_closes_when_the_try_succeeds(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, times=3)
    clock.now += 10
    succeed(breaker)
    with breaker.call():
        assert lets_through(breaker)
    fail(breaker, times=2)
    assert lets_through(breaker)


@pytest.mark.parametrize("kind", NOT_SERVERS_FAULT)
def test_it_closes_when_the_server_answers_the_try_at_all(
    breaker: Breaker, clock: Clock, kind: type[ModelFailed]
) -> None:
    fail(breaker, times=3)
    clock.now += 10
    fail(breaker, kind)
    with breaker.call():
        assert lets_through(breaker)


def test_it_opens_again_when_the_try_fails(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, times=3)
    for _ in range(3):
        clock.now += 10
        fail(breaker)
        assert not lets_through(breaker)
        clock.now += 9
        assert not lets_through(breaker)
        clock.now += 1
        assert lets_through(breaker)
        clock.now -= 10


@pytest.mark.parametrize("end", [asyncio.CancelledError, GeneratorExit, RuntimeError])
def test_a_try_without_outcome_leaves_it_to_the_next(
    breaker: Breaker, clock: Clock, end: type[BaseException]
) -> None:
    fail(breaker, times=3)
    clock.now += 10
    with suppress(end), breaker.call():
        raise end
    with breaker.call():
        assert not lets_through(breaker)


def test_calls_that_began_before_it_opened_may_end_as_they_like(
    breaker: Breaker, clock: Clock
) -> None:
    with suppress(ModelFailed), breaker.call():
        fail(breaker, times=3)
        raise ModelFailed
    clock.now += 10
    with breaker.call():
        assert not lets_through(breaker)


def test_an_old_call_that_is_cancelled_does_not_end_the_try_of_another(
    breaker: Breaker, clock: Clock
) -> None:
    old, trying = breaker.call(), breaker.call()
    old.__enter__()
    fail(breaker, times=3)
    clock.now += 10
    with trying:
        old.__exit__(asyncio.CancelledError, asyncio.CancelledError(), None)
        assert not lets_through(breaker)


# One for each server


def test_each_server_has_its_own() -> None:
    breakers = Breakers(threshold=1)
    fail(breakers.of("one"))
    assert not lets_through(breakers.of("one"))
    assert lets_through(breakers.of("two"))


def test_what_a_user_does_to_a_server_is_counted_for_nobody_else() -> None:
    adas = ModelServer("https://api.example.com/v1", Secret("sk-theirs"), True, UserId(1))
    bobs, operators = replace(adas, user=UserId(2)), replace(adas, user=None)
    assert len({adas.name, bobs.name, operators.name}) == 3
    assert adas.name == replace(adas, key=None, trusted=False).name
    assert "sk-theirs" not in adas.name


def test_any_number_of_servers_may_be_named_and_those_in_use_are_remembered() -> None:
    breakers = Breakers(threshold=1)
    fail(breakers.of("broken"))
    for number in range(30_000):
        breakers.of(str(number))
        if number % 5_000 == 0:
            assert not lets_through(breakers.of("broken"))
    assert len(breakers._by_server) <= 10_000


# Over real sockets


async def fails(call: Call) -> None:
    await call.reply(500)


@pytest.mark.usefixtures("no_waiting")
async def test_a_server_that_failed_so_often_is_not_called_any_more(
    server: Upstream, make_model: MakeModel, breaker: Breaker, clock: Clock
) -> None:
    server.answers(fails)
    codes = [(await hear(make_model(breaker=breaker))).code for _ in range(3)]
    assert codes == ["upstream_error", "upstream_suspended", "upstream_suspended"]
    assert len(server.calls) == 3
    clock.now += 10
    codes = [(await hear(make_model(breaker=breaker))).code for _ in range(2)]
    assert codes == ["upstream_suspended", "upstream_suspended"]
    assert len(server.calls) == 4
    clock.now += 10
    server.answers(hello)
    for _ in range(3):
        assert (await hear(make_model(breaker=breaker))).text == "Hello"
    assert len(server.calls) == 7


async def test_of_many_at_once_one_tries_and_the_others_do_not_wait_for_it(
    server: Upstream, make_model: MakeModel, breaker: Breaker, clock: Clock
) -> None:
    fail(breaker, times=3)
    clock.now += 10
    others_heard = asyncio.Event()

    async def slow(call: Call) -> None:
        await others_heard.wait()
        await hello(call)

    server.answers(slow)
    asking = [asyncio.create_task(hear(make_model(breaker=breaker))) for _ in range(10)]
    others = await asyncio.gather(*asking[1:])
    assert {heard.code for heard in others} == {"upstream_suspended"}
    others_heard.set()
    assert (await asking[0]).text == "Hello"
    assert len(server.calls) == 1


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize("status", [400, 401, 403, 404, 422, 429])
async def test_a_bad_key_or_request_does_not_suspend_a_server_for_others(
    server: Upstream, make_model: MakeModel, breaker: Breaker, status: int
) -> None:
    async def refuses(call: Call) -> None:
        await call.reply(status)

    server.answers(refuses)
    for _ in range(5):
        await hear(make_model(breaker=breaker))
    server.answers(hello)
    assert (await hear(make_model(breaker=breaker))).text == "Hello"


async def test_who_leaves_before_the_first_piece_has_not_seen_the_server_fail(
    server: Upstream, make_model: MakeModel, breaker: Breaker
) -> None:
    server.answers(Call.hang)
    for _ in range(5):
        server.called.clear()
        asking = asyncio.create_task(hear(make_model(breaker=breaker)))
        await server.called.wait()
        asking.cancel()
        await asyncio.wait([asking])
    server.answers(hello)
    assert (await hear(make_model(breaker=breaker))).text == "Hello"


async def test_a_server_that_hangs_is_suspended(
    server: Upstream, make_model: MakeModel, breaker: Breaker
) -> None:
    server.answers(Call.hang)
    model = make_model(breaker=breaker, limits=Limits(first_event=0.1))
    codes = [(await hear(model)).code for _ in range(4)]
    assert codes == ["upstream_timeout"] * 3 + ["upstream_suspended"]
    assert len(server.calls) == 3
