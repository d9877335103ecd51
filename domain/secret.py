from dataclasses import dataclass
from hashlib import sha256
from typing import Final

_HINT_CHARACTERS: Final = 4


@dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """A text that is never shown, not in a log, an error or a reply: only `reveal` tells it."""

    _text: str

    def reveal(self) -> str:
        return self._text

    @property
    def hint(self) -> str:
        """Its last 4 characters, by which its owner knows it; none if that would be all of it."""
        return self._text[-_HINT_CHARACTERS:] if len(self._text) > _HINT_CHARACTERS else ""

    @property
    def digest(self) -> str:
        """By which it is found again though it is not kept. Of long random texts only: a short
        one could be guessed from it."""
        return sha256(self._text.encode("utf-8", "surrogatepass")).hexdigest()

    def __repr__(self) -> str:
        return "Secret(…)"

    __str__ = __repr__
