"""Following: check first, then hand out a cursor that moves through the stream."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from application.following import Followers, Following, Look
from application.ports import EventStream, OpenUnitOfWork
from domain.errors import GenerationNotFound, SessionNotFound
from domain.identifiers import GenerationId, SessionId, UserId
from domain.position import Position


@dataclass(frozen=True, slots=True)
class FollowSession:
    """Follow a session from a cursor on."""

    open_unit_of_work: OpenUnitOfWork
    stream: EventStream
    followers: Followers

    @asynccontextmanager
    async def __call__(
        self, user: UserId, session_id: SessionId, cursor: Position | None
    ) -> AsyncIterator[Following]:
        """Raises SessionNotFound before anything is streamed."""
        look = Look(self.open_unit_of_work, user)
        async with self.stream.subscribe(session_id) as subscription:
            following = Following(look, self.stream, session_id, None, subscription)
            if not await following.begin(cursor):
                raise SessionNotFound
            with self.followers.including(following):
                yield following


@dataclass(frozen=True, slots=True)
class FollowGeneration:
    """Follow one generation from a cursor on, until it has ended."""

    open_unit_of_work: OpenUnitOfWork
    stream: EventStream
    followers: Followers

    @asynccontextmanager
    async def __call__(
        self, user: UserId, generation_id: GenerationId, cursor: Position | None
    ) -> AsyncIterator[Following]:
        """Raises GenerationNotFound before anything is streamed."""
        async with self.open_unit_of_work(read_only=True) as work:
            generation = await work.generations.find(generation_id, user)
        if generation is None:
            raise GenerationNotFound
        look = Look(self.open_unit_of_work, user)
        async with self.stream.subscribe(generation.session_id) as subscription:
            following = Following(
                look, self.stream, generation.session_id, generation_id, subscription
            )
            if not await following.begin(cursor):
                raise GenerationNotFound
            with self.followers.including(following):
                yield following
