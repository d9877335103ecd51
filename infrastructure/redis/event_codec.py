"""Events as bytes in Redis: a letter for the kind, then JSON. Processes of neighbouring versions
share a Redis while one replaces the other, so fields may be added and none renamed."""

from typing import Any, Final

import msgspec

from application.events import (
    Chunk,
    Done,
    Failed,
    Reasoning,
    Reset,
    Snapshot,
    Start,
    Stopped,
    StreamEvent,
)

LETTERS: Final[dict[type[StreamEvent], bytes]] = {
    Start: b"o",
    Reset: b"r",
    Chunk: b"c",
    Reasoning: b"i",
    Snapshot: b"s",
    Done: b"d",
    Stopped: b"t",
    Failed: b"f",
}

_encode: Final = msgspec.json.Encoder().encode
_decoders: Final[dict[bytes, Any]] = {
    letter: msgspec.json.Decoder(kind) for kind, letter in LETTERS.items()
}


def encode_event(event: StreamEvent) -> bytes:
    return LETTERS[type(event)] + _encode(event)


def decode_event(data: bytes) -> StreamEvent:
    """Raises ValueError for what no version of this one has written."""
    decoder = _decoders.get(data[:1])
    if decoder is None:
        raise ValueError("an event of an unknown kind")
    event: StreamEvent = decoder.decode(data[1:])
    return event
