"""An answer is being written, and one that waits behind it is stopped: that one's end is told now,
in its place, and the answer goes on above it."""

import asyncio
import copy
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from application.answer_message import AnswerMessage
from application.claim_generation import Claimed
from application.claims import Interruption
from application.events import (
    Chunk,
    Entry,
    Reasoning,
    Reset,
    Snapshot,
    Start,
    Stopped,
    StreamEvent,
    Terminal,
)
from application.follow_session import FollowSession
from application.following import Following
from application.ports import Finish, Piece, ReasoningPiece, Subscription, TextPiece
from domain.events import GenerationStopped
from domain.generation import GenerationStatus
from domain.identifiers import GenerationId, SessionId
from domain.position import ORIGIN, Position
from domain.prompt import Prompt
from infrastructure.memory.event_stream import MemoryEventStream
from tests.application.conftest import Chat, hello
from tests.application.test_answer_message import kinds
from tests.application.test_catch_up import Reader
from tests.builders import completed, finish
from tests.fakes import FakeDatabase, FakeUnitOfWork


class Talker:
    """A model that says what it is told to say."""

    def __init__(self) -> None:
        self.pieces: asyncio.Queue[Piece] = asyncio.Queue()
        self.closed = False

    async def __call__(self, _: Prompt) -> AsyncGenerator[Piece, None]:
        try:
            while True:
                piece = await self.pieces.get()
                yield piece
                self.pieces.task_done()
                if isinstance(piece, Finish):
                    return
        finally:
            self.closed = True

    async def say(self, *pieces: str | Piece) -> None:
        """Returns once the answer has it."""
        for piece in pieces:
            self.pieces.put_nowait(TextPiece(piece) if isinstance(piece, str) else piece)
        await self.pieces.join()


@dataclass
class Answering:
    """An answer that has said "so " in a session where others wait behind it."""

    chat: Chat
    claimed: Claimed
    talker: Talker
    waiting: list[GenerationId]
    task: "asyncio.Task[None]"

    @property
    def id(self) -> GenerationId:
        return self.claimed.claim.generation.id

    async def stop_behind(self) -> GenerationId:
        """The first that waits; not yet told."""
        stopped = await self.chat.stop(self.chat.user, self.waiting.pop(0))
        assert stopped.status is GenerationStatus.STOPPED
        return stopped.id

    async def heed(self) -> None:
        """What a worker does when it is woken."""
        await self.chat.renew.of_session(self.chat.session_id)

    async def moved(self, fence: int) -> None:
        """Waits until the answer goes on under this fence."""
        async with self.chat.stream.subscribe(self.chat.session_id) as subscription:
            after = ORIGIN
            while after < Position(fence, 0):
                entries = await asyncio.wait_for(subscription.next(after), 10)
                after = entries[-1].position

    async def shown(self, text: str) -> None:
        """Waits until subscribers have seen this text: pieces may wait to be joined."""
        reader = Reader()
        async with self.chat.stream.subscribe(self.chat.session_id) as subscription:
            while reader.texts.get(self.id) != text:
                after = reader.position or ORIGIN
                reader.read(list(await asyncio.wait_for(subscription.next(after), 10)))

    async def steps_aside(self) -> GenerationId:
        """For the first that waits."""
        stopped = await self.stop_behind()
        await self.heed()
        await self.moved(self.claimed.claim.generation.fence + 2)
        return stopped

    async def finish(self) -> None:
        await self.talker.say(Finish("stop"))
        await self.task


@asynccontextmanager
async def answering(
    chat: Chat, answer: AnswerMessage | None = None, waiting: int = 3
) -> AsyncIterator[Answering]:
    talker = Talker()
    chat.scripted(talker)
    await chat.ask("why?")
    claimed = await chat.take()
    behind = [(await chat.ask(f"{number}?")).generation_id for number in range(waiting)]
    task = asyncio.create_task((answer or chat.answer)(claimed))
    await talker.say("so ")
    chat.happened.clear()
    made = Answering(chat, claimed, talker, behind, task)
    yield made
    assert made.task.done()
    await made.task


