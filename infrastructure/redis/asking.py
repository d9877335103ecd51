"""Asking Redis for what can do without it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Final, TypeVar

from infrastructure.redis.client import FAILURES, said_by

T = TypeVar("T")

_ANSWER_SECONDS: Final = 0.2
_PAUSE_SECONDS: Final = 1.0
"""After a failure nothing is asked for so long: by then it is known whether Redis is away."""


class Asking:
    """Waits for a moment and no longer, and raises nothing."""

    def __init__(
        self,
        log: logging.Logger,
        without: str,
        is_out: Callable[[], bool],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """`is_out` tells what is known of Redis otherwise. `without`: what is done then, for the
        log."""
        self._log: Final = log
        self._without: Final = without
        self._is_out: Final = is_out
        self._clock: Final = clock
        self._quiet_until = 0.0

    async def __call__(self, command: Callable[[], Awaitable[T]]) -> T | None:
        """None also if Redis is away, or does not answer at once."""
        if self._is_out() or self._clock() < self._quiet_until:
            return None
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                return await command()
        except FAILURES as error:
            self._quiet_until = self._clock() + _PAUSE_SECONDS
            self._log.debug("%s: %s", self._without, said_by(error))
            return None
