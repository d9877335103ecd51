import asyncio
import logging
from contextlib import aclosing
from dataclasses import dataclass, replace
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
    Span,
    Spans,
)
from application.recollect import Recollect
from application.spans import (
    ANSWER,
    ATTEMPT,
    CHAT,
    INPUT_TOKENS,
    MODEL,
    OPERATION,
    OUTCOME,
    OUTPUT_TOKENS,
    PROVIDER,
    UNTRACED,
    tell_which,
)
from domain.errors import ChatError, DatabaseUnavailable
from domain.events import AnswerBegan, GenerationFenced, GenerationReleased
from domain.generation import Ending, Failure, Generation, GenerationStatus
from domain.identifiers import GenerationId, SessionId, UserId
from domain.meter import Meter
from domain.prompt import Prompt

log = logging.getLogger(__name__)

TRUNCATED: Final = Failure("upstream_truncated", "The model's answer broke off.")

NOTHING_COUNTS: Final = Meter()

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
    meter: Meter = NOTHING_COUNTS
    spans: Spans = UNTRACED

    async def __call__(self, claimed: Claimed, traceparent: str | None = None) -> None:
        """`traceparent` is the span that the answer is part of, if that is known."""
        generation = claimed.claim.generation
        with self.spans.span(ANSWER, traceparent) as span:
            tell_which(span, generation.session_id, generation.id)
            span.tell(ATTEMPT, generation.attempt)
            await self._answer(claimed, span)

    async def _answer(self, claimed: Claimed, span: Span) -> None:
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
                span.tell(OUTCOME, "lost")
                self.end.announce(GenerationFenced(*_which(generation)))
                await self._take_of_deleted(generation, self._taken(claimed, answer, failure))
            elif why is Interruption.RELEASE and answer.finish is None:
                await self._release(generation)
                span.tell(OUTCOME, "given back")
            else:
                if failure is not None:
                    span.fail(failure.code)
                    log.warning("%s failed: %s: %s", generation.id, failure.code, failure.detail)
                top = await writer.flush()
                # If it is broken, all of it comes once more, and the end after that.
                ending = replace(
                    _ending(answer, failure, top.seq + (2 if writer.broken else 1)),
                    tokens=self._taken(claimed, answer, failure),
                )
                said = answer.so_far(generation, recovered=False)
                ended = await self.end(generation, ending, said, writer, claimed.title)
                if ended is None:
                    log.info("%s was ended by another worker", generation.id)
                    span.tell(OUTCOME, "lost")
                    self.end.announce(GenerationFenced(*_which(generation)))
                    await self._take_of_deleted(generation, ending.tokens)
                else:
                    span.tell(OUTCOME, ended.status)
                    await self.recollect.keep_answered(claimed.asked, ended)

    def _taken(self, claimed: Claimed, answer: Answer, failure: Failure | None) -> int:
        """Of the server's own models; and nothing by a model that did not come to speak."""
        if self.meter.count is None:
            return 0
        said = "".join(answer.reasoning) + "".join(answer.text)
        if claimed.claim.generation.api_id is not None or (failure is not None and not said):
            return 0
        return self.meter.read(claimed.prompt, said, answer.finish.usage if answer.finish else None)

    async def _take_of_deleted(self, generation: Generation, tokens: int) -> None:
        """Who deletes a session just before its answer ends has heard the answer all the same."""
        if not tokens:
            return
        try:
            async with self.open_unit_of_work() as work:
                await work.generations.take_of_deleted(generation.id, tokens)
                await work.commit()
        except DatabaseUnavailable as error:
            log.warning("what %s took is not counted: %s", generation.id, error)

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
        with self.spans.span(CHAT) as span:
            _tell_model(span, claimed)
            failure = await self._hear(claimed, model, answer, writer)
            if failure is not None:
                span.fail(failure.code)
            elif answer.finish is not None and answer.finish.usage is not None:
                span.tell(INPUT_TOKENS, answer.finish.usage.prompt_tokens)
                span.tell(OUTPUT_TOKENS, answer.finish.usage.completion_tokens)
            return failure

    async def _hear(
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
        traceparent = self.spans.traceparent()
        await hint(self.queue, generation.id, generation.request_id, traceparent)


def _tell_model(span: Span, claimed: Claimed) -> None:
    """What users call their own models is theirs."""
    generation = claimed.claim.generation
    span.tell(OPERATION, "chat")
    if claimed.provider is not None:
        span.tell(PROVIDER, claimed.provider)
    if generation.api_id is None:
        span.tell(MODEL, generation.model_name)


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
