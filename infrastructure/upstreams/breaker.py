"""Leaving a server alone for a while after it failed again and again."""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from domain.errors import (
    ModelFailed,
    ModelMalformed,
    ModelSuspended,
    ModelTimedOut,
    ModelTruncated,
    ModelUnreachable,
)

_BLAMED: Final = (ModelUnreachable, ModelTimedOut, ModelTruncated, ModelMalformed)
_MOST_REMEMBERED: Final = 10_000


def blames_server(error: Exception) -> bool:
    """Whether a failure is the server's: not a bad key, nor too many or bad requests, which are
    their sender's."""
    return isinstance(error, _BLAMED) or type(error) is ModelFailed


class State(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(slots=True)
class Breaker:
    """Of one server. Closed until it fails `threshold` times in a row; then open for `pause`
    seconds, in which nobody calls; then one call may try, and its outcome closes or opens it."""

    threshold: int
    pause: float
    now: Callable[[], float] = time.monotonic
    _failures: int = field(default=0, init=False)
    _closed_at: float = field(default=0.0, init=False)
    _trying: bool = field(default=False, init=False)

    @property
    def state(self) -> State:
        if self._failures < self.threshold:
            return State.CLOSED
        return State.OPEN if self._closed_at > self.now() else State.HALF_OPEN

    @contextmanager
    def call(self) -> Iterator[None]:
        """Around a call, up to where its outcome is known. One that is cancelled has none.

        Raises ModelSuspended, and then nothing may be called.
        """
        tries = self._enter()
        try:
            yield
        except Exception as error:
            if blames_server(error):
                self._fail()
            elif isinstance(error, ModelFailed):
                self._failures = 0
            raise
        else:
            self._failures = 0
        finally:
            if tries:
                self._trying = False

    def _enter(self) -> bool:
        """Whether this call is the one that tries."""
        if self._failures < self.threshold:
            return False
        wait = self._closed_at - self.now()
        if wait > 0 or self._trying:
            seconds = max(1, round(wait))
            raise ModelSuspended(
                f"The model's server failed {self._failures} times in a row; "
                f"it is tried again in {seconds} s."
            )
        self._trying = True
        return True

    def _fail(self) -> None:
        self._failures += 1
        self._closed_at = self.now() + self.pause


@dataclass(slots=True)
class Breakers:
    """One breaker per server, for as long as there is something to remember."""

    threshold: int = 5
    pause: float = 10
    _by_server: OrderedDict[str, Breaker] = field(default_factory=OrderedDict, init=False)

    def of(self, server: str) -> Breaker:
        breaker = self._by_server.get(server)
        if breaker is None:
            breaker = self._by_server[server] = Breaker(self.threshold, self.pause)
            if len(self._by_server) > _MOST_REMEMBERED:
                self._forget()
        self._by_server.move_to_end(server)
        return breaker

    def not_closed(self) -> dict[State, int]:
        """How many are in each state in which not everybody may call."""
        counts = {State.OPEN: 0, State.HALF_OPEN: 0}
        for breaker in self._by_server.values():
            if breaker.state in counts:
                counts[breaker.state] += 1
        return counts

    def _forget(self) -> None:
        """The longest unused one; users may name any number of servers."""
        self._by_server.popitem(last=False)
