"""What every request queue promises."""

import asyncio
import random
from contextlib import suppress

from application.ports import Request, RequestQueue
from domain.identifiers import GenerationId


def request(name: str) -> Request:
    return Request(GenerationId(name), "request-1")


async def test_requests_come_out_as_they_went_in_oldest_first(queue: RequestQueue) -> None:
    for name in ("a", "b"):
        await queue.put(request(name))
    assert await queue.take() == request("a")
    assert await queue.take() == request("b")


async def test_a_waiting_taker_is_given_what_comes(queue: RequestQueue) -> None:
    taking = asyncio.create_task(queue.take())
    await asyncio.sleep(0)
    assert not taking.done()
    await queue.put(request("a"))
    assert await taking == request("a")


async def test_of_two_takers_each_gets_another(queue: RequestQueue) -> None:
    taking = [asyncio.create_task(queue.take()) for _ in range(2)]
    await queue.put(request("a"))
    await queue.put(request("b"))
    taken = await asyncio.gather(*taking)
    assert {taken.generation_id for taken in taken} == {"a", "b"}
    for each in taken:
        await queue.done(each)


async def test_a_cancelled_wait_loses_nothing(queue: RequestQueue) -> None:
    taking = asyncio.create_task(queue.take())
    await asyncio.sleep(0)
    taking.cancel()
    await queue.put(request("a"))
    assert await queue.take() == request("a")


async def test_cancelled_waits_lose_nothing_of_what_is_put_meanwhile(queue: RequestQueue) -> None:
    names = [str(number) for number in range(100)]
    taken: list[str] = []

    async def put() -> None:
        for name in names:
            await queue.put(request(name))

    putting = asyncio.create_task(put())
    while len(taken) < len(names):
        taking = asyncio.create_task(queue.take())
        await asyncio.sleep(random.random() / 500)  # no signal: each moment is to be met
        taking.cancel()
        with suppress(asyncio.CancelledError):
            taken.append((await taking).generation_id)
    await putting
    assert sorted(taken) == sorted(names)


async def test_cancelling_one_taker_takes_nothing_from_another(queue: RequestQueue) -> None:
    first, second = (asyncio.create_task(queue.take()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await queue.put(request("a"))
    assert await second == request("a")


async def test_what_is_put_twice_comes_twice(queue: RequestQueue) -> None:
    for _ in range(2):
        await queue.put(request("a"))
    await queue.put(request("b"))
    taken = [await queue.take() for _ in range(3)]
    assert taken == [request("a"), request("a"), request("b")]
    for each in taken:
        await queue.done(each)


async def test_done_twice_or_without_being_taken_is_harmless(queue: RequestQueue) -> None:
    await queue.put(request("a"))
    taken = await queue.take()
    for _ in range(2):
        await queue.done(taken)
    await queue.done(request("never put"))
    await queue.put(request("a"))
    assert await queue.take() == request("a")


async def test_a_request_need_not_know_who_asked(queue: RequestQueue) -> None:
    await queue.put(Request(GenerationId("a")))
    assert await queue.take() == Request(GenerationId("a"))


async def test_a_request_keeps_the_trace_that_it_is_part_of(queue: RequestQueue) -> None:
    traced = Request(GenerationId("a"), None, f"00-{'ab' * 16}-{'cd' * 8}-01")
    await queue.put(traced)
    await queue.put(request("a"))
    assert [await queue.take(), await queue.take()] == [traced, request("a")]
    await queue.done(traced)


async def test_a_queue_that_works_is_not_away(queue: RequestQueue) -> None:
    await queue.put(request("a"))
    await queue.take()
    assert not queue.away
