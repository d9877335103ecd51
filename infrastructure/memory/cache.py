from collections import OrderedDict
from collections.abc import Callable
from time import monotonic
from typing import Final, NamedTuple

from application.ports import Recalled
from domain.api_config import ApiConfig
from domain.conversation import Conversation
from domain.identifiers import ApiId, SessionId

KEEP_SECONDS: Final = 600.0
_MOST_CHARACTERS: Final = 16_000_000
"""Of all texts together; then the oldest go."""
_BESIDES: Final = 500
"""What a message or a configuration counts besides its text."""


class _Kept(NamedTuple):
    value: Conversation | ApiConfig
    size: int
    expires_at: float


class MemoryCache:
    """Also right in one of several processes: it knows less there, and nothing wrong is used."""

    def __init__(
        self, clock: Callable[[], float] = monotonic, most_characters: int = _MOST_CHARACTERS
    ) -> None:
        self._clock: Final = clock
        self._most: Final = most_characters
        self._size = 0
        # In the order in which they expire. Ids of sessions are texts, those of configurations
        # are numbers.
        self._kept: Final[OrderedDict[SessionId | ApiId, _Kept]] = OrderedDict()

    async def recall(self, session_id: SessionId, api_id: ApiId | None) -> Recalled:
        self._expire()
        conversation = self._kept.get(session_id)
        config = None if api_id is None else self._kept.get(api_id)
        return Recalled(
            conversation.value
            if conversation and isinstance(conversation.value, Conversation)
            else None,
            config.value if config and isinstance(config.value, ApiConfig) else None,
        )

    async def keep_conversation(self, conversation: Conversation) -> None:
        texts = sum(len(message.content) + _BESIDES for message in conversation.messages)
        self._keep(conversation.session_id, conversation, texts + _BESIDES)

    async def keep_config(self, config: ApiConfig) -> None:
        self._keep(config.id, config, len(config.base_url) + _BESIDES)

    async def forget_conversation(self, session_id: SessionId) -> None:
        self._forget(session_id)

    async def forget_config(self, api_id: ApiId) -> None:
        self._forget(api_id)

    def _keep(self, key: SessionId | ApiId, value: Conversation | ApiConfig, size: int) -> None:
        self._forget(key)
        self._kept[key] = _Kept(value, size, self._clock() + KEEP_SECONDS)
        self._size += size
        self._expire()
        while self._size > self._most:
            self._forget(next(iter(self._kept)))

    def _expire(self) -> None:
        now = self._clock()
        while self._kept:
            key, kept = next(iter(self._kept.items()))
            if now < kept.expires_at:
                break
            self._forget(key)

    def _forget(self, key: SessionId | ApiId) -> None:
        kept = self._kept.pop(key, None)
        if kept is not None:
            self._size -= kept.size
