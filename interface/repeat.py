import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

from domain.errors import ChatError

log = logging.getLogger(__name__)


async def repeat(
    seconds: float, action: Callable[[], Awaitable[None]], *, jitter: float = 0.0
) -> None:
    """Do it again and again, that far apart, until cancelled; no failure ends it."""
    while True:
        await asyncio.sleep(seconds * random.uniform(1 - jitter, 1 + jitter))
        try:
            await action()
        except ChatError as error:
            log.warning("%s: %s", error.code, error.__cause__ or error)
        except Exception:
            log.exception("a repeated action failed")
