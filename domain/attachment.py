"""How the text of files stands in a message to the model."""

import re
from collections.abc import Sequence
from typing import Final, Protocol

from domain.uploaded_file import FileText


class CountTokens(Protocol):
    def __call__(self, text: str, /) -> int:
        """How many tokens a model makes of a text, at least roughly. Needs no network."""


MIN_TOKENS: Final = 16
"""A file of which there would be less is only named."""


def attach(files: Sequence[FileText], tokens: int, count: CountTokens) -> str:
    """What is to stand before a message: each file under its name, in their order, cut so that all
    of it has so many tokens. What short files leave, long ones get. They are named in any case."""
    left = tokens - sum(count(_framed(file, "", file.characters, "```")) for file in files)
    costs = [count(file.text or "") for file in files]
    shown = [""] * len(files)
    for done, place in enumerate(sorted(range(len(files)), key=costs.__getitem__)):
        granted = min(costs[place], max(0, left) // (len(files) - done))
        shown[place] = _shown(files[place], _beginning(files[place].text or "", granted, count))
        left -= granted
    return "".join(shown)


def _beginning(text: str, tokens: int, count: CountTokens) -> str:
    """As much as has so many tokens."""
    while text and (cost := count(text)) > tokens:
        text = text[: len(text) * tokens // cost] if tokens >= MIN_TOKENS else ""
    return text


def _shown(file: FileText, text: str) -> str:
    if file.text is None:
        return f"File {file.name}: deleted since.\n\n"
    if not text:
        why = "no room is left for its text" if file.text else "empty"
        return f"File {file.name}: {why}.\n\n"
    # A fence that the text can't close: what it holds stays inside of it.
    longest = max(map(len, re.findall("`+", text)), default=0)
    return _framed(file, text, len(text), "`" * max(3, longest + 1))


def _framed(file: FileText, text: str, characters: int, fence: str) -> str:
    cut = f" (its first {characters:,} of {file.characters:,} characters)"
    whole = bool(text) and characters >= file.characters
    return f"File {file.name}{'' if whole else cut}:\n{fence}\n{text}\n{fence}\n\n"
