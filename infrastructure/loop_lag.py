import asyncio
from collections import deque
from time import monotonic
from typing import Final

_BETWEEN_SECONDS: Final = 0.5
_REMEMBERED: Final = 120
"""A minute of them: longer than between two looks of whoever watches."""


class LoopLag:
    """How late the event loop comes to what is due: while it is late, everybody waits."""

    def __init__(self) -> None:
        self._lags: Final[deque[float]] = deque(maxlen=_REMEMBERED)

    @property
    def longest(self) -> float:
        """In seconds, within the last minute."""
        return max(self._lags, default=0.0)

    async def __call__(self) -> None:
        """Measures until it is cancelled."""
        while True:
            due = monotonic() + _BETWEEN_SECONDS
            await asyncio.sleep(_BETWEEN_SECONDS)
            self._lags.append(max(0.0, monotonic() - due))
