from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """What one call of a model may take: seconds, and bytes.

    `first_event` counts from the call to the first event that says something, `gap` from one such
    event to the next; comments say nothing. A line is one event's data. The output is text and
    reasoning together, in UTF-8.
    """

    connect: float = 5
    first_event: float = 60
    gap: float = 30
    total: float = 600
    line_bytes: int = 1024 * 1024
    output_bytes: int = 1024 * 1024
    reply_bytes: int = 256 * 1024 * 1024
