import pytest

from application.ports import Request
from domain.errors import QueueUnavailable
from domain.identifiers import GenerationId
from infrastructure.memory.request_queue import MemoryRequestQueue


async def test_a_full_queue_says_so() -> None:
    queue = MemoryRequestQueue(capacity=3)
    for number in range(3):
        await queue.put(Request(GenerationId(str(number)), "request-1"))
    with pytest.raises(QueueUnavailable):
        await queue.put(Request(GenerationId("one too many"), "request-1"))
