"""The product with a defence taken out, or stopping for ever at a named place:

    python -m tests.faults.without fence -- work

The negative controls of the faults: without its defence a case must fail. The product itself knows
nothing of this.
"""

import asyncio
import errno
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partialmethod
from typing import Any, Final

from sqlalchemy import and_, true
from uvicorn.protocols.http.flow_control import FlowControl

import application.submit_message
from application.claim_generation import ClaimGeneration
from application.end_generation import EndGeneration
from application.events import Entry
from application.following import Following
from application.renew_claims import RenewClaims
from application.show_again import ShowAgain
from application.sweep_generations import SweepGenerations
from application.upload_file import UploadFile
from application.watch_sessions import WatchSessions
from domain.errors import ChatError
from domain.generation import MAX_ATTEMPTS, Ending, Generation
from domain.position import Position
from domain.repositories import Finished
from infrastructure.redis import cache, event_writer
from infrastructure.redis.event_stream import RedisEventStream
from infrastructure.redis.event_writer import RedisEventWriter
from infrastructure.redis.request_queue import RedisRequestQueue, Upkeep
from infrastructure.redis.scripts import APPEND, KEEP_ENDED_MS, Script
from infrastructure.redis.subscriber import Subscriber
from infrastructure.redis.tail import Tail
from infrastructure.sql import generation_rows
from infrastructure.sql.generation_rows import this
from infrastructure.sql.tables import generations, is_running
from interface import server, websocket
from interface.websocket_protocol import WebSocketProtocol

STOPPED: Final = "stopped for ever, "
"""Said before the name of the place."""


def replace(owner: object, **new: object) -> None:
    for name, value in new.items():
        assert hasattr(owner, name), f"{owner} has no {name} any more"
        setattr(owner, name, value)


def append_with(*changes: tuple[str, str]) -> None:
    """Let this process write to streams by a script of its own."""
    text = APPEND.text
    for before, after in changes:
        assert before in text, f"the script does not say {before!r} any more"
        text = text.replace(before, after)
    replace(event_writer, APPEND=Script(text))


async def nothing(*_: object, **__: object) -> None:
    pass


async def none(*_: object, **__: object) -> tuple[()]:
    return ()


async def stop(place: str) -> None:
    sys.stderr.write(f"{STOPPED}{place}\n")
    sys.stderr.flush()
    await asyncio.Event().wait()


def stop_before(place: str) -> Callable[..., Awaitable[Any]]:
    async def stopped(*_: object, **__: object) -> None:
        await stop(place)

    return stopped


def fence() -> None:
    """Who lost a claim does not hear of it, and stores its end all the same."""
    replace(generation_rows, held=and_(this, is_running(generations)))
    heartbeat()


def places() -> None:
    """What one whose claim is lost writes gets the next free place in the stream."""
    refused = "if fence and f < fence then return -1 end"
    taken = (
        "if fence and f < fence then f = fence; s = seq + 1;"
        " ARGV[i] = tostring(f); ARGV[i + 1] = tostring(s) end"
    )
    append_with((refused, taken))


def gaps() -> None:
    """What is lost on the way to the stream is not noticed."""
    append_with(
        ("if not begins and not (fence == f and s == seq + 1) then return 0 end", ""),
        ("'NOMKSTREAM', ", ""),
    )

    def drop(writer: RedisEventWriter) -> None:
        writer._pieces.clear()
        writer._ready.clear()
        writer._settle()

    replace(RedisEventWriter, break_=drop)


def tails() -> None:
    """What was lost on the way to a web process is not noticed either."""

    def hear(tail: Tail, _: Position | None, entries: Sequence[Entry], now: float) -> None:
        tail.is_known = True
        tail.log.append([entry for entry in entries if entry.position > tail.log.top], now)

    replace(Tail, hear=hear)
    replace(RedisEventStream, _return=lambda _: None)


def expiry() -> None:
    """What has ended is held, and recalled, for a second, not for ten minutes."""
    append_with((f"keep = {KEEP_ENDED_MS}", "keep = 1000"))
    replace(cache, KEEP_MS=1000)


def forget() -> None:
    """What was taken from the queue stays there."""
    replace(RedisRequestQueue, done=nothing)


def show_again() -> None:
    """What the stream did not store is shown when all is said."""
    replace(ShowAgain, __call__=nothing)


