from collections import defaultdict
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from domain.identifiers import UserId
from domain.limits import TooManyStreams

_SOON_SECONDS: Final = 5.0
"""Some stream of the user's ends in about that time, if any does."""


class Transport(StrEnum):
    """How somebody hears an answer: as a stream of events, over a socket, or whole, at its end."""

    SSE = "sse"
    WEBSOCKET = "websocket"
    WAITING = "waiting"


@dataclass(frozen=True, slots=True)
class Seats:
    """How many streams, sockets and waiting requests of this process are each user's; 0 is no
    limit to them. A seat is taken before anything is done for whoever asks, so those who come in
    the same moment see each other. `by_transport` is how many there are of each: who is not told
    the answer piece by piece waits for it."""

    most_per_user: int = 0
    taken: "defaultdict[UserId, int]" = field(default_factory=lambda: defaultdict(int))
    by_transport: dict[Transport, int] = field(
        default_factory=lambda: dict.fromkeys(Transport, 0), init=False
    )

    def of(self, user: UserId, transport: Transport = Transport.WAITING) -> "Seat":
        return Seat(self, user, transport)

    def change(self, before: Transport, after: Transport) -> None:
        """Somebody who has a seat hears it in another way from now on."""
        self.by_transport[before] -= 1
        self.by_transport[after] += 1


@dataclass(frozen=True, slots=True)
class Seat:
    """Held for as long as its block lasts: an object, for a generator would cost each idle socket
    more."""

    seats: Seats
    user: UserId
    transport: Transport

    def __enter__(self) -> None:
        """Raises TooManyStreams."""
        taken, most = self.seats.taken, self.seats.most_per_user
        if most and taken[self.user] >= most:
            raise TooManyStreams(
                f"You follow {most} streams already, which is all one may; close one.",
                _SOON_SECONDS,
            )
        taken[self.user] += 1
        self.seats.by_transport[self.transport] += 1

    def __exit__(self, *_: object) -> None:
        self.seats.by_transport[self.transport] -= 1
        taken = self.seats.taken
        taken[self.user] -= 1
        if not taken[self.user]:
            del taken[self.user]
