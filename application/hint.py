import logging

from application.ports import Request, RequestQueue
from domain.errors import QueueUnavailable
from domain.identifiers import GenerationId

log = logging.getLogger(__name__)


async def hint(
    queue: RequestQueue,
    generation_id: GenerationId,
    request_id: str | None = None,
    traceparent: str | None = None,
) -> None:
    """Tell the workers that a generation waits. If that fails, the sweeper finds it."""
    try:
        await queue.put(Request(generation_id, request_id, traceparent))
    except QueueUnavailable as error:
        # No warning: while the queue is away it comes once for each message.
        log.info("the hint for %s is late: %s", generation_id, error)