async def until(following: Following, last: Position) -> list[Entry]:
    entries: list[Entry] = []
    while not entries or entries[-1].position < last:
        entries += await asyncio.wait_for(anext(following), 10)
    return entries


def told(entries: list[Entry]) -> list[tuple[str, str, GenerationId]]:
    return [
        (str(entry.position), type(entry.event).__name__, entry.event.generation_id)
        for entry in entries
    ]


def events(entries: list[Entry]) -> list[tuple[Position, StreamEvent]]:
    return [(entry.position, entry.event) for entry in entries]


async def read_all(chat: Chat, cursor: Position, last: Position, reader: Reader) -> Reader:
    """What a subscriber knows who comes with this cursor."""
    async with chat.follow(chat.user, chat.session_id, cursor) as following:
        if cursor < last:
            reader.read(await until(following, last))
    return reader


# What subscribers see


async def test_who_is_there_sees_the_end_of_the_one_and_then_the_other_go_on(chat: Chat) -> None:
    async with chat.follow(chat.user, chat.session_id, None) as following:
        async with answering(chat) as answer:
            stopped = await answer.steps_aside()
            await answer.talker.say("it is")
            await answer.finish()
        shown = await until(following, Position(3, 2))
    assert told(shown) == [
        ("1-0", "Start", answer.id),
        ("1-1", "Chunk", answer.id),
        ("2-0", "Stopped", stopped),
        ("3-0", "Snapshot", answer.id),
        ("3-1", "Chunk", answer.id),
        ("3-2", "Done", answer.id),
    ]
    assert shown[2].event == Stopped(stopped, None, None)
    assert shown[3].event == Snapshot(answer.id, 1, "so ")
    assert shown == await chat.held()
    ended = await chat.generation(answer.id)
    assert (ended.text, ended.end) == ("so it is", Position(3, 2))
    assert Reader().read(shown).texts[answer.id] == ended.text


async def test_an_answer_steps_aside_as_often_as_it_must(chat: Chat) -> None:
    async with answering(chat) as answer:
        stopped = []
        for word in ("it ", "goes ", "on"):
            stopped.append(await answer.steps_aside())
            await answer.talker.say(word)
        await answer.finish()
    held = await chat.held()
    reader = Reader().read(held)
    assert reader.ended == [*stopped, answer.id]
    assert reader.texts[answer.id] == (await chat.generation(answer.id)).text == "so it goes on"
    assert [entry.position.fence for entry in held if isinstance(entry.event, Terminal)] == [
        2, 4, 6, 7,
    ]  # fmt: skip


async def test_several_that_were_stopped_are_told_in_one_step(chat: Chat) -> None:
    async with answering(chat) as answer:
        stopped = [await answer.stop_behind() for _ in range(3)]
        await answer.heed()
        await answer.moved(5)
        await answer.talker.say("it is")
        await answer.finish()
    assert told(await chat.held())[2:6] == [
        ("2-0", "Stopped", stopped[0]),
        ("3-0", "Stopped", stopped[1]),
        ("4-0", "Stopped", stopped[2]),
        ("5-0", "Snapshot", answer.id),
    ]
    assert (await chat.generation(answer.id)).text == "so it is"


async def test_text_that_was_not_shown_yet_is_in_the_snapshot_and_nowhere_else(
    chat: Chat,
) -> None:
    """Fast pieces wait to be joined when the answer steps aside."""
    async with answering(chat) as answer:
        await answer.talker.say("it ", "is ", ReasoningPiece("hm"))
        await answer.steps_aside()
        await answer.talker.say("done")
        await answer.finish()
    held = await chat.held()
    snapshots = [entry.event for entry in held if isinstance(entry.event, Snapshot)]
    assert snapshots == [Snapshot(answer.id, 1, "so it is ", "hm")]
    after = [entry.event for entry in held if entry.position > Position(3, 0)]
    assert [event.text for event in after if isinstance(event, Chunk | Reasoning)] == ["done"]
    ended = await chat.generation(answer.id)
    assert Reader().read(held).texts[answer.id] == ended.text == "so it is done"


