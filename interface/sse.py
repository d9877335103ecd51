"""Server-sent events, written to ASGI without a framework in between: it runs for every event of
every subscriber."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass
from typing import Final

from starlette.requests import HTTPConnection
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from application.follow_session import FollowGeneration, FollowSession
from application.following import Following
from application.seats import Seats, Transport
from application.visits import Visits
from domain.access import Caller
from domain.errors import ChatError
from domain.identifiers import UserId
from domain.position import Position
from interface.asker import Asker
from interface.heartbeats import Heartbeats
from interface.waiting import Visiting
from interface.wire.encoding import encode
from interface.wire.events import sse_event
from interface.wire.outgoing import gone_json
from interface.wire.parameters import parse_generation_id, parse_session_id

log = logging.getLogger(__name__)

_HEADERS: Final = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]
RETRY: Final = b"retry: 1000\n\n"
HEARTBEAT: Final = b":\n\n"
QUIET_HEARTBEAT: Final = b":\n"
"""The first line of whatever event comes next. To OpenAI's client for Python any empty line ends an
event once there was an id, and one without data breaks its stream."""

MOST_AT_ONCE: Final = 32 * 1024
"""Bytes handed over in one piece, of which each who does not read costs a copy."""

Tell = Callable[[Following], AsyncGenerator[bytes, None]]
"""What is written of what is followed, piece by piece, in the words of one dialect. May raise
ChatError: the stream ends then, and the client comes back, with its cursor."""

Follow = Callable[[UserId, str, Position | None], AbstractAsyncContextManager[Following]]


@dataclass(frozen=True, slots=True)
class Streams:
    """The open streams of this process."""

    heartbeats: Heartbeats
    visits: Visits
    seats: Seats

    def visit_of(self, caller: Caller) -> Visiting:
        """For who does not follow, but waits within a request."""
        return lambda leave: self.visits.including(caller, leave)

    async def __call__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        caller: Caller,
        following: Following,
        tell: Tell | None = None,
        headers: Sequence[tuple[bytes, bytes]] = (),
    ) -> None:
        """The whole reply, to who has a seat: what is followed, until it ends or the client leaves;
        as events, unless another dialect tells it."""
        # 204 tells a browser's EventSource not to come back for more: there is none.
        status = 204 if following.is_over else 200
        head = [*_HEADERS, *headers]
        await send({"type": "http.response.start", "status": status, "headers": head})
        if scope["method"] == "HEAD" or following.is_over:
            await send({"type": "http.response.body", "body": b""})
            return
        leaving = asyncio.create_task(_until_left(receive, following))
        self.seats.change(Transport.WAITING, Transport.SSE)
        try:
            with (
                self.heartbeats.for_(following),
                # Who then comes back is told why.
                self.visits.including(caller, following.end),
            ):
                await _write((tell or tell_events)(following), send)
        except asyncio.CancelledError:
            log.info("a stream whose client does not read is cut: the process ends")
        finally:
            self.seats.change(Transport.SSE, Transport.WAITING)
            leaving.cancel()


@dataclass(frozen=True, slots=True, eq=False)
class SseDoor:
    """An ASGI endpoint that follows whatever the path parameter `name` names."""

    who: Asker
    follow: Follow
    parameter: str
    streams: Streams
    by_ticket: bool = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        connection = HTTPConnection(scope)
        caller = await self.who.caller(connection, by_ticket=self.by_ticket)
        followed = connection.path_params[self.parameter]
        async with (
            self.streams.seats.of(caller.user),
            self.follow(caller.user, followed, _cursor(connection)) as following,
        ):
            await self.streams(scope, receive, send, caller, following)


def sse_routes(
    who: Asker, session: FollowSession, generation: FollowGeneration, streams: Streams
) -> list[BaseRoute]:
    def follow_session(
        user: UserId, session_id: str, cursor: Position | None
    ) -> AbstractAsyncContextManager[Following]:
        return session(user, parse_session_id(session_id), cursor)

    def follow_generation(
        user: UserId, generation_id: str, cursor: Position | None
    ) -> AbstractAsyncContextManager[Following]:
        return generation(user, parse_generation_id(generation_id), cursor)

    return [
        Route(
            "/sse/{session_id}",
            SseDoor(who, follow_session, "session_id", streams, by_ticket=True),
            methods=["GET"],
        ),
        Route(
            "/api/chat/generations/{generation_id}/stream",
            SseDoor(who, follow_generation, "generation_id", streams),
            methods=["GET"],
        ),
    ]


def _cursor(connection: HTTPConnection) -> Position | None:
    """The header is what a browser sends by itself when it comes back, so it is the newer one."""
    given = connection.headers.get("last-event-id") or connection.query_params.get("last_event_id")
    return Position.parse(given) if given else None


async def tell_events(following: Following) -> AsyncGenerator[bytes, None]:
    """The protocol's own words."""
    session_id = following.session_id
    yield RETRY
    async for batch in following:
        shown = [sse_event(session_id, entry) for entry in batch]
        if sum(map(len, shown)) <= MOST_AT_ONCE:
            yield b"".join(shown) or HEARTBEAT
        else:
            for event in shown:
                yield event
    if following.gone:
        yield b"data: %b\n\n" % encode(gone_json(session_id))


async def _write(told: AsyncGenerator[bytes, None], send: Send) -> None:
    try:
        async with aclosing(told):
            async for piece in told:
                for begin in range(0, len(piece), MOST_AT_ONCE):
                    part = piece[begin : begin + MOST_AT_ONCE]
                    await send({"type": "http.response.body", "body": part, "more_body": True})
    except ChatError as error:  # the client comes back, with its cursor
        log.warning("a stream ends early: %s: %s", error.code, error.__cause__ or error)
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _until_left(receive: Receive, following: Following) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    following.end()
