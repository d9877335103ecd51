"""What a worker recalls is what the database would have said, whatever happened meanwhile and
wherever."""

import random
from collections import Counter
from dataclasses import dataclass, field

from application.ports import OpenUnitOfWork
from application.recollect import Recollect
from domain.api_config import ApiChanges
from domain.conversation import Asked
from domain.generation import Ending, Failure, Generation, GenerationStatus
from domain.identifiers import ApiId, GenerationId, MessageId, SessionId, UserId
from domain.repositories import NewGeneration, NewQuestion, Turn
from infrastructure.memory.cache import MemoryCache
from tests.builders import a_new_api, add_api, add_session, add_user

SEEDS = range(16)
STEPS = 50
MOST = 6


@dataclass
class Worker:
    """Knows only what it has done itself: nobody tells it to forget anything."""

    cache: MemoryCache = field(default_factory=MemoryCache)
    held: tuple[Generation, Asked] | None = None

    @property
    def recollect(self) -> Recollect:
        return Recollect(self.cache)


@dataclass
class Talk:
    database: OpenUnitOfWork
    user: UserId
    session_id: SessionId
    dice: random.Random
    workers: tuple[Worker, ...] = field(default_factory=lambda: (Worker(), Worker()))
    configs: list[ApiId] = field(default_factory=list)
    asked: list[GenerationId] = field(default_factory=list)
    recalled: Counter[str] = field(default_factory=Counter)

    async def ask(self) -> None:
        generation_id = GenerationId(f"gen_{len(self.asked)}_{self.session_id}")
        async with self.database() as work:
            session = await work.sessions.lock(self.session_id, self.user)
            assert session is not None
            if session.unanswered > 3:
                return
            asked, number = session.ask(text := f"question {len(self.asked)}_{self.session_id}")
            question = NewQuestion(self.session_id, generation_id, number, text)
            message_id = await work.messages.add_question(question)
            await work.generations.add(self._new(generation_id, message_id, number))
            await work.sessions.save(asked)
            await work.commit()
        self.asked.append(generation_id)

    async def ask_again(self) -> None:
        generation_id = GenerationId(f"gen_{len(self.asked)}_{self.session_id}")
        async with self.database() as work:
            session = await work.sessions.lock(self.session_id, self.user)
            question = await work.messages.last_question(self.session_id)
            assert session is not None
            if question is None or session.unanswered:
                return
            answers = await work.messages.withdraw_answers(question, generation_id)
            await work.generations.add(self._new(generation_id, question.id, question.number))
            await work.sessions.save(session.ask_again(answers))
            await work.commit()
        self.asked.append(generation_id)

    def _new(
        self, generation_id: GenerationId, message_id: MessageId, number: int
    ) -> NewGeneration:
        api_id = self.dice.choice([None, *self.configs])
        return NewGeneration(
            generation_id, self.session_id, self.user, message_id, number, "m", api_id, None, None
        )

    async def clear(self) -> None:
        async with self.database() as work:
            session = await work.sessions.lock(self.session_id, self.user)
            assert session is not None
            if not session.unanswered:
                await work.sessions.save(session.clear())
                await work.messages.clear(self.session_id)
                await work.commit()

    async def stop(self) -> None:
        """Any of the last ones, whether it waits, runs or has ended."""
        if self.asked:
            async with self.database() as work:
                await work.generations.stop(self.dice.choice(self.asked[-3:]))
                await work.commit()

    async def claim(self) -> None:
        """Perhaps with a lease that is over at once, so that another may take it over."""
        worker = self.dice.choice(self.workers)
        lease = self.dice.choice([0, 60, 60])
        for generation_id in self.asked:
            async with self.database() as work:
                turn = await work.generations.claim(generation_id, lease)
                if turn is None:
                    continue
                await self._count(worker, turn)
                found = await worker.recollect(work, turn, MOST)
                generation = turn.generation
                recent = await work.messages.recent(self.session_id, generation.number, MOST)
                config = None
                if generation.api_id is not None:
                    config = await work.api_configs.find(self.user, generation.api_id)
                await work.commit()
            await worker.recollect.keep_config(found)
            assert found.asked is not None
            said = [(m.id, m.number, m.role, m.content, m.status) for m in found.asked.messages]
            assert said == [(m.id, m.number, m.role, m.content, m.status) for m in recent]
            assert found.config == config
            worker.held = generation, found.asked
            return

    async def _count(self, worker: Worker, turn: Turn) -> None:
        known = await worker.cache.recall(self.session_id, turn.generation.api_id)
        if known.conversation is not None:
            asked = known.conversation.asked(turn.question, turn.mark, MOST)
            self.recalled["old conversation" if asked is None else "conversation"] += 1
        if known.config is not None:
            old = known.config.updated_at != turn.api_changed_at
            self.recalled["old config" if old else "config"] += 1

    async def finish(self) -> None:
        worker = self.dice.choice(self.workers)
        if worker.held is None:
            return
        generation, asked = worker.held
        status, text, failure = self.dice.choice(
            [
                (GenerationStatus.COMPLETED, f"answer of {generation.id}", None),
                (GenerationStatus.COMPLETED, "", None),
                (GenerationStatus.STOPPED, "", None),
                (GenerationStatus.FAILED, "half an ans", Failure("broken", "It broke.")),
                (GenerationStatus.FAILED, "", Failure("broken", "It broke.")),
            ]
        )
        ending = Ending(status, text, 2, failure=failure)
        async with self.database() as work:
            finished = await work.generations.finish(generation.id, generation.fence, ending)
            await work.commit()
        if finished is not None:
            await worker.recollect.keep_answered(asked, finished.generation)
        worker.held = None

    async def step_aside(self) -> None:
        worker = self.dice.choice(self.workers)
        if worker.held is None:
            return
        generation, asked = worker.held
        async with self.database() as work:
            stepped = await work.generations.step_aside(generation.id, generation.fence)
            await work.commit()
        if stepped is not None:
            worker.held = stepped[1], asked

    async def end_lost(self) -> None:
        async with self.database() as work:
            for lost in await work.generations.lost(10):
                ending = Ending(GenerationStatus.STOPPED, self.dice.choice(["", "seen"]), 1)
                await work.generations.end_lost(lost.id, ending)
            await work.commit()

    async def configure(self) -> None:
        if not self.configs:
            name = str(self.dice.random())
            config = await add_api(self.database, a_new_api(self.user, name))
            self.configs.append(config.id)
            return
        api_id = self.dice.choice(self.configs)
        async with self.database() as work:
            if self.dice.random() < 0.3:
                await work.api_configs.delete(self.user, api_id)
                self.configs.remove(api_id)
            else:
                changes = ApiChanges(model_name=f"model {self.dice.random()}")
                await work.api_configs.change(self.user, api_id, changes)
            await work.commit()


async def test_what_is_recalled_is_what_the_database_would_have_said(
    database: OpenUnitOfWork,
) -> None:
    recalled: Counter[str] = Counter()
    for seed in SEEDS:
        user = await add_user(database, f"user_{seed}")
        session_id = await add_session(database, user, f"session_{seed}")
        talk = Talk(database, user, session_id, random.Random(seed))
        steps = [
            *[talk.ask] * 4,
            *[talk.claim, talk.finish] * 6,
            *[talk.ask_again, talk.clear, talk.stop] * 2,
            *[talk.step_aside, talk.end_lost, talk.configure],
        ]
        await talk.configure()
        for _ in range(STEPS):
            await talk.dice.choice(steps)()
        recalled += talk.recalled
    assert recalled.keys() == {"conversation", "old conversation", "config", "old config"}