async def test_who_comes_back_gets_exactly_what_came_after(chat: Chat) -> None:
    async with answering(chat) as answer:
        await answer.talker.say("it ")
        await answer.steps_aside()
        await answer.talker.say("is")
        await answer.shown("so it is")
        running = await chat.held()
        for index, entry in enumerate(running[:-1]):
            async with chat.follow(chat.user, chat.session_id, entry.position) as following:
                rest = await until(following, running[-1].position)
                assert events(rest) == events(running[index + 1 :])
        await answer.finish()
    held = await chat.held()
    for index, entry in enumerate(held[:-1]):
        async with chat.follow(chat.user, chat.session_id, entry.position) as following:
            rest = await until(following, held[-1].position)
            assert events(rest) == events(held[index + 1 :])


async def test_from_every_position_the_same_is_known_at_the_end(chat: Chat) -> None:
    """However many were stopped, whether the stream still has it or only the database, and while it
    is written as well as later."""
    async with answering(chat) as answer:
        for word in ("it ", "goes ", "on"):
            await answer.steps_aside()
            await answer.talker.say(word)
        await answer.shown("so it goes on")
        running = await chat.held()
        for index, entry in enumerate(running):
            reader = Reader().read(running[: index + 1])
            await read_all(chat, entry.position, running[-1].position, reader)
            assert reader.texts[answer.id] == "so it goes on"
            assert len(reader.ended) == 3
            async with chat.follow(chat.user, chat.session_id, entry.position) as following:
                rest = running[index + 1 :]
                if rest:  # all of it is held, so it is exactly what came after
                    came = await until(following, rest[-1].position)
                    assert events(came) == events(rest)
        await answer.finish()
    held = await chat.held()
    whole = Reader().read(held)
    assert whole.texts[answer.id] == (await chat.generation(answer.id)).text == "so it goes on"
    for _ in range(2):
        for index, entry in enumerate(held):
            reader = Reader().read(held[: index + 1])
            await read_all(chat, entry.position, held[-1].position, reader)
            assert reader.ended == whole.ended
            assert reader.texts[answer.id] == "so it goes on"
        chat.stream.close()  # a restart


async def test_who_comes_without_a_cursor_gets_one_snapshot_of_what_goes_on(chat: Chat) -> None:
    async with answering(chat) as answer:
        await answer.steps_aside()
        await answer.talker.say("it ")
        await answer.shown("so it ")
        async with chat.follow(chat.user, chat.session_id, None) as following:
            assert following.began == Position(2, 0)
            (first,) = await anext(following)
            assert first.position == Position(3, 1)
            assert first.event == Snapshot(answer.id, 1, "so it ")
            await answer.talker.say("is")
            await answer.finish()
            reader = Reader().read([first, *await until(following, Position(3, 3))])
    assert reader.texts[answer.id] == "so it is"


async def test_who_follows_the_stopped_one_alone_sees_its_end(chat: Chat) -> None:
    async with answering(chat) as answer:
        waiting = answer.waiting[0]
        async with chat.follow_generation(chat.user, waiting, None) as following:
            await answer.steps_aside()
            early = [entry async for batch in following for entry in batch]
        await answer.stop_behind()
        for cursor in (None, ORIGIN):
            async with chat.follow_generation(chat.user, waiting, cursor) as following:
                late = [entry async for batch in following for entry in batch]
                assert told(late) == told(early)
        await answer.finish()
    assert told(early) == [("2-0", "Stopped", waiting)]


async def test_who_follows_a_stopped_one_that_is_not_told_yet_sees_its_end_at_once(
    chat: Chat,
) -> None:
    async with answering(chat) as answer:
        stopped = await answer.stop_behind()
        async with chat.follow_generation(chat.user, stopped, ORIGIN) as following:
            shown = [entry async for batch in following for entry in batch]
        await answer.finish()
    assert told(shown) == [("2-0", "Stopped", stopped)]


async def test_who_follows_the_running_one_alone_sees_it_go_on(chat: Chat) -> None:
    async with (
        answering(chat) as answer,
        chat.follow_generation(chat.user, answer.id, ORIGIN) as following,
    ):
        await answer.steps_aside()
        await answer.talker.say("it is")
        await answer.finish()
        shown = [entry async for batch in following for entry in batch]
    assert {entry.event.generation_id for entry in shown} == {answer.id}
    assert kinds(shown) == ["Start", "Chunk", "Snapshot", "Chunk", "Done"]


