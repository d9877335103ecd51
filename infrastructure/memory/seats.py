from collections import defaultdict
from typing import Final

from domain.identifiers import UserId


class MemorySeats:
    """Of this process alone. Their number is all that must be known of them."""

    def __init__(self) -> None:
        self.taken: Final[defaultdict[UserId, int]] = defaultdict(int)

    async def take(self, user: UserId, most: int) -> str | None:
        if self.taken[user] >= most:
            return None
        self.taken[user] += 1
        return ""

    def leave(self, user: UserId, _: str) -> None:
        self.taken[user] -= 1
        if not self.taken[user]:
            del self.taken[user]

    async def renew(self) -> None:
        """They are its own for as long as it is there."""
