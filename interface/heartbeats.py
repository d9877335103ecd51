from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle
from typing import Final

from application.following import Following

HEARTBEAT_SECONDS: Final = 15
"""A stream is never silent for longer: proxies keep it, and a dead connection is noticed."""


class Heartbeats:
    """One clock for all streams of a process. Each second it wakes a part of them, so that many
    thousands are not all written to at once."""

    def __init__(self) -> None:
        self._parts: Final[list[set[Following]]] = [set() for _ in range(HEARTBEAT_SECONDS)]
        self._joining: Final = cycle(self._parts)
        self._beating: Final = cycle(self._parts)

    @contextmanager
    def for_(self, following: Following) -> Iterator[None]:
        part = next(self._joining)
        part.add(following)
        try:
            yield
        finally:
            part.discard(following)

    async def beat(self) -> None:
        """To be called each second."""
        for following in next(self._beating):
            following.wake()