async def test_after_it_the_next_message_is_answered_as_ever(chat: Chat) -> None:
    async with answering(chat) as answer:
        await answer.steps_aside()
        next_id = answer.waiting[0]
        chat.queue.requests.clear()
        await answer.finish()
    chat.scripted(talker := Talker())
    assert [request.generation_id for request in chat.queue.requests] == [next_id]
    task = asyncio.create_task(chat.answer(await chat.take()))
    await talker.say("then", Finish("stop"))
    await task
    assert (await chat.held())[-1].position == Position(4, 2)


async def test_each_end_is_announced_once(chat: Chat) -> None:
    async with answering(chat) as answer:
        stopped = [await answer.steps_aside(), await answer.stop_behind()]
        which = [GenerationStopped(chat.user, chat.session_id, each) for each in stopped]
        assert chat.happened == which
        await answer.finish()
    assert len(chat.happened) == 3


async def test_with_nothing_to_tell_the_answer_does_not_move(chat: Chat) -> None:
    async with answering(chat) as answer:
        await answer.heed()
        await answer.talker.say("it is")
        await answer.finish()
    assert {entry.position.fence for entry in await chat.held()} == {1}


async def test_a_stop_that_comes_with_the_end_is_told_after_it(chat: Chat) -> None:
    async with answering(chat) as answer:
        stopped = await answer.stop_behind()  # and nobody is woken
        await answer.finish()
    assert told(await chat.held())[-2:] == [
        ("1-2", "Done", answer.id),
        ("2-0", "Stopped", stopped),
    ]


async def test_what_was_stopped_behind_a_lost_one_is_told_by_the_database(chat: Chat) -> None:
    """No worker steps aside for it: the takeover is above it, and there is a gap of fences."""
    chat.lease_seconds = 0
    async with chat.follow(chat.user, chat.session_id, ORIGIN) as following:
        async with answering(chat) as answer:
            before = await until(following, Position(1, 1))
            stopped = await answer.stop_behind()
            answer.task.cancel()
            await asyncio.wait((answer.task,))
            again = await chat.claim(answer.id)
            assert again is not None
            answer.task = asyncio.create_task(chat.answer(again))
            chat.scripted(answer.talker)
            await answer.talker.say("anew")
            await answer.finish()
        shown = await until(following, Position(3, 2))
    assert told(shown)[:2] == [("2-0", "Stopped", stopped), ("3-0", "Reset", answer.id)]
    assert isinstance(shown[1].event, Reset)
    reader = Reader().read(before + shown)
    assert reader.texts[answer.id] == (await chat.generation(answer.id)).text == "anew"
    assert reader.ended == [stopped, answer.id]


@pytest.mark.parametrize("reads", [True, False])
async def test_an_end_that_was_missed_after_it_is_noticed_at_the_next_beginning(
    chat: Chat, reads: bool
) -> None:
    """The end of the one that was stopped is not the end of the one that stepped aside."""
    seen: list[Entry] = []
    async with chat.follow(chat.user, chat.session_id, ORIGIN) as following:
        async with answering(chat) as answer:
            stopped = await answer.steps_aside()
            if reads:
                seen += await until(following, Position(3, 0))
            answer.task.cancel()  # its worker stores the end, and dies before it tells it
            await asyncio.wait((answer.task,))
            answer.task = asyncio.create_task(asyncio.sleep(0))
            await answer.task
            await finish(chat.database, answer.claimed.claim.generation, completed("so it is", 4))
        chat.scripted(hello)
        next_one = await chat.claim(answer.waiting[0])
        assert next_one is not None
        await chat.answer(next_one)
        seen += await until(following, (await chat.held())[-1].position)
    reader = Reader().read(seen)
    assert reader.ended == [stopped, answer.id, next_one.claim.generation.id]
    assert reader.texts[answer.id] == "so it is"


