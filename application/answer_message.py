import asyncio
import logging
from contextlib import aclosing
from dataclasses import dataclass
from time import monotonic
from typing import Final

from application.answer import Answer
from application.catch_up import terminal_event
from application.claim_generation import Claimed
from application.claims import Claim, Claims, Interruption, Telling
from application.end_generation import EndGeneration
from application.events import Reset, Start
from application.hint import hint
from application.ports import (
    ChatModel,
    EventStream,
    EventWriter,
    Finish,
    OpenUnitOfWork,
    Piece,
    RequestQueue,
)
from application.recollect import Recollect
from domain.errors import ChatError, DatabaseUnavailable
from domain.events import AnswerBegan, GenerationFenced, GenerationReleased
from domain.generation import Ending, Failure, Generation, GenerationStatus
from domain.identifiers import GenerationId, SessionId, UserId
from domain.prompt import Prompt

log = logging.getLogger(__name__)

TRUNCATED: Final = Failure("upstream_truncated", "The model's answer broke off.")

_CLOSE_SECONDS: Final = 5.0
"""How long a model's call may take to close before it is left to itself."""


@dataclass(frozen=True, slots=True)
class AnswerMessage:
    """Let the model answer a claimed generation, show it as it comes, and store how it ended."""

    open_unit_of_work: OpenUnitOfWork
    stream: EventStream
    claims: Claims
    end: EndGeneration
    queue: RequestQueue
    recollect: Recollect

    async def __call__(self, claimed: Claimed) -> None:
        claim, generation = claimed.claim, claimed.claim.generation
        with self.claims.holding(claim):
            writer = self.stream.writer(generation.session_id, generation.fence)
            writer.write(_opening(generation, claimed.prompt))
            answer = Answer()
            claim.telling = Telling(answer, writer)
            failure = await self._listen(claimed, answer, writer)
            claim.telling = None
            generation, why = claim.generation, claim.must_end
            if why is Interruption.FENCED:
                log.info("%s is answered by another worker now", generation.id)
                self.end.announce(GenerationFenced(*_which(generation)))
            elif why is Interruption.RELEASE and answer.finish is None:
                await self._release(generation)
            else:
                if failure is not None:
                    log.warning("%s failed: %s: %s", generation.id, failure.code, failure.detail)
                top = await writer.flush()
                # If it is broken, all of it comes once more, and the end after that.
                ending = _ending(answer, failure, top.seq + (2 if writer.broken else 1))
                said = answer.so_far(generation, recovered=False)
                ended = await self.end(generation, ending, said, writer, claimed.title)
                if ended is None:
                    log.info("%s was ended by another worker", generation.id)
                    self.end.announce(GenerationFenced(*_which(generation)))
                else:
                    await self.recollect.keep_answered(claimed.asked, ended)

    async def _listen(
        self, claimed: Claimed, answer: Answer, writer: EventWriter
    ) -> Failure | None:
        """Fill `answer` until the model ends or the claim is interrupted."""
        if isinstance(claimed.model, Failure):
            return claimed.model
        claim = claimed.claim
        listening = asyncio.create_task(self._stream(claimed, claimed.model, answer, writer))
        try:
            while not listening.done() and claim.must_end is None:
                if claim.interruption.done():
                    await self._step_aside(claim, answer, writer)
                    claim.go_on()
                waited_for = (listening, claim.interruption)
                await asyncio.wait(waited_for, return_when=asyncio.FIRST_COMPLETED)
        finally:
            listening.cancel()
            await asyncio.wait((listening,), timeout=_CLOSE_SECONDS)
        if listening.done() and not listening.cancelled():
            return listening.result()
        return TRUNCATED if claim.must_end is None else None

    async def _step_aside(self, claim: Claim, answer: Answer, writer: EventWriter) -> None:
        """Let the ends be told of those that were stopped while they waited behind this one. Their
        positions lie above its own, so it goes on above theirs, from a snapshot."""
        generation, claim.moving = claim.generation, True
        try:
            async with self.open_unit_of_work() as work:
                stepped = await work.generations.step_aside(generation.id, generation.fence)
                if stepped is None:
                    return
                await work.commit()
                stopped, claim.generation = stepped
        except DatabaseUnavailable as error:
            log.warning("%s does not step aside: %s", generation.id, error)
            return  # they are told when this one has ended
        finally:
            claim.moving = False
        for one in stopped:
            writer.rise(one.fence)
            writer.write(terminal_event(one))
        writer.rise(claim.generation.fence)
        writer.write(answer.so_far(claim.generation, recovered=True))

    async def _stream(
        self, claimed: Claimed, model: ChatModel, answer: Answer, writer: EventWriter
    ) -> Failure | None:
        generation, begun = claimed.claim.generation, False
        try:
            async with aclosing(model.stream(claimed.prompt)) as pieces:
                async for piece in pieces:
                    answer.add(piece, generation, writer)
                    if answer.finish is None:
                        self.claims.pieces += 1
                    if not begun:
                        begun = self._has_begun(claimed, piece)
        except ChatError as error:
            return Failure(error.code, str(error))
        except Exception:
            log.exception("answering %s failed", generation.id)
            return Failure("internal_error", "The answer failed.")
        if answer.finish is None:
            return TRUNCATED
        return None

    def _has_begun(self, claimed: Claimed, piece: Piece) -> bool:
        """With the first that can be read."""
        if isinstance(piece, Finish):
            return False
        seconds = monotonic() - claimed.accepted_at
        self.end.announce(AnswerBegan(*_which(claimed.claim.generation), seconds))
        return True

    async def _release(self, generation: Generation) -> None:
        async with self.open_unit_of_work() as work:
            released = await work.generations.release(generation.id, generation.fence)
            await work.commit()
        log.info("%s is given back", generation.id)
        if released:
            self.end.announce(GenerationReleased(*_which(generation)))
        await hint(self.queue, generation.id, generation.request_id)


def _which(generation: Generation) -> tuple[UserId, SessionId, GenerationId]:
    return generation.owner, generation.session_id, generation.id


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
