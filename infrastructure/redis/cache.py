import logging
from collections.abc import Callable
from time import monotonic
from typing import Any, Final, TypeVar

from application.ports import Recalled
from domain.api_config import ApiConfig
from domain.conversation import Conversation
from domain.identifiers import ApiId, SessionId
from infrastructure.redis.asking import Asking
from infrastructure.redis.cache_codec import (
    decode_config,
    decode_conversation,
    encode_config,
    encode_conversation,
)
from infrastructure.redis.client import Client
from infrastructure.redis.keys import Keys

log = logging.getLogger(__name__)

T = TypeVar("T")

KEEP_MS: Final = 600_000
"""As long as the stream of an ended answer is held, with its text."""
_MOST_BYTES: Final = 64 * 1024
"""Of one conversation. Redis has only so much memory, which the streams need more."""


class RedisCache:
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
        self._ask: Final = Asking(log, "nothing is recalled", is_out, clock)

    async def recall(self, session_id: SessionId, api_id: ApiId | None) -> Recalled:
        conversation = self._keys.conversation(session_id)
        if api_id is None:
            answer = await self._ask(lambda: self._client.execute_command("GET", conversation))
            return Recalled(_read(decode_conversation, answer))
        config = self._keys.config(api_id)
        answers = await self._ask(lambda: self._get_both(conversation, config)) or (None, None)
        return Recalled(_read(decode_conversation, answers[0]), _read(decode_config, answers[1]))

    async def keep_conversation(self, conversation: Conversation) -> None:
        data = encode_conversation(conversation)
        if len(data) <= _MOST_BYTES:
            await self._keep(self._keys.conversation(conversation.session_id), data)

    async def keep_config(self, config: ApiConfig) -> None:
        await self._keep(self._keys.config(config.id), encode_config(config))

    async def forget_conversation(self, session_id: SessionId) -> None:
        await self._forget(self._keys.conversation(session_id))

    async def forget_config(self, api_id: ApiId) -> None:
        await self._forget(self._keys.config(api_id))

    async def _get_both(self, *keys: str) -> list[Any]:
        """In one trip; on a cluster they may be at two nodes."""
        pipeline = self._client.pipeline(transaction=False)
        for key in keys:
            pipeline.execute_command("GET", key)
        return await pipeline.execute()

    async def _keep(self, key: str, data: bytes) -> None:
        await self._ask(lambda: self._client.execute_command("SET", key, data, "PX", KEEP_MS))

    async def _forget(self, key: str) -> None:
        await self._ask(lambda: self._client.execute_command("DEL", key))


def _read(decode: Callable[[bytes], T], data: bytes | None) -> T | None:
    if data is None:
        return None
    try:
        return decode(data)
    except ValueError:
        return None
