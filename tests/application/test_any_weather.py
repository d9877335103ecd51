"""Whatever becomes of the event stream and of the workers, and whenever: who follows a conversation
knows in the end what the database keeps."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, field

import pytest

from application.claim_generation import Claimed
from application.claims import Interruption
from application.following import Following
from application.ports import Finish, ReasoningPiece, TextPiece
from domain.errors import DatabaseUnavailable, SessionBusy
from domain.identifiers import GenerationId
from domain.position import ORIGIN, Position
from tests.application.test_catch_up import Reader
from tests.application.test_show_again import FrailChat, frail_chat
from tests.application.test_step_aside import Talker

PATIENCE_SECONDS = 20
STEPS = 60


@dataclass
class Follower:
    """One who follows a conversation, or one answer `only`, and now and then leaves and comes back.
    One who `belongs` was there from the beginning; another knows nothing of what ended before it
    came."""

    chat: FrailChat
    belongs: bool
    only: GenerationId | None = None
    reader: Reader = field(default_factory=Reader)
    heard: asyncio.Event = field(default_factory=asyncio.Event)
    following: "asyncio.Task[None] | None" = None

    @property
    def is_there(self) -> bool:
        return self.following is not None and not self.following.done()

    @property
    def knows_all(self) -> bool:
        return self.only is not None and self.only in self.reader.ended

    def come(self) -> None:
        if not self.knows_all:
            self.following = asyncio.create_task(self._read())

    async def leave(self) -> None:
        if self.following is not None:
            self.following.cancel()
            with suppress(asyncio.CancelledError, DatabaseUnavailable):
                await self.following
            self.following = None

    async def _read(self) -> None:
        cursor = self.reader.position or (ORIGIN if self.belongs else None)
        async with self._follow(cursor) as following:
            async for batch in following:
                self.reader.read(list(batch))
                self.heard.set()

    def _follow(self, cursor: Position | None) -> AbstractAsyncContextManager[Following]:
        if self.only is not None:
            return self.chat.follow_generation(self.chat.user, self.only, cursor)
        return self.chat.follow(self.chat.user, self.chat.session_id, cursor)


@dataclass
class Talk:
    """One conversation, its worker, and those who follow it."""

    chat: FrailChat
    dice: random.Random
    followers: list[Follower] = field(default_factory=list)
    asked: list[GenerationId] = field(default_factory=list)
    talker: Talker = field(default_factory=Talker)
    claimed: Claimed | None = None
    answer: "asyncio.Task[None] | None" = None

    async def step(self) -> None:
        deeds = {
            self.say: 12,
            self.show_again: 4,
            self.watch: 4,
            self.stream_leaves: 2,
            self.stream_returns: 3,
            self.stream_loses_all: 1,
            self.somebody_comes: 2,
            self.somebody_moves: 4,
            self.ask: 3,
            self.stop_what_waits: 2,
            self.heartbeat: 1,
            self.finish: 2,
            self.stop: 1,
            self.worker_dies: 1,
            self.give_back: 1,
            self.sweep: 1,
            self.database_leaves: 1,
            self.pause: 4,
        }
        [deed] = self.dice.choices(list(deeds), list(deeds.values()))
        with suppress(DatabaseUnavailable):
            await deed()
        for _ in range(self.dice.choice((0, 1, 5, 20))):
            await asyncio.sleep(0)
        await self.go_on()

    async def go_on(self) -> None:
        """What a worker does when it has answered."""
        with suppress(DatabaseUnavailable):
            if self.answer is not None and self.answer.done():
                done, self.answer = self.answer, None
                await done
            if self.answer is None:
                await self.begin()

    async def ask(self) -> None:
        if len(self.asked) < 25:
            with suppress(SessionBusy):
                self.asked.append((await self.chat.ask()).generation_id)

    async def begin(self) -> None:
        for generation_id in self.asked:
            claimed = await self.chat.claim(generation_id)
            if claimed is not None:
                self.claimed, self.talker = claimed, Talker()
                self.chat.scripted(self.talker)
                self.answer = asyncio.create_task(self.chat.answer(claimed))
                return

    async def say(self) -> None:
        word = self.dice.choice(("so ", "it ", "goes ", "on "))
        piece = TextPiece(word) if self.dice.random() < 0.8 else ReasoningPiece(word)
        self.talker.pieces.put_nowait(piece)

    async def finish(self) -> None:
        self.talker.pieces.put_nowait(Finish("stop"))

    async def show_again(self) -> None:
        await self.chat.show_again()

    async def watch(self) -> None:
        await self.chat.watch()

    async def heartbeat(self) -> None:
        await self.chat.renew()

    async def sweep(self) -> None:
        await self.chat.sweep(0)

    async def pause(self) -> None:
        """So that words which wait to be joined are stored."""
        await asyncio.sleep(0.003)

    async def stream_leaves(self) -> None:
        self.chat.stream.leave()

    async def stream_returns(self) -> None:
        if self.dice.random() < 0.5:
            self.chat.stream.lose()
        self.chat.stream.come_back()

    async def database_leaves(self) -> None:
        """For one transaction, whosever that is."""
        self.chat.database.away = 1

    async def stream_loses_all(self) -> None:
        self.chat.stream.lose()

    async def somebody_comes(self) -> None:
        if len(self.followers) < 8:
            only = self.dice.choice([None, None, *self.asked[-2:]])
            self.followers.append(Follower(self.chat, self.dice.random() < 0.5, only))
            self.followers[-1].come()

    async def somebody_moves(self) -> None:
        if self.followers:
            follower = self.dice.choice(self.followers)
            if follower.is_there:
                await follower.leave()
            else:
                follower.come()

    async def stop_what_waits(self) -> None:
        for generation_id in reversed(self.asked):
            generation = await self.chat.generation(generation_id)
            if not generation.ended and generation.attempt == 0:
                await self.chat.stop(self.chat.user, generation_id)
                await self.chat.renew.of_session(self.chat.session_id)
                return

    async def stop(self) -> None:
        if self.claimed is not None:
            await self.chat.stop(self.chat.user, self.claimed.claim.generation.id)
            await self.chat.renew.of_session(self.chat.session_id)

    async def worker_dies(self) -> None:
        if self.answer is not None:
            self.answer.cancel()
            with suppress(asyncio.CancelledError, DatabaseUnavailable):
                await self.answer
            self.answer = None

    async def give_back(self) -> None:
        if self.claimed is not None:
            self.claimed.claim.interrupt(Interruption.RELEASE)

    async def conclude(self) -> None:
        """All is answered, and everybody is there to hear it."""
        self.chat.database.away = 0
        await self.ask()
        for follower in self.followers:
            if not follower.is_there:
                follower.come()
        if self.dice.random() < 0.5:
            await self.stream_returns()
        last = self.asked[-1]
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not (await self.chat.generation(last)).ended:
                await self.finish()
                await self.chat.renew()
                await self.chat.sweep(0)
                await asyncio.sleep(0.001)
                await self.go_on()
            end = (await self.chat.generation(last)).end or ORIGIN
            for follower in self.followers:
                while not follower.knows_all and (follower.reader.position or ORIGIN) < end:
                    follower.heard.clear()
                    await self.chat.watch()
                    await asyncio.sleep(0.001)
                    if not follower.is_there:
                        await follower.leave()
                        follower.come()
                    if not follower.belongs and follower.reader.position is None:
                        break  # it came after the end of all

    async def check(self) -> None:
        kept = [await self.chat.generation(generation_id) for generation_id in self.asked]
        texts = {each.id: each.text for each in kept}
        in_order = [each.id for each in sorted(kept, key=lambda each: each.end or ORIGIN)]
        for follower in self.followers:
            reader = follower.reader
            for name in reader.ended:
                assert reader.texts.get(name, "") == texts[name]
            assert set(reader.texts) <= set(reader.ended)
            if follower.only is not None:
                assert reader.ended == [follower.only]
            elif follower.belongs:
                assert reader.ended == in_order
            else:
                assert reader.ended == in_order[len(in_order) - len(reader.ended) :]

    async def close(self) -> None:
        for follower in self.followers:
            await follower.leave()
        if self.answer is not None:
            await self.worker_dies()


@pytest.fixture
async def chat(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FrailChat]:
    monkeypatch.setattr("infrastructure.memory.event_stream.JOIN_SECONDS", 0.002)
    async with frail_chat() as made:
        made.lease_seconds = 0
        yield made


@pytest.mark.parametrize("seed", range(40))
async def test_who_follows_knows_in_the_end_what_is_kept(chat: FrailChat, seed: int) -> None:
    dice = random.Random(seed)
    chat.stream.remembers = dice.random() < 0.5
    chat.stream.most_at_once = dice.choice((1, 2, 256))
    talk = Talk(chat, dice)
    await talk.ask()
    await talk.begin()
    for _ in range(STEPS):
        await talk.step()
    await talk.conclude()
    await talk.check()
    await talk.close()
