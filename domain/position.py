"""Where a subscriber is in a session's stream."""

import re
from typing import Final, NamedTuple

_WRITTEN: Final = re.compile(r"(0|[1-9][0-9]{0,17})-(0|[1-9][0-9]{0,17})", re.ASCII)


class Position(NamedTuple):
    """`<fence>-<seq>`: the claim that wrote an event, and its number within that claim, from 0.

    Fences rise with each claim of a session, so positions rise within a session over every
    worker and restart, without a clock.
    """

    fence: int
    seq: int

    def __str__(self) -> str:
        return f"{self.fence}-{self.seq}"

    @property
    def next(self) -> "Position":
        return Position(self.fence, self.seq + 1)

    @property
    def before(self) -> "Position":
        """Nothing lies between it and this one; of seq -1 if this is the first of its fence."""
        return Position(self.fence, self.seq - 1)

    @classmethod
    def parse(cls, text: str) -> "Position | None":
        """None for whatever `str(position)` would not write: a bad cursor counts as none."""
        written = _WRITTEN.fullmatch(text)
        return cls(int(written[1]), int(written[2])) if written else None


ORIGIN: Final = Position(0, 0)
"""Before the first event of a session; the first is 1-0."""
