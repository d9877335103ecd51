"""What the cache holds, as bytes. Processes of neighbouring versions share a Redis while one
replaces the other; what one can't read it does not know."""

from typing import Final

import msgspec

from domain.api_config import ApiConfig
from domain.conversation import Conversation

_encode: Final = msgspec.msgpack.Encoder().encode
_conversation: Final = msgspec.msgpack.Decoder(Conversation).decode
_config: Final = msgspec.msgpack.Decoder(ApiConfig).decode


def encode_conversation(conversation: Conversation) -> bytes:
    return _encode(conversation)


def decode_conversation(data: bytes) -> Conversation:
    """Raises ValueError for what no version of this one has written."""
    return _conversation(data)


def encode_config(config: ApiConfig) -> bytes:
    return _encode(config)


def decode_config(data: bytes) -> ApiConfig:
    """Raises ValueError, likewise."""
    return _config(data)
