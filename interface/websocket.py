"""`/ws`: a plain text frame is a message, a JSON object with `type` is a command."""

import asyncio
import logging
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from itertools import count
from typing import Final

from starlette.requests import HTTPConnection
from starlette.routing import BaseRoute, WebSocketRoute
from starlette.types import Receive, Scope, Send

from application.follow_session import FollowSession
from application.following import Following
from application.log_context import also_about, begin_apart
from application.open_session import OpenSession, Wishes
from application.seats import Seat, Seats, Transport
from application.stop_generation import StopGeneration
from application.submit_message import Submission, SubmitMessage
from application.visits import Visits
from domain.access import Caller
from domain.errors import (
    ChatError,
    Flaw,
    InvalidInput,
    InvalidToken,
    NotSignedIn,
    SessionNotFound,
)
from domain.identifiers import SessionId, UserId
from domain.position import Position
from interface.asker import Asker
from interface.pace import Pace, Paces
from interface.problems import problem_of
from interface.request_id import request_id_of
from interface.wire.encoding import encode
from interface.wire.event_shapes import GoneEvent
from interface.wire.events import websocket_event
from interface.wire.frame_shapes import FrameJson, Opened, PongFrame
from interface.wire.frames import (
    CancelFrame,
    FollowFrame,
    Frame,
    PingFrame,
    ResumeFrame,
    SendFrame,
    UnfollowFrame,
    parse_frame,
)
from interface.wire.outgoing import (
    accepted_frame,
    cancelling_frame,
    error_frame,
    gone_json,
    opened_frame,
)
from interface.wire.parameters import parse_generation_id, parse_session_id

log = logging.getLogger(__name__)

MAX_FRAME_BYTES: Final = 256 * 1024
MAX_FOLLOWED: Final = 100
"""Sessions that one socket may follow."""

PONG: Final[PongFrame] = {"type": "pong"}

# Close codes, by what the client should do.
NOT_SIGNED_IN: Final = 4401
NO_SUCH_SESSION: Final = 4404
COME_BACK_LATER: Final = 1013
FAULT: Final = 1011


@dataclass(frozen=True, slots=True, eq=False)
class WebSocketDoor:
    who: Asker
    open_session: OpenSession
    follow_session: FollowSession
    submit_message: SubmitMessage
    stop_generation: StopGeneration
    visits: Visits
    seats: Seats
    paces: Paces

    def routes(self) -> list[BaseRoute]:
        return [WebSocketRoute("/ws", self)]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        connection = HTTPConnection(scope)
        await receive()  # websocket.connect
        await send({"type": "websocket.accept"})
        socket = _Socket(self, send, request_id_of(scope))
        try:
            caller = await socket.enter(connection)
            with self.visits.including(caller, socket.dismiss):
                while (message := await receive())["type"] == "websocket.receive":
                    await socket.hear(message.get("text"))
        except _Refused as refused:
            await socket.close(refused.code, refused.reason)
        except OSError:
            pass  # the client is gone; what it sent is stored
        except asyncio.CancelledError:
            log.info("a socket whose client does not read is cut: the process ends")
        finally:
            await socket.leave()


class _Refused(Exception):
    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


