import asyncio
import logging
from collections.abc import AsyncGenerator
from typing import Final

from domain.identifiers import SessionId
from infrastructure.redis.client import FAILURES, Client, said_by
from infrastructure.redis.keys import Keys
from infrastructure.redis.subscriber import Subscriber

log = logging.getLogger(__name__)

_MOST_KEPT: Final = 10_000
"""For a worker that is slow; what it misses its heartbeat finds."""


class RedisWakeUps:
    def __init__(self, client: Client, subscriber: Subscriber, keys: Keys) -> None:
        self._client: Final = client
        self._subscriber: Final = subscriber
        self._channel: Final = keys.wake_ups
        self._workers: Final[set[asyncio.Queue[SessionId]]] = set()

    async def wake(self, session_id: SessionId) -> None:
        if self._subscriber.away:
            return
        try:
            await self._client.execute_command("PUBLISH", self._channel, session_id)
        except FAILURES as error:
            log.debug("nobody is woken: %s", said_by(error))

    async def woken(self) -> AsyncGenerator[SessionId, None]:
        woken: asyncio.Queue[SessionId] = asyncio.Queue(_MOST_KEPT)
        await self._subscriber.listen(self._channel, self._hear)
        self._workers.add(woken)
        try:
            while True:
                yield await woken.get()
        finally:
            self._workers.discard(woken)

    def _hear(self, data: bytes) -> None:
        for woken in self._workers:
            if not woken.full():
                woken.put_nowait(SessionId(data.decode(errors="replace")))
