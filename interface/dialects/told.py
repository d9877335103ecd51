"""What a client was told, where nothing that was told can be taken back."""

import re
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final

from application.events import Chunk, Done, Reset, Snapshot, Start, Stopped, StreamEvent
from domain.errors import ChatError
from domain.identifiers import GenerationId

_DIGEST_BYTES: Final = 8
_MARK: Final = re.compile(r"(0|[1-9][0-9]{0,17})-([0-9a-f]{16})", re.ASCII)


class AnswerRestarted(ChatError):
    """An answer was begun again, and its text is not the one of which a part was told."""

    code = "answer_restarted"

    def __init__(self, generation_id: GenerationId) -> None:
        super().__init__(
            "The answer was begun again and came out differently. It is kept: read it in the"
            f" history, or at /api/chat/generations/{generation_id}."
        )


@dataclass(frozen=True, slots=True)
class Mark:
    """How much was told: so many characters, and a digest that tells them from others."""

    characters: int
    digest: str

    def __str__(self) -> str:
        return f"{self.characters}-{self.digest}"

    @classmethod
    def parse(cls, text: str) -> "Mark | None":
        """None for whatever `str(mark)` would not write."""
        written = _MARK.fullmatch(text)
        return cls(int(written[1]), written[2]) if written else None


NOTHING: Final = Mark(0, blake2b(digest_size=_DIGEST_BYTES).hexdigest())


@dataclass(slots=True)
class Told:
    """What a client was told of an answer, in a dialect that can take nothing back.

    What an attempt repeats of the text that was told is not new, what goes beyond it is. With a
    mark so much was told before, perhaps by another process: of that text only the digest is known,
    so it is compared once there is enough to compare.
    """

    before: Mark = NOTHING
    _past: str = ""
    """What was told before this attempt began, of which it has repeated so many characters."""
    _repeated: int = 0
    _pieces: list[str] = field(default_factory=list)
    """What was told beyond that; or this attempt's text, while it is too short for the mark."""
    _characters: int = 0
    _digest: blake2b = field(default_factory=lambda: blake2b(digest_size=_DIGEST_BYTES))

    def hear(self, event: StreamEvent) -> str:
        """What is new for the client. Raises AnswerRestarted if the text is not the one that was
        told, or ends before it is."""
        new: str | None = ""
        match event:
            case Chunk():
                new = self._read(event.text)
            case Snapshot():
                self._begin()
                new = self._read(event.text)
            case Start() | Reset():
                self._begin()
            case Done() | Stopped() if self._is_behind:
                new = None
        if new is None:
            raise AnswerRestarted(event.generation_id)
        return new

    @property
    def mark(self) -> Mark:
        """How much was told by now."""
        if self._is_unsure:
            return self.before
        return Mark(self._characters, self._digest.hexdigest())

    @property
    def _is_unsure(self) -> bool:
        return self.before.characters > 0

    @property
    def _is_behind(self) -> bool:
        return self._is_unsure or self._repeated < len(self._past)

    def _begin(self) -> None:
        if self._is_unsure:
            self._characters = 0
        else:
            self._past += "".join(self._pieces)
            self._repeated = 0
        self._pieces.clear()

    def _read(self, text: str) -> str | None:
        """More of this attempt; None if it contradicts."""
        if self._is_unsure:
            return self._compare(text)
        rest = len(self._past) - self._repeated
        again, new = text[:rest], text[rest:]
        if not self._past.startswith(again, self._repeated):
            return None
        self._repeated += len(again)
        return self._tell(new)

    def _compare(self, text: str) -> str | None:
        self._pieces.append(text)
        self._characters += len(text)
        if self._characters < self.before.characters:
            return ""
        whole, expected = "".join(self._pieces), self.before
        self.before, self._characters = NOTHING, 0
        self._pieces.clear()
        self._tell(whole[: expected.characters])
        return self._tell(whole[expected.characters :]) if self.mark == expected else None

    def _tell(self, new: str) -> str:
        if new:
            self._pieces.append(new)
            self._characters += len(new)
            self._digest.update(new.encode())
        return new
