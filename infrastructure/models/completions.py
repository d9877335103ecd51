"""Chat completions in OpenAI's dialect, and in the accents of servers that mean to speak it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

import msgspec

from application.ports import Finish, Piece, ReasoningPiece, TextPiece
from domain.errors import ModelFailed, ModelMalformed
from domain.message import Usage, storable
from infrastructure.upstreams.refusals import refusal_in_stream
from infrastructure.upstreams.server_sent_events import Event

DONE: Final = b"[DONE]"
_MOST_OF_A_REASON: Final = 40


class _Said(msgspec.Struct):
    """A `delta` of a stream, or the `message` of a whole answer."""

    content: str | None = None
    reasoning_content: str | None = None  # DeepSeek, vLLM
    reasoning: str | None = None  # OpenRouter, Ollama, vLLM
    refusal: str | None = None


class _Choice(msgspec.Struct):
    index: int = 0
    delta: _Said | None = None
    message: _Said | None = None
    finish_reason: str | None = None


class _Completion(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: Any = None
    error: Any = None
    object: Any = None


_Count = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]


class _Usage(msgspec.Struct):
    prompt_tokens: _Count
    completion_tokens: _Count = 0


_decoder: Final = msgspec.json.Decoder(_Completion)


@dataclass(slots=True)
class Completion:
    """One answer on its way, from events or from a whole body to pieces."""

    done: bool = False
    """It was said that nothing follows."""
    _finished: bool = False
    _reason: str | None = None
    _usage: Usage | None = None
    _halves: dict[type[Piece], str] = field(default_factory=dict)

    @property
    def finished(self) -> bool:
        """The model has said that its answer is whole; how much it cost may follow."""
        return self._finished or self.done

    @property
    def finish(self) -> Finish:
        return Finish(self._reason, self._usage)

    def hear(self, event: Event) -> Sequence[Piece]:
        """Raises ModelMalformed, or what an error within the stream means."""
        kind, data = event
        if data == DONE:
            self.done = True
            return ()
        if kind == b"error":
            raise refusal_in_stream(_any(data))
        pieces: list[Piece] = []
        for choice in self._choices(data):
            if choice.index == 0:
                self._add(choice.delta, pieces)
                self._end(choice)
        return pieces

    def hear_whole(self, body: bytes) -> Sequence[Piece]:
        """An answer that did not come as a stream. Raises as `hear`."""
        pieces: list[Piece] = []
        for choice in self._choices(body)[:1]:
            if choice.message is not None:
                self._add(choice.message, pieces)
                self._end(choice)
                self.done = True
        if not self.done:
            raise _malformed()
        return pieces

    def _choices(self, data: bytes) -> Sequence[_Choice]:
        completion = _decoded(data)
        if completion.error or completion.object == "error":
            raise refusal_in_stream(completion.error or _any(data))
        if completion.usage is not None:
            self._usage = _usage(completion.usage) or self._usage
        return completion.choices or ()

    def _end(self, choice: _Choice) -> None:
        if choice.finish_reason == "error":  # OpenRouter
            raise ModelFailed("The model's server failed.")
        if choice.finish_reason:  # some servers send an empty one all along
            self._finished = True
            self._reason = storable(choice.finish_reason[:_MOST_OF_A_REASON])

    def _add(self, said: _Said | None, pieces: list[Piece]) -> None:
        if said is None:
            return
        if reasoning := said.reasoning_content or said.reasoning:
            self._add_text(ReasoningPiece, reasoning, pieces)
        if text := said.content or said.refusal:
            self._add_text(TextPiece, text, pieces)

    def _add_text(
        self, kind: type[TextPiece | ReasoningPiece], text: str, pieces: list[Piece]
    ) -> None:
        """A character beyond the basic plane may come in two halves, in two events."""
        if self._halves:
            text = self._halves.pop(kind, "") + text
        if "\ud800" <= text[-1] <= "\udbff":
            self._halves[kind] = text[-1]
            text = text[:-1]
        if text:
            pieces.append(kind(text))


def _decoded(data: bytes) -> _Completion:
    try:
        return _decoder.decode(data)
    except msgspec.ValidationError:
        raise _malformed() from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _decoded_leniently(data)


def _decoded_leniently(data: bytes) -> _Completion:
    """With halves of surrogate pairs, which are allowed in JSON."""
    try:
        return msgspec.convert(json.loads(data), _Completion)
    except (ValueError, RecursionError):
        raise _malformed() from None


def _usage(said: object) -> Usage | None:
    try:
        counted = msgspec.convert(said, _Usage)
    except ValueError:  # of other types, or of what no UTF-8 can hold
        return None
    return Usage(counted.prompt_tokens, counted.completion_tokens)


def _any(data: bytes) -> object:
    try:
        said: object = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return said


def _malformed() -> ModelMalformed:
    return ModelMalformed("What the model's server sent is no answer.")
