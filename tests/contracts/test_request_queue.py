"""What every request queue promises."""

import asyncio

import pytest

from application.ports import Request, RequestQueue
from domain.errors import QueueUnavailable
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


async def test_a_full_queue_says_so(queue: RequestQueue) -> None:
    for number in range(3):
        await queue.put(request(str(number)))
    with pytest.raises(QueueUnavailable):
        await queue.put(request("one too many"))
