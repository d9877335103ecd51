from collections import defaultdict
from dataclasses import dataclass, field
from typing import Final

from domain.identifiers import UserId
from domain.limits import TooManyStreams

_SOON_SECONDS: Final = 5.0
"""Some stream of the user's ends in about that time, if any does."""


@dataclass(frozen=True, slots=True)
class Seats:
    """How many streams, sockets and waiting requests of this process are each user's; 0 is no
    limit to them. A seat is taken before anything is done for whoever asks, so those who come in
    the same moment see each other."""

    most_per_user: int = 0
    taken: "defaultdict[UserId, int]" = field(default_factory=lambda: defaultdict(int))

    def of(self, user: UserId) -> "Seat":
        return Seat(self, user)


@dataclass(frozen=True, slots=True)
class Seat:
    """Held for as long as its block lasts: an object, for a generator would cost each idle socket
    more."""

    seats: Seats
    user: UserId

    def __enter__(self) -> None:
        """Raises TooManyStreams."""
        taken, most = self.seats.taken, self.seats.most_per_user
        if most and taken[self.user] >= most:
            raise TooManyStreams(
                f"You follow {most} streams already, which is all one may; close one.",
                _SOON_SECONDS,
            )
        taken[self.user] += 1

    def __exit__(self, *_: object) -> None:
        taken = self.seats.taken
        taken[self.user] -= 1
        if not taken[self.user]:
            del taken[self.user]
