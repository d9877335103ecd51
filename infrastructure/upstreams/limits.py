from dataclasses import dataclass
from typing import Final

READ_BYTES: Final = 16 * 1024
"""The most that is read, and taken apart, before others have a turn."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one call of a model may take: seconds, and bytes.

    `first_event` counts from the call to the first event that says something, `gap` from one such
    event to the next; comments say nothing. A line is one event's data. The output is text and
    reasoning together, in UTF-8. Between two pieces of it at most `silent_bytes` may come, and
    `reply_bytes` in all.
    """

    connect: float = 5
    first_event: float = 60
    gap: float = 30
    total: float = 600
    line_bytes: int = 1024 * 1024
    output_bytes: int = 1024 * 1024
    silent_bytes: int = 8 * 1024 * 1024
    reply_bytes: int = 256 * 1024 * 1024
