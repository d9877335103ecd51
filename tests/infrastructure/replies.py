"""Replies of servers without servers: what each read gives is scripted."""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass, field

from application.ports import Piece
from domain.errors import ModelFailed, ModelTruncated
from infrastructure.models.answer_reader import AnswerReader
from infrastructure.upstreams.limits import Limits
from tests.answers import Heard

LIMITS = Limits(first_event=10, gap=10, total=30)


@dataclass
class ScriptedReply:
    """Each read gives the next part; after the last one comes the end, or the cut."""

    parts: list[bytes]
    content_type: str = "text/event-stream"
    cut: bool = False
    failure: ModelFailed | None = field(default=None, init=False)
    closed: bool = field(default=False, init=False)

    async def read(self) -> bytes:
        await asyncio.sleep(0)
        if self.failure is not None:
            raise self.failure
        if self.parts:
            return self.parts.pop(0)
        if self.cut:
            raise ModelTruncated("cut")
        return b""

    def give_up(self, failure: ModelFailed) -> None:
        self.failure = failure

    def close(self) -> None:
        self.closed = True


async def pieces_of(reply: ScriptedReply, limits: Limits = LIMITS) -> AsyncGenerator[Piece, None]:
    now = asyncio.get_running_loop().time()
    reader = AnswerReader(reply, limits, now + limits.first_event, now + limits.total)
    try:
        while pieces := await reader.next():
            for piece in pieces:
                yield piece
    finally:
        reader.close()


async def heard_of(
    *parts: bytes,
    content_type: str = "text/event-stream",
    cut: bool = False,
    limits: Limits = LIMITS,
) -> Heard:
    reply = ScriptedReply([*parts], content_type, cut)
    heard = await Heard().all_of(pieces_of(reply, limits))
    assert reply.closed
    return heard


def lines(*datas: str) -> bytes:
    return b"".join(b"data: " + data.encode() + b"\n\n" for data in datas)


def bytes_of(stream: bytes) -> Iterable[bytes]:
    return (stream[place : place + 1] for place in range(len(stream)))