@dataclass(slots=True, eq=False)
class _Socket:
    """One client: the session it is at home in, and those that it follows."""

    door: WebSocketDoor
    transmit: Send
    request_id: str
    user: UserId = field(default=UserId(0), init=False)
    home: SessionId = field(default=SessionId(""), init=False)
    followed: "dict[SessionId, _Followed]" = field(default_factory=dict, init=False)
    seat: Seat | None = field(default=None, init=False)
    pace: Pace | None = field(default=None, init=False)
    closed: bool = field(default=False, init=False)
    dismissing: "asyncio.Task[None] | None" = field(default=None, init=False)
    heard: "count[int]" = field(default_factory=lambda: count(1), init=False)

    async def enter(self, connection: HTTPConnection) -> Caller:
        query = connection.query_params
        given = query.get("session_id")
        try:
            caller = await self.door.who.caller(connection, by_ticket=True)
            self.user = caller.user
            self.pace = self.door.paces.of(connection, caller)
            seat = self.door.seats.of(caller.user, Transport.WEBSOCKET)
            await seat.__aenter__()
            self.seat = seat
            if given is None:
                self.home = (await self.door.open_session(self.user, Wishes())).session.id
            else:
                self.home = parse_session_id(given)
            await self._follow(self.home, query.get("last_event_id"), "session")
        except (NotSignedIn, InvalidToken) as error:
            raise await self._refused(error, NOT_SIGNED_IN) from None
        except SessionNotFound as error:
            raise await self._refused(error, NO_SUCH_SESSION) from None
        except ChatError as error:
            raise await self._refused(error, COME_BACK_LATER) from None
        return caller

    async def hear(self, text: str | None) -> None:
        """Do what a frame asks; a bad one is answered and changes nothing."""
        frame: Frame | None = None
        if self.dismissing is not None:
            return
        try:
            try:
                frame = _parsed(text)
            finally:
                await self._count(frame)
            await self._obey(frame)
        except ChatError as error:
            key = frame.client_message_id if isinstance(frame, SendFrame) else None
            shown = problem_of(error, "/ws", self.request_id)
            await self._say(error_frame(shown, key))

    def dismiss(self) -> None:
        """Who is behind it may not ask any more: nothing is obeyed from now on."""
        if self.dismissing is None:
            self.dismissing = begin_apart(self._dismiss())  # it may be by another request

    async def _dismiss(self) -> None:
        try:
            refused = await self._refused(InvalidToken(), NOT_SIGNED_IN)
            await self.close(refused.code, refused.reason)
        except OSError:
            pass  # the client is gone

    async def leave(self) -> None:
        if self.dismissing is not None:
            self.dismissing.cancel()
            await asyncio.wait((self.dismissing,))
        if self.seat is not None:
            self.seat.leave()
        for session_id in list(self.followed):
            await self._unfollow(session_id)

    async def close(self, code: int, reason: str) -> None:
        if not self.closed:
            self.closed = True
            await self.transmit({"type": "websocket.close", "code": code, "reason": reason})

    async def _count(self, frame: Frame | None) -> None:
        """Raises RateLimited. None is one that can't be understood."""
        if self.pace is not None and not isinstance(frame, PingFrame):
            await self.pace.count(frame.client_message_id if isinstance(frame, SendFrame) else None)

    async def _obey(self, frame: Frame) -> None:
        match frame:
            case SendFrame():
                await self._submit(frame)
            case CancelFrame():
                await self._cancel(frame)
            case ResumeFrame():
                await self._follow(self._named(frame.session_id), frame.last_event_id, None)
            case FollowFrame():
                session_id = parse_session_id(frame.session_id)
                await self._follow(session_id, frame.last_event_id, "following")
            case UnfollowFrame():
                session_id = parse_session_id(frame.session_id)
                reached = await self._unfollow(session_id)
                if reached is None:
                    raise InvalidInput(Flaw("/session_id", "This session is not followed here."))
                await self._say(opened_frame("unfollowed", session_id, reached))
            case PingFrame():
                await self._say(PONG)

    async def _submit(self, frame: SendFrame) -> None:
        request_id = f"{self.request_id[:56]}.{next(self.heard)}"
        submission = Submission(
            frame.message,
            frame.model_name,
            frame.persona,
            frame.files,
            frame.client_message_id,
            request_id,
        )
        session_id = self._named(frame.session_id)
        also_about(request_id=request_id)
        try:
            accepted = await self.door.submit_message(self.user, session_id, submission)
        finally:
            also_about(request_id=self.request_id)
        await self._say(accepted_frame(accepted, frame.client_message_id))

    async def _cancel(self, frame: CancelFrame) -> None:
        stop = self.door.stop_generation
        if frame.generation_id is None:
            generation = await stop.active(self.user, self._named(frame.session_id))
        else:
            generation = await stop(self.user, parse_generation_id(frame.generation_id))
        await self._say(cancelling_frame(generation))

    def _named(self, session_id: str | None) -> SessionId:
        return self.home if session_id is None else parse_session_id(session_id)

    async def _follow(
        self, session_id: SessionId, last_event_id: str | None, announce: Opened | None
    ) -> None:
        """Follow from a cursor on, instead of from where the socket stood, if it did."""
        if session_id not in self.followed and len(self.followed) >= MAX_FOLLOWED:
            raise InvalidInput(
                Flaw("/session_id", f"A socket follows at most {MAX_FOLLOWED} sessions.")
            )
        cursor = Position.parse(last_event_id) if last_event_id else None
        entered = self.door.follow_session(self.user, session_id, cursor)
        following = await entered.__aenter__()
        try:
            await self._unfollow(session_id)
            if announce is not None:
                await self._say(opened_frame(announce, session_id, following.began))
        except BaseException:
            await entered.__aexit__(None, None, None)
            raise
        followed = self.followed[session_id] = _Followed(entered, following.began)
        followed.telling = asyncio.create_task(self._tell(following, followed))

    async def _unfollow(self, session_id: SessionId) -> Position | None:
        """Where it had come to; None if it was not followed."""
        followed = self.followed.pop(session_id, None)
        if followed is None:
            return None
        if followed.telling is not None:
            followed.telling.cancel()
            await asyncio.wait((followed.telling,))
        await followed.leave()
        return followed.told

    async def _tell(self, following: Following, followed: "_Followed") -> None:
        session_id = following.session_id
        try:
            async for batch in following:
                for entry in batch:
                    await self._send_text(websocket_event(session_id, entry))
                    followed.told = entry.position
            if following.gone:
                await self._say(gone_json(session_id))
                await self.followed.pop(session_id).leave()
        except OSError:
            pass  # the client is gone
        except ChatError as error:
            log.warning("a stream ends early: %s: %s", error.code, error.__cause__ or error)
            await self.close(COME_BACK_LATER, error.code)
        except Exception:
            log.exception("a stream ends by a fault of ours")
            await self.close(FAULT, "internal_error")

    async def _refused(self, error: ChatError, code: int) -> _Refused:
        """Says why it is going to be closed."""
        await self._say(error_frame(problem_of(error, "/ws", self.request_id)))
        return _Refused(code, error.code)

    async def _say(self, frame: FrameJson | GoneEvent) -> None:
        await self._send_text(encode(frame).decode())

    async def _send_text(self, text: str) -> None:
        if not self.closed:
            await self.transmit({"type": "websocket.send", "text": text})


def _parsed(text: str | None) -> Frame:
    """Raises InvalidInput."""
    if text is None:
        raise InvalidInput(Flaw("", "Send text frames, not binary ones."))
    return parse_frame(text)


@dataclass(slots=True, eq=False)
class _Followed:
    """A session that is followed here, and the position up to which the client was told."""

    entered: AbstractAsyncContextManager[Following]
    told: Position
    telling: "asyncio.Task[None] | None" = None

    async def leave(self) -> None:
        """A stack of exits would do it too, for 1 KiB of each idle socket's 30."""
        await self.entered.__aexit__(None, None, None)
