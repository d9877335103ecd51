"""One answer as a chat completion: whole, or as chunks."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field, replace
from time import time
from typing import Final, Literal

from typing_extensions import TypedDict

from application.await_answer import Answered
from application.events import (
    Chunk,
    Done,
    Failed,
    Opening,
    Reasoning,
    Reset,
    Snapshot,
    Stopped,
    StreamEvent,
    Terminal,
)
from application.following import Following
from domain.errors import AnswerPending, ChatError, SessionNotFound
from domain.identifiers import GenerationId
from domain.position import Position
from interface.dialects.openai_errors import ErrorJson, openai_error
from interface.dialects.told import AnswerRestarted, Told
from interface.problems import problem_of
from interface.sse import QUIET_HEARTBEAT
from interface.wire.encoding import Json, encode
from interface.wire.event_shapes import UsageJson
from interface.wire.events import failure_json, usage_json

_DONE: Final = b"data: [DONE]\n\n"


class AnswerStopped(ChatError):
    """There is no word for it here, and it is no answer that came to its end."""

    code = "answer_stopped"

    def __init__(self) -> None:
        super().__init__("The answer was stopped before its end.")


class CompletionMessageJson(TypedDict):
    role: Literal["assistant"]
    content: str
    refusal: None


class CompletionChoiceJson(TypedDict):
    index: Literal[0]
    message: CompletionMessageJson
    logprobs: None
    finish_reason: str


class CompletionJson(TypedDict):
    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[CompletionChoiceJson]
    usage: UsageJson | None


def completion_json(answered: Answered) -> CompletionJson:
    """Of one that was completed. `usage` is null where the model did not count."""
    generation = answered.generation
    message: CompletionMessageJson = {
        "role": "assistant",
        "content": generation.text,
        "refusal": None,
    }
    choice: CompletionChoiceJson = {
        "index": 0,
        "message": message,
        "logprobs": None,
        "finish_reason": generation.finish_reason or "stop",
    }
    return {
        "id": _completion_id(generation.id),
        "object": "chat.completion",
        "created": int(generation.created_at.timestamp()),
        "model": generation.model_name,
        "choices": [choice],
        "usage": usage_json(generation.usage),
    }


def _completion_id(generation_id: GenerationId) -> str:
    return "chatcmpl-" + generation_id.removeprefix("gen_")


@dataclass(frozen=True, slots=True)
class TellCompletion:
    """From the beginning of an answer on, until nothing more can be said of it. `counts`: the
    client wants to know what it cost.

    What came of an event has its position as its id, so that a stream which was cut can be taken up
    at the generation's own.
    """

    generation_id: GenerationId
    counts: bool
    request_id: str

    async def __call__(self, following: Following) -> AsyncGenerator[bytes, None]:
        answer = _Answer(self.generation_id, self.counts)
        try:
            async for batch in following:
                blocks: list[bytes] = []
                try:
                    for entry in batch:
                        blocks += _blocks(entry.position, answer.hear(entry.event))
                except ChatError as error:
                    yield b"".join([*blocks, self._told(error)])
                    return
                yield b"".join(blocks) or QUIET_HEARTBEAT
        except ChatError:
            yield self._told(AnswerPending())
            raise
        if following.gone:
            yield self._told(SessionNotFound())
        elif not answer.ended:  # clients take a stream that merely stops for the whole answer
            yield self._told(AnswerPending())

    def _told(self, error: ChatError) -> bytes:
        return _block(openai_error(problem_of(error, None, self.request_id)))


@dataclass(slots=True)
class _Answer:
    """What a client knows of an answer."""

    generation_id: GenerationId
    counts: bool
    created: int = field(default_factory=lambda: int(time()))
    model_name: str = ""
    began: bool = False
    told: Told = field(default_factory=Told)
    reasoned: Told = field(default_factory=Told)
    reasons: bool = True
    ended: bool = False

    def hear(self, event: StreamEvent) -> Sequence[Json | ErrorJson | None]:
        """What is to be told of it; None is the end of all. Raises AnswerRestarted and
        AnswerStopped."""
        if isinstance(event, Opening):
            self.model_name = event.model_name
        chunks: list[Json | ErrorJson | None] = []
        if not self.began and not isinstance(event, Terminal):
            self.began = True
            chunks.append(self._chunk({"role": "assistant", "content": ""}))
        if reasoning := self._reasoning(event):
            chunks.append(self._chunk({"reasoning_content": reasoning}))
        if text := self.told.hear(event):
            chunks.append(self._chunk({"content": text}))
        self.ended = isinstance(event, Terminal)
        match event:
            case Done():
                chunks.append(self._chunk({}, event.finish_reason or "stop"))
                if self.counts:
                    usage = usage_json(event.usage)
                    chunks.append({**self._chunk({}), "choices": [], "usage": usage})
                chunks.append(None)
            case Failed():
                error = failure_json(event.failure, event.generation_id, event.request_id)
                chunks.append(openai_error(error))
            case Stopped():
                raise AnswerStopped
        return chunks

    def _reasoning(self, event: StreamEvent) -> str:
        """What is new of it; nothing any more once it was begun again and came out differently:
        other than the text it can be missed."""
        match event:
            case Reasoning():
                event = Chunk(event.generation_id, event.text)
            case Snapshot():
                event = replace(event, text=event.reasoning)
            case Reset():
                pass
            case _:
                return ""
        try:
            return self.reasoned.hear(event) if self.reasons else ""
        except AnswerRestarted:
            self.reasons = False
            return ""

    def _chunk(self, delta: Json, finish_reason: str | None = None) -> Json:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return {
            "id": _completion_id(self.generation_id),
            "object": "chat.completion.chunk",
            "created": self.created,
            "model": self.model_name,
            "choices": [choice],
            **({"usage": None} if self.counts else {}),
        }


def _blocks(position: Position, chunks: Sequence[Json | ErrorJson | None]) -> Sequence[bytes]:
    """Whoever has the last of them has heard all of the event."""
    blocks = [_DONE if chunk is None else _block(chunk) for chunk in chunks]
    if blocks:
        blocks[-1] = b"id: %b\n%b" % (str(position).encode(), blocks[-1])
    return blocks


def _block(said: Json | ErrorJson) -> bytes:
    return b"data: %b\n\n" % encode(said)
