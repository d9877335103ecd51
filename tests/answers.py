"""Asking a model, and what was heard of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field

from application.ports import ChatModel, Finish, Piece, ReasoningPiece, TextPiece
from domain.errors import ModelFailed
from domain.message import Role
from domain.prompt import Prompt, PromptMessage

PATIENCE_SECONDS = 20
"""For what never ends; no test takes so long."""

HELLO = Prompt((PromptMessage(Role.USER, "Hello?"),))


@dataclass
class Heard:
    """All pieces up to the end, and the failure if that was the end."""

    pieces: list[Piece] = field(default_factory=list)
    failure: ModelFailed | None = None

    @property
    def text(self) -> str:
        return "".join(piece.text for piece in self.pieces if isinstance(piece, TextPiece))

    @property
    def reasoning(self) -> str:
        return "".join(piece.text for piece in self.pieces if isinstance(piece, ReasoningPiece))

    @property
    def finish(self) -> Finish | None:
        """The last piece, if that is one and the only one."""
        ends = [piece for piece in self.pieces if isinstance(piece, Finish)]
        return ends[0] if ends and self.pieces[-1:] == ends else None

    @property
    def code(self) -> str | None:
        return None if self.failure is None else self.failure.code

    async def all_of(self, pieces: AsyncIterator[Piece]) -> "Heard":
        try:
            async for piece in pieces:
                self.pieces.append(piece)
        except ModelFailed as failure:
            self.failure = failure
        return self


async def hear(model: ChatModel, prompt: Prompt = HELLO) -> Heard:
    async with asyncio.timeout(PATIENCE_SECONDS), aclosing(model.stream(prompt)) as pieces:
        return await Heard().all_of(pieces)
