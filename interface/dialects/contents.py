"""One answer as `{"content"}` after `{"content"}`, the last of which says that it is done."""

from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from typing import Final

from application.events import Failed, StreamEvent, Terminal
from application.following import Following
from domain.errors import SessionNotFound
from domain.identifiers import GenerationId, is_id
from interface.dialects.told import NOTHING, AnswerRestarted, Mark, Told
from interface.problems import ProblemJson, problem_of
from interface.sse import HEARTBEAT, RETRY
from interface.wire.encoding import Json, encode
from interface.wire.events import failure_json

_END: Final = "end"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a client is, and the id of an event: `<generation_id>:<mark>` if it was told so much
    of that answer, `<generation_id>:end` if it was told that nothing more will come.

    A position in the stream would not do: after a crash nobody knows any more what had been told up
    to it, and the next attempt's positions are others."""

    generation_id: GenerationId
    mark: Mark | None = NOTHING

    def __str__(self) -> str:
        return f"{self.generation_id}:{self.mark or _END}"

    @classmethod
    def parse(cls, text: str) -> "Place | None":
        """None for whatever `str(place)` would not write."""
        generation_id, _, where = text.rpartition(":")
        mark = Mark.parse(where)
        if not is_id(generation_id) or (mark is None and where != _END):
            return None
        return cls(GenerationId(generation_id), mark)


@dataclass(frozen=True, slots=True)
class TellContents:
    """From a place on. It is told at once, so that whoever is cut off from now on can say which
    answer they want to hear, and never has to ask the question again."""

    place: Place
    request_id: str

    async def __call__(self, following: Following) -> AsyncGenerator[bytes, None]:
        """`following` is to begin at the beginning of the answer."""
        generation_id, told = self.place.generation_id, Told(self.place.mark or NOTHING)
        yield RETRY + b"id: %b\n\n" % str(self.place).encode()
        async for batch in following:
            blocks: list[bytes] = []
            try:
                for entry in batch:
                    blocks += _blocks(told, entry.event)
            except AnswerRestarted as error:
                instance = f"/api/chat/generations/{generation_id}"
                shown = problem_of(error, instance, self.request_id)
                yield b"".join([*blocks, _failed(generation_id, shown)])
                return
            yield b"".join(blocks) or HEARTBEAT
        if following.gone:
            gone = problem_of(SessionNotFound(), None, self.request_id)
            yield _failed(generation_id, gone)


def _blocks(told: Told, event: StreamEvent) -> Iterator[bytes]:
    if new := told.hear(event):
        yield _block(Place(event.generation_id, told.mark), {"content": new})
    if isinstance(event, Terminal):
        yield _last(event)


def _last(event: Terminal) -> bytes:
    if isinstance(event, Failed):
        error = failure_json(event.failure, event.generation_id, event.request_id)
        return _failed(event.generation_id, error)
    return _block(Place(event.generation_id, None), {"content": "", "done": True})


def _failed(generation_id: GenerationId, error: ProblemJson) -> bytes:
    return _block(Place(generation_id, None), {"error": error, "done": True})


def _block(place: Place, said: Json) -> bytes:
    return b"id: %b\ndata: %b\n\n" % (str(place).encode(), encode(said))
