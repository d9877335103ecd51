"""Where a client is in a response's events.

Their numbers are no counts: how a text is cut into events differs from reader to reader, and may be
forgotten. Each says by itself where its event stands, so that what comes after it can be told at
any time, by any process, from the text alone:

    0 .. 4                              the events before the text, always the same
    (characters << 24) | digest         a delta, by the `Mark` of the text up to its end
    ((characters + 1) << 24) | 0 .. 3   the events after a text of so many characters
    ((characters + 1) << 24) | 15       an error, which is the last event wherever it comes

They rise strictly; no digest is below 16. The one exception is the error of a stream that is cut:
it has the number of the event before it, after which the next stream goes on.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from interface.dialects.told import DIGEST_BITS, RESERVED, Mark


class Before(IntEnum):
    """The text."""

    NOTHING = -1
    CREATED = 0
    QUEUED = 1
    IN_PROGRESS = 2
    ITEM_ADDED = 3
    PART_ADDED = 4


class After(IntEnum):
    TEXT_DONE = 0
    PART_DONE = 1
    ITEM_DONE = 2
    ENDED = 3
    BROKEN = RESERVED - 1


@dataclass(frozen=True, slots=True)
class Closing:
    """So many characters are the whole text, and this is known of what comes after it."""

    characters: int
    told: int

    @property
    def number(self) -> int:
        return (self.characters + 1) << DIGEST_BITS | self.told


Place = Before | Mark | Closing

MOST: Final = 2**53 - 1
"""The highest that JavaScript holds."""


def place_of(number: int) -> Place:
    """Of any number from 0 on: one that nobody was told is one that fits to no text."""
    characters, rest = number >> DIGEST_BITS, number & (1 << DIGEST_BITS) - 1
    if not characters:
        return Before(min(rest, Before.PART_ADDED))
    return Closing(characters - 1, rest) if rest < RESERVED else Mark.numbered(number)
