"""What both directions share."""

import base64
from collections.abc import Callable
from typing import Any, Final

import msgspec

Json = dict[str, Any]

encode: Final[Callable[[object], bytes]] = msgspec.json.Encoder().encode


def close_cursor(*parts: object) -> str:
    """An opaque cursor of a list."""
    return base64.urlsafe_b64encode(encode(parts)).decode("ascii")


def open_cursor(cursor: str) -> object:
    """What is in it. Raises ValueError or RecursionError for what is no cursor."""
    opened: object = msgspec.json.decode(base64.urlsafe_b64decode(cursor.encode("ascii")))
    return opened