def store_again() -> None:
    """An end is stored at the first try or not at all."""

    async def store(end: EndGeneration, generation: Generation, ending: Ending) -> Finished | None:
        async with end.open_unit_of_work() as work:
            finished = await work.generations.finish(generation.id, generation.fence, ending)
            await work.commit()
        return finished

    replace(EndGeneration, _stored=store)


def heartbeat() -> None:
    replace(RenewClaims, __call__=nothing, of_session=nothing)


def lease() -> None:
    """Whatever runs may be taken over."""
    replace(generation_rows, lease_over=is_running(generations))


def attempts() -> None:
    """However many claims were lost, there is another one."""
    replace(generation_rows, attempts_left=true())


def pending() -> None:
    """What was taken and not claimed is not looked for in the queue."""
    replace(RedisRequestQueue, _is_upkeep_due=lambda _: False)


def slow_upkeep() -> None:
    """What was taken and not claimed is looked for after 1 s, not after 10."""
    replace(Upkeep, __init__=partialmethod(Upkeep.__init__, every=0.5, pending=1.0))


def leaving() -> None:
    """Who leaves the socket stops what is answered there."""
    leave = websocket._Socket.leave

    async def stop_and_leave(socket: websocket._Socket) -> None:
        with suppress(ChatError):
            await socket.door.stop_generation.active(socket.user, socket.home)
        await leave(socket)

    replace(websocket._Socket, leave=stop_and_leave)


def replay() -> None:
    """Who comes back is shown only what is said from then on."""

    async def begin(following: Following, cursor: Position | None) -> bool:
        looked, held = await following._read(cursor)
        if looked is None:
            return False
        following.began = following.position = held[-1].position if held else looked.end
        return True

    replace(Following, begin=begin)


def releases() -> None:
    """One given back in good order counts like one that was lost."""
    replace(generation_rows, attempts_left=generations.c.attempt < MAX_ATTEMPTS)


def end_of_streams() -> None:
    """The server waits until all streams have ended by themselves."""
    replace(server, STREAM_END_SECONDS=None)


def probes() -> None:
    """Nobody asks whether a connection to Redis that says nothing still lives, nor compares what
    was shown with the database."""
    watchdog()

    async def watch(*_: object) -> None:
        await asyncio.Event().wait()

    replace(Subscriber, _watch=watch)


def sweeper() -> None:
    replace(SweepGenerations, __call__=none)


def waiting() -> None:
    """What is sent goes into memory, whether or not it is read."""
    replace(FlowControl, drain=nothing)
    replace(WebSocketProtocol, pause_writing=lambda _: None)


def watchdog() -> None:
    replace(WatchSessions, __call__=nothing)


def room() -> None:
    """The disk takes a hundred thousand bytes, and is full then."""
    write, left = os.write, [100_000]

    def write_or_refuse(file: int, content: bytes) -> int:
        left[0] -= len(content)
        if left[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(file, content)

    replace(os, write=write_or_refuse)


def undoing() -> None:
    """What an upload that failed has left stays until it is swept."""
    replace(UploadFile, _undo=nothing)


def stop_before_claim() -> None:
    replace(ClaimGeneration, __call__=stop_before("before the claim"))


def stop_after_commit() -> None:
    stored = EndGeneration._stored

    async def store_and_stop(*arguments: Any) -> None:
        await stored(*arguments)
        await stop("after the commit")

    replace(EndGeneration, _stored=store_and_stop)


def stop_before_hint() -> None:
    replace(application.submit_message, hint=stop_before("before the hint"))


LEFT_OUT: Final = {
    each.__name__: each
    for each in (
        attempts,
        end_of_streams,
        expiry,
        fence,
        forget,
        gaps,
        heartbeat,
        lease,
        leaving,
        pending,
        places,
        probes,
        releases,
        replay,
        room,
        show_again,
        stop_after_commit,
        stop_before_claim,
        stop_before_hint,
        store_again,
        slow_upkeep,
        sweeper,
        tails,
        undoing,
        waiting,
        watchdog,
    )
}


def run(arguments: Sequence[str]) -> int:
    named, _, *command = arguments
    for name in named.split(","):
        LEFT_OUT[name]()
    import main  # what it imports makes statements of what was left out just now

    return main.main(command)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