class OneBatch(MemoryEventStream):
    """Gives one batch to who waits, as a stream does that keeps more."""

    def __init__(self, *kept: Entry) -> None:
        super().__init__()
        self.kept = kept
        self.batch: list[Entry] = []

    @asynccontextmanager
    async def subscribe(self, session_id: SessionId) -> AsyncIterator[Subscription]:
        yield self

    async def held(self, since: object = None) -> Sequence[Entry]:
        return self.kept

    async def next(self, after: Position) -> Sequence[Entry]:
        return self.batch

    def wake(self) -> None: ...


async def test_an_end_that_was_missed_is_noticed_within_a_batch_too(chat: Chat) -> None:
    await chat.ask()
    claimed = (await chat.take()).claim.generation
    waiting, next_one = await chat.ask(), await chat.ask()
    stream = OneBatch(Entry(Position(1, 0), Start(claimed.id, 1, "scripted", "why?")))
    follow = FollowSession(chat.database, stream, chat.followers)
    async with follow(chat.user, chat.session_id, Position(1, 0)) as following:
        assert list(await anext(following)) == []
        stopped = await chat.stop(chat.user, waiting.generation_id)
        async with chat.database() as work:
            stepped = await work.generations.step_aside(claimed.id, claimed.fence)
            await work.commit()
        assert stepped is not None
        await finish(chat.database, stepped[1], completed("all of it", 4))
        stream.batch = [
            Entry(Position(2, 0), Stopped(stopped.id, None, None)),
            Entry(Position(3, 0), Snapshot(claimed.id, 1, "all")),
            Entry(Position(4, 0), Start(next_one.generation_id, 1, "scripted", "why?")),
        ]
        shown = list(await anext(following))
    assert told(shown) == [
        ("2-0", "Stopped", stopped.id),
        ("3-3", "Snapshot", claimed.id),
        ("3-4", "Done", claimed.id),
    ]


# What comes in between


@dataclass
class LateReply:
    """A database that does what it is told to, and says so late."""

    database: FakeDatabase
    committed: asyncio.Event = field(default_factory=asyncio.Event)
    replied: asyncio.Event = field(default_factory=asyncio.Event)

    @asynccontextmanager
    async def __call__(self, *, read_only: bool = False) -> AsyncIterator[FakeUnitOfWork]:
        yield _LateWork(self)


class _LateWork(FakeUnitOfWork):
    def __init__(self, late: LateReply) -> None:
        super().__init__(late.database, copy.deepcopy(late.database.state))
        self._late = late

    async def commit(self) -> None:
        await super().commit()
        self._late.committed.set()
        await self._late.replied.wait()


@asynccontextmanager
async def stepping_aside(chat: Chat) -> AsyncIterator[tuple[Answering, LateReply]]:
    """In the moment in which the database has it under the new fence, and the answer does not
    know."""
    late = LateReply(chat.database)
    slow = AnswerMessage(late, chat.stream, chat.claims, chat.end, chat.queue, chat.recollect)
    async with answering(chat, slow) as answer:
        await answer.stop_behind()
        await answer.heed()
        await late.committed.wait()
        yield answer, late


async def test_a_heartbeat_while_it_moves_does_not_take_it_for_lost(chat: Chat) -> None:
    async with stepping_aside(chat) as (answer, late):
        await chat.renew()
        late.replied.set()
        await answer.moved(3)
        await chat.renew()
        assert not answer.claimed.claim.interruption.done()
        await answer.talker.say("it is")
        await answer.finish()
    ended = await chat.generation(answer.id)
    assert (ended.status, ended.text) == (GenerationStatus.COMPLETED, "so it is")


async def test_a_heartbeat_that_began_before_it_moved_does_not_take_it_for_lost(
    chat: Chat,
) -> None:
    async with answering(chat) as answer:
        await answer.stop_behind()
        await answer.heed()
        async with chat.database():  # which lets nobody else write
            for _ in range(9):
                await asyncio.sleep(0)
            assert answer.claimed.claim.moving
            beat = asyncio.create_task(chat.renew())
            await asyncio.sleep(0)
        await answer.moved(3)
        await beat
        assert answer.claimed.claim.generation.fence == 3
        assert not answer.claimed.claim.interruption.done()
        await answer.talker.say("it is")
        await answer.finish()
    assert (await chat.generation(answer.id)).text == "so it is"


