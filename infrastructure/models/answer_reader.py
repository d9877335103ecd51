import asyncio
from collections.abc import Sequence
from math import inf
from typing import Final

from application.ports import Finish, Piece
from domain.errors import (
    ModelFailed,
    ModelMalformed,
    ModelOverflowed,
    ModelTimedOut,
    ModelTruncated,
)
from infrastructure.models.completions import DONE, Completion
from infrastructure.upstreams.connections import Reply
from infrastructure.upstreams.limits import READ_BYTES, Limits
from infrastructure.upstreams.server_sent_events import EventParser

_AFTERWORD_SECONDS: Final = 2.0
"""How long to wait for the usage and the end once the model has said that its answer is whole."""

_FAREWELL_SECONDS: Final = 0.05
"""How long to wait for the end of the connection's reply, so that another call can have it."""

_SECOND_LOOK_SECONDS: Final = 0.05

_JSON_BYTES_PER_BYTE: Final = 8
"""An answer's body may be larger than its text: `\\u00e4` for two bytes, and what is around it."""


class AnswerReader:
    """One answer, read piece by piece from a server's reply, within limits.

    Times are the loop's: the first event must have come by `begin_by`, the last by `end`.
    """

    def __init__(self, reply: Reply, limits: Limits, begin_by: float, end: float) -> None:
        self._reply = reply
        self._limits = limits
        self._end = end
        self._events = EventParser(limits.line_bytes)
        self._body = bytearray() if reply.content_type == "application/json" else None
        self._completion = Completion()
        self._failure: ModelFailed | None = None
        if reply.content_type == "text/html":
            self._failure = ModelMalformed("The model's server sent a web page: see its address.")
        self._begun = False
        self._ended = False
        self._told = False
        self._received = 0  # bytes
        self._silent = 0  # of them, since the last piece
        self._said = 0  # bytes
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._wakes_at = inf
        self._waits_until = begin_by
        self._watch()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._reply.close()

    async def next(self) -> Sequence[Piece]:
        """The next pieces, at least one; the last one is Finish, and then there are none.

        Raises a kind of ModelFailed, once all that came before it was given.
        """
        while not self._ended:
            if pieces := await self._more():
                return pieces
        if self._told:
            return ()
        self._told = True
        await self._part()
        return (self._completion.finish,)

    async def _more(self) -> Sequence[Piece]:
        if self._failure is not None:
            raise self._failure
        pieces: list[Piece] = []
        try:
            received = await self._reply.read()
            self._hear(received, pieces)
        except ModelFailed as failure:
            if self._completion.finished and isinstance(failure, ModelTruncated | ModelTimedOut):
                self._ended = True  # only the afterword is missing
            elif pieces:
                self._failure = failure
            else:
                raise
        else:
            if len(received) == READ_BYTES:  # and more is waiting: a flood lets others run too
                await asyncio.sleep(0)
        return pieces

    def _hear(self, received: bytes, pieces: list[Piece]) -> None:
        self._received += len(received)
        self._silent += len(received)
        if self._received > self._limits.reply_bytes or self._silent > self._limits.silent_bytes:
            raise ModelOverflowed("The model's server sends too much.")
        if not received:
            self._hear_end(pieces)
        elif self._body is not None:
            self._body += received
            if len(self._body) > self._limits.output_bytes * _JSON_BYTES_PER_BYTE:
                raise _overflowed()
            self._be_patient()
        else:
            self._hear_events(received, pieces)

    def _hear_events(self, received: bytes, pieces: list[Piece]) -> None:
        event = None
        for event in self._events.feed(received):
            self._keep(self._completion.hear(event), pieces)
            if self._completion.done:
                self._ended = True
                return
        if event is not None:
            self._be_patient()

    def _hear_end(self, pieces: list[Piece]) -> None:
        if self._body is not None:
            self._keep(self._completion.hear_whole(bytes(self._body)), pieces)
        elif self._events.end() == DONE:  # without the empty line that should follow
            self._completion.done = True
        if not self._completion.finished:
            raise ModelTruncated("The model's answer broke off.")
        self._ended = True

    def _keep(self, heard: Sequence[Piece], pieces: list[Piece]) -> None:
        for piece in heard:
            self._said += _size(piece)
            if self._said > self._limits.output_bytes:
                raise _overflowed()
            self._silent = 0
            pieces.append(piece)

    def _be_patient(self) -> None:
        """Something was said: wait for the next."""
        self._begun = True
        seconds = self._limits.gap
        if self._completion.finished:
            seconds = min(seconds, _AFTERWORD_SECONDS)
        self._waits_until = self._loop.time() + seconds
        if self._waits_until < self._wakes_at:
            self._watch()

    def _watch(self) -> None:
        """One timer for many reads: it looks again when what it was set for has passed. A timeout
        around each read would cost a third of all that a read costs."""
        if self._timer is not None:
            self._timer.cancel()
        self._wakes_at = min(self._waits_until, self._end)
        self._timer = self._loop.call_at(self._wakes_at, self._look)

    def _look(self) -> None:
        if self._loop.time() < min(self._waits_until, self._end):
            self._watch()
        else:
            # After a pause of the whole machine the timer comes before what has arrived meanwhile.
            self._timer = self._loop.call_later(_SECOND_LOOK_SECONDS, self._look_again)

    def _look_again(self) -> None:
        now = self._loop.time()
        if now >= self._end:
            self._reply.give_up(ModelTimedOut("The model's answer took too long."))
        elif now < self._waits_until:
            self._watch()
        elif self._begun:
            self._reply.give_up(ModelTimedOut("The model's server stopped in mid-answer."))
        else:
            self._reply.give_up(ModelTimedOut("The model's server did not begin in time."))

    async def _part(self) -> None:
        try:
            async with asyncio.timeout(_FAREWELL_SECONDS):
                while await self._reply.read():
                    pass
        except TimeoutError:
            pass
        except ModelFailed:
            # Some servers say [DONE] when they break an answer off, and leave its reply unfinished.
            if self._completion.finish.reason is None:
                raise


def _size(piece: Piece) -> int:
    text = "" if isinstance(piece, Finish) else piece.text
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _overflowed() -> ModelOverflowed:
    return ModelOverflowed("The model's answer is longer than is kept.")
