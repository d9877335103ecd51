import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import monotonic
from typing import Final

from domain.errors import ChatError

log = logging.getLogger(__name__)

_QUIET_SECONDS: Final = 1.0
"""Between two lines about one action's failures: some are repeated several times a second."""


@dataclass(frozen=True, slots=True)
class Hurry:
    """Do it that far apart while there is a reason to."""

    seconds: float
    reason: Callable[[], bool]


async def repeat(
    seconds: float,
    action: Callable[[], Awaitable[None]],
    *,
    jitter: float = 0.0,
    hurry: Hurry | None = None,
    at_once: bool = False,
) -> None:
    """Do it again and again, that far apart, until cancelled; no failure ends it."""
    quiet_until = 0.0
    while True:
        if not at_once:
            await _pause(seconds * random.uniform(1 - jitter, 1 + jitter), hurry)
        at_once = False
        try:
            await action()
        except ChatError as error:
            if monotonic() >= quiet_until:
                log.warning("%s: %s", error.code, error.__cause__ or error)
                quiet_until = monotonic() + _QUIET_SECONDS
        except Exception:
            log.exception("a repeated action failed")


async def _pause(seconds: float, hurry: Hurry | None) -> None:
    """Cut short when a reason to hurry comes up."""
    until = monotonic() + seconds
    while (rest := until - monotonic()) > 0:
        if hurry is None:
            await asyncio.sleep(rest)
            return
        await asyncio.sleep(min(rest, hurry.seconds))
        if hurry.reason():
            return
