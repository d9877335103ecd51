from dataclasses import dataclass, field
from typing import Final

from application.ports import TakenSeats
from domain.identifiers import UserId
from domain.limits import TooManyStreams

_SOON_SECONDS: Final = 5.0
"""Some stream of the user's ends in about that time, if any does."""


@dataclass(frozen=True, slots=True)
class Seats:
    """How many streams, sockets and waiting requests each user may have at a time; 0 is no limit.
    A seat is taken before anything is done for whoever asks."""

    taken: TakenSeats
    most_per_user: int = 0

    def of(self, user: UserId) -> "Seat":
        return Seat(self, user)


@dataclass(slots=True)
class Seat:
    """Held for as long as its block lasts: an object, for a generator would cost each idle socket
    more."""

    seats: Seats
    user: UserId
    name: str | None = field(default=None, init=False)

    async def __aenter__(self) -> None:
        """Raises TooManyStreams."""
        most = self.seats.most_per_user
        if not most:
            return
        self.name = await self.seats.taken.take(self.user, most)
        if self.name is None:
            raise TooManyStreams(
                f"You follow {most} streams already, which is all one may; close one.",
                _SOON_SECONDS,
            )

    async def __aexit__(self, *_: object) -> None:
        self.leave()

    def leave(self) -> None:
        if self.name is not None:
            self.seats.taken.leave(self.user, self.name)
            self.name = None