async def test_who_has_lost_it_to_another_worker_does_not_step_aside(chat: Chat) -> None:
    chat.lease_seconds = 0
    async with answering(chat) as answer:
        await answer.stop_behind()
        assert await chat.claim(answer.id)
        await answer.heed()
        await answer.task
        assert answer.talker.closed
    assert answer.claimed.claim.must_end is Interruption.FENCED
    assert told(await chat.held()) == [("1-0", "Start", answer.id), ("1-1", "Chunk", answer.id)]


async def test_a_stop_while_it_moves_is_not_lost(chat: Chat) -> None:
    async with stepping_aside(chat) as (answer, late):
        answer.claimed.claim.interrupt(Interruption.STOP)
        late.replied.set()
        await answer.task
    ended = await chat.generation(answer.id)
    assert (ended.status, ended.text) == (GenerationStatus.STOPPED, "so ")
    assert kinds(await chat.held()) == ["Start", "Chunk", "Stopped", "Snapshot", "Stopped"]


async def test_a_stop_while_it_moves_is_heard_at_the_next_heartbeat(chat: Chat) -> None:
    """The wake-up finds it under neither fence."""
    async with stepping_aside(chat) as (answer, late):
        await chat.stop(chat.user, answer.id)
        await answer.heed()
        late.replied.set()
        await answer.moved(3)
        await chat.renew()
        await answer.task
    ended = await chat.generation(answer.id)
    assert (ended.status, ended.text) == (GenerationStatus.STOPPED, "so ")


async def test_a_process_that_ends_while_it_moves_gives_it_back_under_its_new_fence(
    chat: Chat,
) -> None:
    async with stepping_aside(chat) as (answer, late):
        chat.claims.interrupt(Interruption.RELEASE)
        late.replied.set()
        await answer.task
        assert answer.talker.closed
    assert await chat.sweep(9) == [answer.id]
    again = await chat.claim(answer.id)
    assert again is not None
    assert again.claim.generation.attempt == 2


async def test_one_that_is_to_stop_does_not_step_aside_any_more(chat: Chat) -> None:
    for first_woken in (False, True):
        async with answering(chat) as answer:
            stopped = await answer.stop_behind()
            if first_woken:
                await answer.heed()
            await chat.stop(chat.user, answer.id)
            await answer.heed()
            await answer.task
        ends = [entry.event for entry in await chat.held() if isinstance(entry.event, Terminal)]
        assert [end.generation_id for end in ends][-2:] == [answer.id, stopped]
        assert (await chat.generation(answer.id)).status is GenerationStatus.STOPPED
        for waiting in answer.waiting:
            await chat.stop(chat.user, waiting)
        chat.queue.requests.clear()


async def test_while_the_database_is_away_it_stays_where_it_is_and_the_end_is_told_later(
    chat: Chat, caplog: pytest.LogCaptureFixture
) -> None:
    async with answering(chat) as answer:
        stopped = await answer.stop_behind()
        await answer.heed()
        chat.database.away = 1
        await answer.talker.say("it is")
        assert f"{answer.id} does not step aside" in caplog.text
        assert not answer.claimed.claim.moving
        await chat.renew()
        await answer.finish()
    assert told(await chat.held())[-2:] == [
        ("1-3", "Done", answer.id),
        ("2-0", "Stopped", stopped),
    ]
    assert (await chat.generation(answer.id)).text == "so it is"


async def test_an_answer_that_is_over_when_it_should_step_aside_tells_all_at_its_end(
    chat: Chat,
) -> None:
    async with answering(chat) as answer:
        stopped = await answer.stop_behind()
        finishing = asyncio.create_task(answer.talker.say(Finish("stop")))
        await answer.heed()
        await finishing
        await answer.task
    ends = [entry for entry in await chat.held() if isinstance(entry.event, Terminal)]
    assert {entry.event.generation_id for entry in ends} == {answer.id, stopped}
    assert len(ends) == 2
    assert (await chat.generation(answer.id)).status is GenerationStatus.COMPLETED
