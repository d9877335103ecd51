from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from application.ports import TakenSeats
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
    """How many streams, sockets and waiting requests each user may have at a time; 0 is no limit.
    A seat is taken before anything is done for whoever asks. `by_transport` is how many of each
    this process has: who is not told the answer piece by piece waits for it."""

    taken: TakenSeats
    most_per_user: int = 0
    by_transport: dict[Transport, int] = field(
        default_factory=lambda: dict.fromkeys(Transport, 0), init=False
    )

    def of(self, user: UserId, transport: Transport = Transport.WAITING) -> "Seat":
        return Seat(self, user, transport)

    def change(self, before: Transport, after: Transport) -> None:
        """Somebody who has a seat hears it in another way from now on."""
        self.by_transport[before] -= 1
        self.by_transport[after] += 1


@dataclass(slots=True)
class Seat:
    """Held for as long as its block lasts: an object, for a generator would cost each idle socket
    more."""

    seats: Seats
    user: UserId
    transport: Transport
    name: str | None = field(default=None, init=False)
    is_taken: bool = field(default=False, init=False)

    async def __aenter__(self) -> None:
        """Raises TooManyStreams."""
        most = self.seats.most_per_user
        if most:
            self.name = await self.seats.taken.take(self.user, most)
            if self.name is None:
                raise TooManyStreams(
                    f"You follow {most} streams already, which is all one may; close one.",
                    _SOON_SECONDS,
                )
        self.is_taken = True
        self.seats.by_transport[self.transport] += 1

    async def __aexit__(self, *_: object) -> None:
        self.leave()

    def leave(self) -> None:
        if self.is_taken:
            self.is_taken = False
            self.seats.by_transport[self.transport] -= 1
        if self.name is not None:
            self.seats.taken.leave(self.user, self.name)
            self.name = None
