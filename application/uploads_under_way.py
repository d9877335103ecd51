import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from domain.errors import Overloaded
from domain.identifiers import UserId


@dataclass(slots=True, eq=False)
class _Uploader:
    uploads: int = 0
    reading: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass(slots=True, eq=False)
class UploadsUnderWay:
    """Those of this process. Each may take its time, and disk; so there are only so many at once,
    and only so many of one user."""

    most: int = 100
    most_of_user: int = 25
    _by_user: dict[UserId, _Uploader] = field(default_factory=dict)

    @asynccontextmanager
    async def one_of(self, user: UserId) -> AsyncIterator[asyncio.Lock]:
        """For as long as the block lasts. Whoever holds the lock may read a document: of one user
        it is one at a time, so that others need not wait for all of them.

        Raises Overloaded.
        """
        uploader = self._by_user.get(user, _Uploader())
        under_way = sum(each.uploads for each in self._by_user.values())
        if uploader.uploads >= self.most_of_user or under_way >= self.most:
            raise Overloaded
        self._by_user[user] = uploader
        uploader.uploads += 1
        try:
            yield uploader.reading
        finally:
            uploader.uploads -= 1
            if not uploader.uploads:
                del self._by_user[user]
