"""One answer as the events of a response.

Reasoning text is not told: this dialect knows summaries of it, which nobody makes here. There is no
event for a response that was cancelled: it ends with `response.failed`, which ends a stream for
all clients, and whose response says `cancelled`, has no error, and keeps the text so far.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from application.browse import Shown
from application.events import Done, StreamEvent, Terminal
from application.following import Following
from domain.call import Call
from domain.errors import AnswerPending, ChatError, GenerationNotFound
from domain.generation import Generation
from interface.dialects.openai_errors import openai_error
from interface.dialects.response_body import BACKGROUND
from interface.dialects.response_json import (
    ResponseStatus,
    begun_json,
    message_id,
    output_json,
    part_json,
    response_json,
)
from interface.dialects.response_numbers import After, Before, Closing, Place
from interface.dialects.told import NOTHING, AnswerRestarted, Mark, Told
from interface.problems import problem_of
from interface.sse import QUIET_HEARTBEAT
from interface.wire.encoding import Json, encode

_LAST: Final[dict[ResponseStatus, str]] = {
    "completed": "response.completed",
    "incomplete": "response.incomplete",
    "failed": "response.failed",
    "cancelled": "response.failed",
}


@dataclass(frozen=True, slots=True)
class TellResponse:
    """What comes after a place, until nothing more can be said. What is followed must be followed
    from the answer's beginning on; `read` gives it as it is kept, which is needed at the end."""

    call: Call
    generation: Generation
    place: Place
    read: Callable[[], Awaitable[Shown]]
    request_id: str

    async def __call__(self, following: Following) -> AsyncGenerator[bytes, None]:
        if isinstance(self.place, Closing) and self.place.told >= After.ENDED:
            return
        answer = _Answer(self.call, self.generation, self.place)
        yield b"".join(answer.begin()) or QUIET_HEARTBEAT
        try:
            async for batch in following:
                blocks: list[bytes] = []
                try:
                    for entry in batch:
                        if isinstance(entry.event, Terminal):
                            blocks += answer.end(entry.event, await self.read())
                        else:
                            blocks += answer.hear(entry.event)
                except (AnswerRestarted, GenerationNotFound) as error:
                    yield b"".join([*blocks, answer.broken(error, self.request_id)])
                    return
                yield b"".join(blocks) or QUIET_HEARTBEAT
        except ChatError:
            yield answer.cut(self.request_id)
            raise
        if following.gone:
            yield answer.broken(GenerationNotFound(), self.request_id)
        elif not answer.ended:  # clients take a stream that merely stops for the whole answer
            yield answer.cut(self.request_id)


@dataclass(slots=True)
class _Answer:
    """What a client knows of an answer."""

    call: Call
    generation: Generation
    place: Place
    before: Before = field(init=False)
    told: Told = field(init=False)
    number: int = field(init=False)
    """Of the last event that was told."""
    ended: bool = False

    def __post_init__(self) -> None:
        self.before = self.place if isinstance(self.place, Before) else Before.PART_ADDED
        self.told = Told(self.place if isinstance(self.place, Mark) else NOTHING)
        self.number = self.place if isinstance(self.place, Before) else self.place.number

    def begin(self) -> Iterator[bytes]:
        yield from self._up_to(Before.QUEUED if self.call.notes[BACKGROUND] else Before.CREATED)

    def hear(self, event: StreamEvent) -> Iterator[bytes]:
        """Raises AnswerRestarted."""
        yield from self._up_to(Before.IN_PROGRESS)
        if isinstance(self.place, Closing):  # it knows the text
            return
        if text := self.told.hear(event):
            yield from self._up_to(Before.PART_ADDED)
            delta = {**self._which_part, "delta": text, "logprobs": []}
            yield self._block("response.output_text.delta", self.told.mark.number, delta)

    def end(self, event: Terminal, kept: Shown) -> Iterator[bytes]:
        """Raises AnswerRestarted if the text that was told is not the one that is kept; but how it
        failed or was cancelled is told all the same, for there is nothing else to be had."""
        text, whole, told = kept.text, response_json(self.call, kept), -1
        if isinstance(self.place, Closing):
            characters, told = self.place.characters, self.place.told
            differs = len(text) != characters
        else:
            characters = self.told.mark.characters
            differs = self.told.is_behind or len(text) != characters
        if differs and (isinstance(event, Done) or told >= 0):
            raise AnswerRestarted(event.generation_id)
        last = _LAST[whole["status"]], After.ENDED, {"response": whole}
        closing = [last]
        if whole["output"] and not differs:
            yield from self._up_to(Before.PART_ADDED)
            closing = [*self._closing(text, whole["status"]), last]
        self.ended = True
        for kind, number, fields in closing:
            if number > told:
                yield self._block(kind, Closing(characters, number).number, fields)

    def broken(self, error: ChatError, request_id: str) -> bytes:
        """Nothing comes after it, at any time."""
        place = self.place
        known = place.characters if isinstance(place, Closing) else self.told.mark.characters
        return self._error(error, Closing(known, After.BROKEN).number, request_id)

    def cut(self, request_id: str) -> bytes:
        """This stream tells no more, but another one may: after the number of the last event, which
        the error has too, so that it does not matter after which of them it is taken up."""
        return self._error(AnswerPending(), self.number, request_id)

    def _error(self, error: ChatError, number: int, request_id: str) -> bytes:
        said = openai_error(problem_of(error, None, request_id))["error"]
        fields = {"code": said["code"], "message": said["message"], "param": said["param"]}
        return self._block("error", number, fields)

    def _up_to(self, place: Before) -> Iterator[bytes]:
        """The events before the text that were not told yet."""
        while self.before < place:
            self.before = Before(self.before + 1)
            match self.before:
                case Before.CREATED:
                    kind, fields = "response.created", self._begun(self._first_status)
                case Before.QUEUED if self.call.notes[BACKGROUND]:
                    kind, fields = "response.queued", self._begun("queued")
                case Before.QUEUED:
                    continue
                case Before.IN_PROGRESS:
                    kind, fields = "response.in_progress", self._begun("in_progress")
                case Before.ITEM_ADDED:
                    item = output_json(self.generation.id, None, "in_progress")
                    kind = "response.output_item.added"
                    fields = {"output_index": 0, "item": item}
                case _:
                    kind = "response.content_part.added"
                    fields = {**self._which_part, "part": part_json("")}
            yield self._block(kind, self.before, fields)

    def _closing(self, text: str, status: ResponseStatus) -> list[tuple[str, After, Json]]:
        said = {**self._which_part, "text": text, "logprobs": []}
        part = {**self._which_part, "part": part_json(text)}
        item = output_json(self.generation.id, text, status)
        return [
            ("response.output_text.done", After.TEXT_DONE, said),
            ("response.content_part.done", After.PART_DONE, part),
            ("response.output_item.done", After.ITEM_DONE, {"output_index": 0, "item": item}),
        ]

    def _begun(self, status: ResponseStatus) -> Json:
        return {"response": begun_json(self.call, self.generation, status)}

    @property
    def _first_status(self) -> ResponseStatus:
        return "queued" if self.call.notes[BACKGROUND] else "in_progress"

    @property
    def _which_part(self) -> Json:
        return {"item_id": message_id(self.generation.id), "output_index": 0, "content_index": 0}

    def _block(self, kind: str, number: int, fields: Json) -> bytes:
        self.number = int(number)
        data = encode({"type": kind, "sequence_number": self.number, **fields})
        return b"event: %b\ndata: %b\n\n" % (kind.encode(), data)
