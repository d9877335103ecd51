import asyncio
import logging
import secrets
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from contextvars import Context
from functools import partial
from itertools import count
from time import monotonic
from typing import Any, Final

from domain.identifiers import UserId
from infrastructure.memory.seats import MemorySeats
from infrastructure.redis.asking import Asking
from infrastructure.redis.client import Client
from infrastructure.redis.keys import Keys
from infrastructure.redis.scripts import SIT

log = logging.getLogger(__name__)

SEAT_MS: Final = 90_000
"""So long the seats of a process that has died are taken."""
Left = tuple[float, UserId, str]
"""Since when, and whose which."""

_ENDLESS: Final = 2**31
_AT_ONCE: Final = 200
_USERS_AT_ONCE: Final = 50
"""A step of the loop of some milliseconds."""


class RedisSeats:
    """A seat is an entry in a sorted set of its user's, which is over in a while unless it is
    renewed. While Redis is away each process counts its own, and shows them when it is back."""

    def __init__(
        self,
        client: Client,
        keys: Keys,
        is_out: Callable[[], bool] = bool,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """`is_out` tells what is known of Redis otherwise."""
        self._client: Final = client
        self._keys: Final = keys
        self._ask: Final = Asking(log, "counting in this process alone", is_out, clock)
        self._own: Final = MemorySeats()
        self._held: Final[defaultdict[UserId, set[str]]] = defaultdict(set)
        self._process: Final = secrets.token_hex(8)
        self._numbers: Final = count()
        self._clock: Final = clock
        self._left: list[Left] = []
        self._untold: deque[Left] = deque()
        self._telling: asyncio.Task[None] | None = None

    async def take(self, user: UserId, most: int) -> str | None:
        if await self._own.take(user, most) is None:
            return None
        seat = f"{self._process}-{next(self._numbers)}"
        self._held[user].add(seat)
        try:
            taken = await self._ask(lambda: self._sit(user, most, [seat]))
            if taken == 0 and (self._telling is not None or self._untold):
                await self._tell_again()  # it may be one of those that have left
                taken = await self._ask(lambda: self._sit(user, most, [seat]))
        except BaseException:
            self.leave(user, seat)
            raise
        if taken != 0:
            return seat
        self.leave(user, seat)
        return None

    def leave(self, user: UserId, seat: str) -> None:
        self._own.leave(user, seat)
        self._held[user].discard(seat)
        if not self._held[user]:
            del self._held[user]
        self._left.append((self._clock(), user, seat))
        self._begin_telling()

    def _begin_telling(self) -> None:
        if self._telling is None or self._telling.done():
            # Of nobody's request: it tells of all that are left meanwhile.
            self._telling = asyncio.create_task(self._tell(), context=Context())

    async def renew(self) -> None:
        if self._untold:
            await self._tell_again()
        held = [(user, sorted(seats)) for user, seats in self._held.items()]
        for first in range(0, len(held), _USERS_AT_ONCE):
            some = held[first : first + _USERS_AT_ONCE]
            await asyncio.gather(*(self._renew(user, seats) for user, seats in some))

    async def close(self) -> None:
        """Returns once it is known who has left."""
        if self._telling is not None:
            await asyncio.wait((self._telling,))

    async def _renew(self, user: UserId, seats: Sequence[str]) -> None:
        still = [each for each in seats if each in self._held.get(user, ())]
        if still:
            await self._ask(lambda: self._sit(user, _ENDLESS, still))
            left = [each for each in still if each not in self._held.get(user, ())]
            if left:  # meanwhile, and it may have been told before
                self._left += [(self._clock(), user, each) for each in left]
                self._begin_telling()

    async def _sit(self, user: UserId, most: int, seats: Sequence[str]) -> int:
        sit: Any = self._client.execute_command
        return int(await sit("EVAL", SIT.text, 1, self._keys.seats(user), SEAT_MS, most, *seats))

    async def _tell_again(self) -> None:
        self._left = [*self._untold, *self._left]
        self._untold.clear()
        self._begin_telling()
        assert self._telling is not None
        await asyncio.wait((self._telling,))

    async def _tell(self) -> None:
        while self._left:
            some, self._left = self._left[:_AT_ONCE], self._left[_AT_ONCE:]
            told = await self._ask(partial(self._forget, some))
            if told is None:
                self._keep(some)

    def _keep(self, untold: Sequence[Left]) -> None:
        """For when Redis is back, unless by then they are over there by themselves."""
        self._untold += untold
        over = self._clock() - SEAT_MS / 1000
        while self._untold and self._untold[0][0] < over:
            self._untold.popleft()

    async def _forget(self, left: Sequence[Left]) -> list[Any]:
        pipeline = self._client.pipeline(transaction=False)
        for _, user, seat in left:
            pipeline.execute_command("ZREM", self._keys.seats(user), seat)
        told: list[Any] = await pipeline.execute()
        return told
