"""Joining pieces of text that come faster than they are shown."""

from collections.abc import Sequence
from typing import Final

from application.events import Chunk, Reasoning

KEPT_APART: Final = 8
"""Up to so many pieces of one flush stay single events: a slow model's pieces are shown as it
made them, and only a fast one's are joined, where each event spared is a send per subscriber."""

Piece = Chunk | Reasoning


def join(pending: Sequence[Piece]) -> Sequence[Piece]:
    """The same text in the same order, in fewer events if there are many."""
    if len(pending) <= KEPT_APART:
        return pending
    joined: list[Piece] = []
    run: list[str] = []
    for piece, following in zip(pending, (*pending[1:], None), strict=True):
        run.append(piece.text)
        if type(following) is not type(piece):
            joined.append(type(piece)(piece.generation_id, "".join(run)))
            run = []
    return joined
