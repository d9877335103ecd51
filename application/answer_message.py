import asyncio
import logging
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final

from application.claim_generation import Claimed
from application.claims import Claim, Claims, Interruption
from application.end_generation import EndGeneration
from application.events import Chunk, Reasoning, Reset, Start
from application.ports import (
    ChatModels,
    EventStream,
    EventWriter,
    Finish,
    OpenUnitOfWork,
    Piece,
    ReasoningPiece,
    TextPiece,
)
from domain.errors import ChatError
from domain.generation import Ending, Failure, Generation, GenerationStatus
from domain.message import storable
from domain.prompt import Prompt

log = logging.getLogger(__name__)

TRUNCATED: Final = Failure("upstream_truncated", "The model's answer broke off.")

_CLOSE_SECONDS: Final = 5.0
"""How long a model's call may take to close before it is left to itself."""


@dataclass(slots=True)
class Answer:
    """What the model has given so far."""

    text: list[str] = field(default_factory=list)
    finish: Finish | None = None

    def add(self, piece: Piece, generation: Generation, writer: EventWriter) -> None:
        """Keep a piece and show it."""
        match piece:
            case TextPiece(text):
                text = storable(text)
                self.text.append(text)
                writer.write(Chunk(generation.id, text))
            case ReasoningPiece(text):
                writer.write(Reasoning(generation.id, storable(text)))
            case Finish():
                self.finish = piece


@dataclass(frozen=True, slots=True)
class AnswerMessage:
    """Let the model answer a claimed generation, show it as it comes, and store how it ended."""

    open_unit_of_work: OpenUnitOfWork
    stream: EventStream
    models: ChatModels
    claims: Claims
    end: EndGeneration

    async def __call__(self, claimed: Claimed) -> None:
        claim, generation = claimed.claim, claimed.claim.generation
        with self.claims.holding(claim):
            writer = self.stream.writer(generation.session_id, generation.fence)
            writer.write(_opening(generation, claimed.prompt))
            answer = Answer()
            failure = await self._listen(claim, claimed.prompt, answer, writer)
            why = claim.interruption.result() if claim.interruption.done() else None
            if why is Interruption.FENCED:
                log.info("%s is answered by another worker now", generation.id)
            elif why is Interruption.RELEASE and answer.finish is None:
                await self._release(generation)
            else:
                ending = _ending(answer, failure, (await writer.flush()).seq + 1)
                if not await self.end(generation, ending, writer, claimed.title):
                    log.info("%s was ended by another worker", generation.id)

    async def _listen(
        self, claim: Claim, prompt: Prompt, answer: Answer, writer: EventWriter
    ) -> Failure | None:
        """Fill `answer` until the model ends or the claim is interrupted."""
        listening = asyncio.create_task(self._stream(claim.generation, prompt, answer, writer))
        try:
            await asyncio.wait((listening, claim.interruption), return_when=asyncio.FIRST_COMPLETED)
        finally:
            listening.cancel()
            await asyncio.wait((listening,), timeout=_CLOSE_SECONDS)
        if listening.done() and not listening.cancelled():
            return listening.result()
        return None if claim.interruption.done() else TRUNCATED

    async def _stream(
        self, generation: Generation, prompt: Prompt, answer: Answer, writer: EventWriter
    ) -> Failure | None:
        try:
            model = self.models.choose(generation.model_name)
            async with aclosing(model.stream(prompt)) as pieces:
                async for piece in pieces:
                    answer.add(piece, generation, writer)
        except ChatError as error:
            return Failure(error.code, str(error))
        except Exception:
            log.exception("answering %s failed", generation.id)
            return Failure("internal_error", "The answer failed.")
        if answer.finish is None:
            return TRUNCATED
        return None

    async def _release(self, generation: Generation) -> None:
        async with self.open_unit_of_work() as work:
            await work.generations.release(generation.id, generation.fence)
            await work.commit()
        log.info("%s is given back", generation.id)


def _opening(generation: Generation, prompt: Prompt) -> Start | Reset:
    start = Start(generation.id, generation.attempt, generation.model_name, prompt.question)
    if generation.attempt == 1:
        return start
    return Reset(start.generation_id, start.attempt, start.model_name, start.message, "takeover")


def _ending(answer: Answer, failure: Failure | None, last_seq: int) -> Ending:
    text = "".join(answer.text)
    if failure is not None:
        return Ending(GenerationStatus.FAILED, text, last_seq, failure=failure)
    if answer.finish is None:
        return Ending(GenerationStatus.STOPPED, text, last_seq)
    finish = answer.finish
    return Ending(GenerationStatus.COMPLETED, text, last_seq, finish.reason, finish.usage)
