"""The worker: a way in, like a handler, but its requests come from the queue."""

import asyncio
import logging
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final

from application.answer_message import AnswerMessage
from application.claim_generation import ClaimGeneration
from application.claims import Claims, Interruption
from application.log_context import also_about, only_about
from application.ports import Request, RequestQueue, WakeUps
from application.renew_claims import RenewClaims
from application.show_again import ShowAgain
from application.sweep_generations import SweepGenerations
from domain.errors import ChatError
from domain.identifiers import GenerationId
from interface.repeat import Hurry, repeat

log = logging.getLogger(__name__)

_RELEASE_SECONDS: Final = 3.0
_CANCEL_SECONDS: Final = 3.0
_QUEUE_PAUSE_SECONDS: Final = 1.0
_SHOW_AGAIN_SECONDS: Final = 0.5
"""Between two looks at what the event stream did not store; while it is away that is how often
subscribers see new text, and how often it is written to the database."""
_QUEUE_AWAY_SWEEP_SECONDS: Final = 0.25
"""While no hints come, the sweep is what finds a message: it is not to wait for long."""


@dataclass(slots=True, eq=False)
class Worker:
    """Answers up to `concurrency` generations at a time. `lease_seconds` is how long a claim
    holds without a heartbeat; there are three in that time."""

    queue: RequestQueue
    wake_ups: WakeUps
    claim: ClaimGeneration
    answer: AnswerMessage
    renew: RenewClaims
    show_again: ShowAgain
    sweep: SweepGenerations
    claims: Claims
    concurrency: int
    lease_seconds: float
    sweep_seconds: float
    _answers: dict[GenerationId, asyncio.Task[None]] = field(default_factory=dict, init=False)
    _slot_free: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _taking: list[asyncio.Task[None]] = field(default_factory=list, init=False)
    _keeping: list[asyncio.Task[None]] = field(default_factory=list, init=False)

    def start(self) -> None:
        self._slot_free.set()
        self._keeping = [
            asyncio.create_task(repeat(self.lease_seconds / 3, self.renew)),
            asyncio.create_task(repeat(_SHOW_AGAIN_SECONDS, self.show_again)),
        ]
        hurry = Hurry(_QUEUE_AWAY_SWEEP_SECONDS, lambda: self.queue.away)
        self._taking = [
            asyncio.create_task(self._take()),
            asyncio.create_task(self._heed()),
            asyncio.create_task(repeat(self.sweep_seconds, self._sweep, jitter=0.25, hurry=hurry)),
        ]

    def hurry(self) -> None:
        """Give back at once what is being answered."""
        self.claims.interrupt(Interruption.RELEASE)

    async def drain(self, grace_seconds: float) -> None:
        """Claim nothing more; finish what is being answered, or give it back after the grace."""
        await _cancel(*self._taking)
        await self._ended(grace_seconds)
        if self._answers:
            log.info("giving back %d answers", len(self._answers))
            self.hurry()
            await self._ended(_RELEASE_SECONDS)
        await _cancel(*self._answers.values())
        await _cancel(*self._keeping)

    async def _ended(self, within_seconds: float) -> None:
        if self._answers:
            await asyncio.wait(self._answers.values(), timeout=within_seconds)

    async def _take(self) -> None:
        fails = False
        while True:
            await self._slot_free.wait()
            try:
                request = await self.queue.take()
                fails = False
                if request.generation_id in self._answers:
                    await self.queue.done(request)
                else:
                    self._begin(request, hinted=True)
            except ChatError as error:
                if not fails:  # each try after that tells nothing new
                    log.warning("%s: %s", error.code, error.__cause__ or error)
                fails = True
                await asyncio.sleep(_QUEUE_PAUSE_SECONDS)
            except Exception:
                log.exception("taking a request failed")
                await asyncio.sleep(_QUEUE_PAUSE_SECONDS)

    async def _heed(self) -> None:
        """Look at what was changed under an answer, now instead of at the next heartbeat."""
        while True:
            try:
                async with aclosing(self.wake_ups.woken()) as woken:
                    async for session_id in woken:
                        await self.renew.of_session(session_id)
            except ChatError as error:
                log.warning("%s: %s", error.code, error.__cause__ or error)
            except Exception:
                log.exception("heeding a wake-up failed")
            await asyncio.sleep(_QUEUE_PAUSE_SECONDS)

    async def _sweep(self) -> None:
        free = max(0, self.concurrency - len(self._answers))
        for generation_id in await self.sweep(free, hinted=not self.queue.away):
            if generation_id not in self._answers:
                self._begin(Request(generation_id), hinted=False)

    def _begin(self, request: Request, *, hinted: bool) -> None:
        task = asyncio.create_task(self._work(request, hinted=hinted))
        self._answers[request.generation_id] = task
        if len(self._answers) >= self.concurrency:
            self._slot_free.clear()

        def end(_: asyncio.Task[None]) -> None:
            del self._answers[request.generation_id]
            self._slot_free.set()

        task.add_done_callback(end)

    def _forget(self, request: Request) -> "asyncio.Task[None]":
        """Beside the answer, which does not wait for the queue and does not fail with it."""

        async def forget() -> None:
            try:
                await self.queue.done(request)
            except Exception as error:
                # That the queue is away is said elsewhere, once; this comes once for each request.
                log.info("the request for %s stays queued: %s", request.generation_id, error)

        return asyncio.create_task(forget())

    async def _work(self, request: Request, *, hinted: bool) -> None:
        only_about(generation_id=request.generation_id)
        try:
            claimed = await self.claim(request.generation_id)
            done = self._forget(request) if hinted else None
            if claimed is not None:
                generation = claimed.claim.generation
                also_about(
                    request_id=generation.request_id,
                    session_id=generation.session_id,
                    attempt=generation.attempt,
                )
                log.info(
                    "answering %s, attempt %d, request %s",
                    generation.id,
                    generation.attempt,
                    generation.request_id,
                )
                await self.answer(claimed, request.traceparent)
            if done is not None:
                await done
        except ChatError as error:
            log.warning("%s: %s: %s", request.generation_id, error.code, error.__cause__ or error)
        except Exception:
            log.exception("%s is left to another try", request.generation_id)


async def _cancel(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=_CANCEL_SECONDS)
