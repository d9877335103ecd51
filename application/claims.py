"""The generations that this process answers now."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum, auto

from application.answer import Answer
from application.ports import EventWriter
from domain.generation import Generation
from domain.identifiers import GenerationId


class Interruption(Enum):
    """Why an answer must end before the model has ended it; or in one case, must only pause."""

    STOP = auto()  # a person asked for it: keep the text so far
    FENCED = auto()  # another worker has it: write nothing any more
    RELEASE = auto()  # this process ends: give it back
    STEP_ASIDE = auto()  # what was stopped behind it is to be told, then it goes on


@dataclass(frozen=True, slots=True)
class Telling:
    """An answer that is being given, and the pen that shows it."""

    answer: Answer
    writer: EventWriter


@dataclass(slots=True, eq=False)
class Claim:
    """A generation that is ours for as long as its fence holds. The fence changes when it steps
    aside; `moving` says that it may be another one in the database already. `telling` is what is
    said under it, as long as more may be said: its end is written by whoever ends it."""

    generation: Generation
    moving: bool = False
    telling: Telling | None = None
    interruption: "asyncio.Future[Interruption]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )
    _then: Interruption | None = None

    @property
    def must_end(self) -> Interruption | None:
        """The first reason to end it counts."""
        why = self.interruption.result() if self.interruption.done() else None
        return self._then if why is Interruption.STEP_ASIDE else why

    @property
    def unheard(self) -> Telling | None:
        """What is told under it, if that is not stored any more and should be."""
        if self.telling is None or not self.telling.writer.broken:
            return None
        return None if self.moving or self.must_end is not None else self.telling

    def interrupt(self, why: Interruption) -> None:
        if not self.interruption.done():
            self.interruption.set_result(why)
        elif self.must_end is None and why is not Interruption.STEP_ASIDE:
            self._then = why

    def go_on(self) -> None:
        """It has stepped aside."""
        then, self._then = self._then, None
        self.interruption = asyncio.get_running_loop().create_future()
        if then is not None:
            self.interrupt(then)


@dataclass(slots=True)
class Claims:
    """`pieces` is how many of them the models gave this process, in all its answers: a plain count,
    for it rises with each."""

    held: dict[GenerationId, Claim] = field(default_factory=dict)
    changing: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by a transaction that changes the rows of many claims: two could lock each other out."""
    pieces: int = field(default=0, init=False)
    _all_interrupted: Interruption | None = field(default=None, init=False)

    def __len__(self) -> int:
        return len(self.held)

    def __iter__(self) -> Iterator[Claim]:
        return iter(list(self.held.values()))

    @contextmanager
    def holding(self, claim: Claim) -> Iterator[None]:
        """While inside, the heartbeat renews the claim and may interrupt it."""
        self.held[claim.generation.id] = claim
        if self._all_interrupted is not None:
            claim.interrupt(self._all_interrupted)
        try:
            yield
        finally:
            if self.held.get(claim.generation.id) is claim:
                del self.held[claim.generation.id]

    def interrupt(self, why: Interruption) -> None:
        """All that are held, and all that will be: the process ends."""
        self._all_interrupted = why
        for claim in self:
            claim.interrupt(why)
