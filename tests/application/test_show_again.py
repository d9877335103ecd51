"""The event stream is away, or has lost what it held: answers go on, subscribers are shown them
from the database, and the stream goes on with them when it is back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

import pytest

from application.answer_message import AnswerMessage
from application.browse import ReadGeneration
from application.claim_generation import Claimed
from application.claims import Interruption
from application.events import Snapshot
from application.following import Following
from application.ports import Finish, ReasoningPiece
from application.show_again import ShowAgain
from domain.errors import DatabaseUnavailable
from domain.generation import GenerationStatus, Progress
from domain.identifiers import GenerationId
from domain.position import ORIGIN, Position
from tests.application.conftest import Chat, hello
from tests.application.test_answer_message import kinds
from tests.application.test_catch_up import Reader
from tests.application.test_step_aside import LateReply, Talker, told, until
from tests.builders import add_session, add_user
from tests.fakes import FakeDatabase
from tests.frail_stream import FrailStream


@dataclass
class FrailChat(Chat):
    """The use cases over a stream that goes away."""

    stream: FrailStream

    @property
    def show_again(self) -> ShowAgain:
        return ShowAgain(self.database, self.claims, self.renew)

    @property
    def read_generation(self) -> ReadGeneration:
        return ReadGeneration(self.database, self.stream)

    async def newcomer(self) -> Reader:
        """What one knows who comes now."""
        async with self.follow(self.user, self.session_id, None) as following:
            return Reader().read(list(await anext(following)))


@asynccontextmanager
async def frail_chat() -> AsyncIterator[FrailChat]:
    database = FakeDatabase()
    user = await add_user(database)
    stream = FrailStream()
    yield FrailChat(user, await add_session(database, user), database, stream)
    stream.close()


@pytest.fixture
async def chat() -> AsyncIterator[FrailChat]:
    async with frail_chat() as made:
        yield made


@dataclass
class Answering:
    """An answer that has said "so "."""

    chat: FrailChat
    claimed: Claimed
    talker: Talker
    task: "asyncio.Task[None]"

    @property
    def id(self) -> GenerationId:
        return self.claimed.claim.generation.id

    async def progress(self) -> Progress | None:
        return (await self.chat.generation(self.id)).progress

    async def breaks(self) -> None:
        """What it says next is not stored."""
        self.chat.stream.leave()
        await self.talker.say("it ")
        await self.flushed()

    async def flushed(self) -> None:
        telling = self.claimed.claim.telling
        assert telling is not None
        await telling.writer.flush()

    def follow(
        self, cursor: Position | None, *, alone: bool
    ) -> AbstractAsyncContextManager[Following]:
        if alone:
            return self.chat.follow_generation(self.chat.user, self.id, cursor)
        return self.chat.follow(self.chat.user, self.chat.session_id, cursor)

    async def finish(self) -> None:
        await self.talker.say(Finish("stop"))
        await self.task


@asynccontextmanager
async def answering(
    chat: FrailChat, answer: AnswerMessage | None = None
) -> AsyncIterator[Answering]:
    chat.scripted(talker := Talker())
    await chat.ask("why?")
    claimed = await chat.take()
    task = asyncio.create_task((answer or chat.answer)(claimed))
    await talker.say("so ")
    made = Answering(chat, claimed, talker, task)
    yield made
    if not made.task.done():
        await made.finish()
    await made.task


# What a worker does


async def test_what_the_stream_did_not_store_is_saved_and_goes_on_in_it(chat: FrailChat) -> None:
    async with answering(chat) as answer:
        await answer.breaks()
        await chat.show_again()
        assert await answer.progress() == Progress(3, "so it ", "")
        chat.stream.come_back()
        await answer.talker.say("is ", ReasoningPiece("hm"))
        await answer.flushed()
        await chat.show_again()
        assert await answer.progress() == Progress(6, "so it is ", "hm")
        await answer.talker.say("on")
        await answer.finish()
    assert told(await chat.held()) == [
        ("1-0", "Start", answer.id),
        ("1-1", "Chunk", answer.id),
        ("1-6", "Snapshot", answer.id),
        ("1-7", "Chunk", answer.id),
        ("1-8", "Done", answer.id),
    ]
    snapshot = (await chat.held())[2].event
    assert snapshot == Snapshot(answer.id, 1, "so it is ", "hm", recovered=False)
    ended = await chat.generation(answer.id)
    assert (ended.text, ended.end, ended.progress) == ("so it is on", Position(1, 8), None)


async def test_after_the_stream_has_lost_all_it_begins_with_a_snapshot(chat: FrailChat) -> None:
    async with answering(chat) as answer:
        chat.stream.lose()
        await answer.talker.say("it ")
        await answer.flushed()
        assert await chat.held() == []
        await chat.show_again()
        assert told(await chat.held()) == [("1-3", "Snapshot", answer.id)]


async def test_what_is_stored_is_left_alone(chat: FrailChat) -> None:
    async with answering(chat) as answer:
        writes = chat.database.state
        await chat.show_again()
        assert chat.database.state is writes
        assert await answer.progress() is None


async def test_while_the_database_is_away_too_nothing_is_shown(chat: FrailChat) -> None:
    async with answering(chat) as answer:
        await answer.breaks()
        chat.stream.come_back()
        chat.database.away = 1
        with pytest.raises(DatabaseUnavailable):
            await chat.show_again()
        assert kinds(await chat.held()) == ["Start", "Chunk"]
        await chat.show_again()
        assert kinds(await chat.held()) == ["Start", "Chunk", "Snapshot"]


async def test_who_has_lost_the_claim_shows_nothing_and_ends(chat: FrailChat) -> None:
    chat.lease_seconds = 0
    async with answering(chat) as answer:
        await answer.breaks()
        assert await chat.claim(answer.id)
        chat.stream.come_back()
        await chat.show_again()
        assert answer.claimed.claim.must_end is Interruption.FENCED
        await answer.task
    assert answer.talker.closed
    assert kinds(await chat.held()) == ["Start", "Chunk"]
    assert await answer.progress() is None


async def test_one_that_is_to_stop_is_not_shown_again_but_ends(chat: FrailChat) -> None:
    async with answering(chat) as answer:
        await answer.breaks()
        chat.stream.come_back()
        await chat.stop(chat.user, answer.id)
        await chat.show_again()
        assert await answer.progress() is None
        await answer.task
    assert told(await chat.held())[2:] == [
        ("1-3", "Snapshot", answer.id),
        ("1-4", "Stopped", answer.id),
    ]
    ended = await chat.generation(answer.id)
    assert (ended.status, ended.text) == (GenerationStatus.STOPPED, "so it ")


async def test_one_that_moves_is_not_shown_again_under_its_old_fence(chat: FrailChat) -> None:
    late = LateReply(chat.database)
    slow = AnswerMessage(late, chat.stream, chat.claims, chat.end, chat.queue, chat.recollect)
    async with answering(chat, slow) as answer:
        waiting = await chat.ask("how?")
        await answer.breaks()
        chat.stream.come_back()
        await chat.stop(chat.user, waiting.generation_id)
        await chat.renew.of_session(chat.session_id)
        await late.committed.wait()
        await chat.show_again()
        assert kinds(await chat.held()) == ["Start", "Chunk"]
        late.replied.set()
        await until_told(chat, Position(3, 0))
        assert kinds(await chat.held()) == ["Start", "Chunk", "Stopped", "Snapshot"]
        assert await answer.progress() is None
        await answer.talker.say("is")


async def until_told(chat: FrailChat, position: Position) -> None:
    async with chat.stream.subscribe(chat.session_id) as subscription:
        after = ORIGIN
        while after < position:
            after = (await asyncio.wait_for(subscription.next(after), 10))[-1].position


async def test_one_that_begins_to_move_while_it_is_proven_is_left_to_its_move(
    chat: FrailChat,
) -> None:
    moving, proving = LateReply(chat.database), LateReply(chat.database)
    slow = AnswerMessage(moving, chat.stream, chat.claims, chat.end, chat.queue, chat.recollect)
    async with answering(chat, slow) as answer:
        waiting = await chat.ask("how?")
        await answer.breaks()
        chat.stream.come_back()
        renew = type(chat.renew)(proving, chat.claims, 60)
        showing = asyncio.create_task(ShowAgain(chat.database, chat.claims, renew)())
        await proving.committed.wait()
        await chat.stop(chat.user, waiting.generation_id)
        answer.claimed.claim.interrupt(Interruption.STEP_ASIDE)
        await moving.committed.wait()
        proving.replied.set()
        await showing
        assert kinds(await chat.held()) == ["Start", "Chunk"]
        moving.replied.set()
        await until_told(chat, Position(3, 0))
        assert kinds(await chat.held()) == ["Start", "Chunk", "Stopped", "Snapshot"]


async def test_one_whose_end_can_not_be_stored_yet_is_not_shown_again(
    chat: FrailChat, caplog: pytest.LogCaptureFixture
) -> None:
    async with answering(chat) as answer:
        await answer.breaks()
        chat.database.away = 1
        await answer.talker.say(Finish("stop"))
        async with asyncio.timeout(10):
            while "is not stored yet" not in caplog.text:  # noqa: ASYNC110 - a line is no event
                await asyncio.sleep(0)
        await chat.show_again()
        assert await answer.progress() is None
        await answer.task
    assert (await chat.generation(answer.id)).end == Position(1, 4)


async def test_one_that_ends_while_it_is_proven_is_left_to_its_end(chat: FrailChat) -> None:
    """Its end's place is chosen: nothing else may take one."""
    late = LateReply(chat.database)
    async with answering(chat) as answer:
        await answer.breaks()
        chat.stream.come_back()
        slow = ShowAgain(chat.database, chat.claims, type(chat.renew)(late, chat.claims, 60))
        showing = asyncio.create_task(slow())
        await late.committed.wait()
        await answer.finish()
        late.replied.set()
        await showing
    assert told(await chat.held())[2:] == [
        ("1-3", "Snapshot", answer.id),
        ("1-4", "Done", answer.id),
    ]
    assert await answer.progress() is None


@pytest.mark.parametrize("back", [True, False])
async def test_an_end_that_the_stream_can_not_continue_comes_after_all_that_was_said(
    chat: FrailChat, back: bool
) -> None:
    async with answering(chat) as answer:
        await answer.talker.say(ReasoningPiece("hm"))
        await answer.breaks()
        if back:
            chat.stream.come_back()
        await answer.finish()
    ended = await chat.generation(answer.id)
    assert (ended.text, ended.end) == ("so it ", Position(1, 5))
    chat.stream.come_back()
    whole = Snapshot(answer.id, 1, "so it ", "hm", recovered=False)
    in_stream = [(entry.position, entry.event) for entry in (await chat.held())[2:]]
    assert in_stream[:1] == ([(Position(1, 4), whole)] if back else [])
    assert kinds(await chat.held())[2:] == (["Snapshot", "Done"] if back else [])
    chat.stream.lose()
    async with chat.follow(chat.user, chat.session_id, Position(1, 1)) as following:
        shown = await until(following, Position(1, 5))
    assert told(shown) == [("1-4", "Snapshot", answer.id), ("1-5", "Done", answer.id)]


async def test_a_stream_that_breaks_after_the_end_was_chosen_leaves_it_to_the_database(
    chat: FrailChat,
) -> None:
    late = LateReply(chat.database)
    end = type(chat.end)(late, chat.stream, chat.queue, chat.announce)
    slow = AnswerMessage(chat.database, chat.stream, chat.claims, end, chat.queue, chat.recollect)
    async with chat.follow(chat.user, chat.session_id, None) as following:
        async with answering(chat, slow) as answer:
            await answer.talker.say(Finish("stop"))
            await late.committed.wait()
            shown = await until(following, Position(1, 1))
            chat.stream.leave()
            late.replied.set()
            await answer.task
        await chat.watch()
        shown += await until(following, Position(1, 2))
    assert kinds(shown) == ["Start", "Chunk", "Done"]


async def test_what_was_saved_is_the_text_of_one_that_is_lost(chat: FrailChat) -> None:
    chat.lease_seconds = 0
    async with answering(chat) as answer:
        await answer.breaks()
        await chat.show_again()
        await chat.stop(chat.user, answer.id)
        answer.task.cancel()
        await asyncio.wait((answer.task,))
        answer.task = asyncio.create_task(asyncio.sleep(0))
        await answer.task
        await chat.sweep(9)
    ended = await chat.generation(answer.id)
    assert (ended.status, ended.text) == (GenerationStatus.STOPPED, "so it ")


async def test_what_is_given_back_is_hinted_at(chat: FrailChat) -> None:
    async with answering(chat) as answer:
        chat.queue.requests.clear()
        chat.claims.interrupt(Interruption.RELEASE)
        await answer.task
    [request] = chat.queue.requests
    assert request.generation_id == answer.id
    assert await chat.claim(request.generation_id)


# What subscribers see


async def test_who_is_there_is_shown_it_from_the_database(chat: FrailChat) -> None:
    async with chat.follow(chat.user, chat.session_id, None) as following:
        async with answering(chat) as answer:
            shown = await until(following, Position(1, 1))
            await answer.breaks()
            await chat.show_again()
            await chat.watch()
            shown += await until(following, Position(1, 3))
            assert shown[-1].event == Snapshot(answer.id, 1, "so it ", recovered=False)
            await answer.talker.say("is ")
            await answer.flushed()
            await chat.show_again()
            await chat.watch()
            shown += await until(following, Position(1, 5))
            chat.stream.come_back()
            await chat.show_again()
            await answer.talker.say("on")
            await answer.finish()
        shown += await until(following, Position(1, 8))
    assert kinds(shown)[-3:] == ["Snapshot", "Chunk", "Done"]
    assert Reader().read(shown).texts[answer.id] == "so it is on"


async def test_who_comes_meanwhile_is_shown_it_from_the_database(chat: FrailChat) -> None:
    async with answering(chat) as answer:
        await answer.breaks()
        assert (await chat.newcomer()).texts == {}
        await chat.show_again()
        newcomer = await chat.newcomer()
        assert newcomer.texts == {answer.id: "so it "}
        assert newcomer.position == Position(1, 3)
        shown = await chat.read_generation(chat.user, answer.id)
        assert (shown.text, shown.position) == ("so it ", Position(1, 3))


@pytest.mark.parametrize("alone", [True, False])
async def test_who_comes_back_meanwhile_goes_on_where_it_was(chat: FrailChat, alone: bool) -> None:
    """Nothing tells that its cursor is one of this session; it is believed."""
    async with answering(chat) as answer:
        await answer.breaks()
        async with answer.follow(Position(1, 1), alone=alone) as following:
            assert following.began == Position(1, 1)
            assert list(await anext(following)) == []
            await chat.show_again()
            await chat.watch()
            shown = await until(following, Position(1, 3))
            assert told(shown) == [("1-3", "Snapshot", answer.id)]
            await answer.finish()
            await chat.watch()
            shown += await until(following, Position(1, 5))
    assert told(shown)[1:] == [("1-4", "Snapshot", answer.id), ("1-5", "Done", answer.id)]


@pytest.mark.parametrize("alone", [True, False])
async def test_who_comes_back_after_the_stream_has_lost_all_goes_on_where_it_was(
    chat: FrailChat, alone: bool
) -> None:
    async with answering(chat) as answer:
        chat.stream.lose()
        async with answer.follow(Position(1, 1), alone=alone) as following:
            assert list(await anext(following)) == []
            await answer.talker.say("it ")
            await answer.flushed()
            await chat.show_again()
            await answer.talker.say("is")
            await answer.finish()
            shown = await until(following, Position(1, 5))
    assert kinds(shown) == ["Snapshot", "Chunk", "Done"]
    assert Reader().read(shown).texts[answer.id] == "so it is"


@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize("back", [True, False])
async def test_an_invented_cursor_hangs_nobody(chat: FrailChat, alone: bool, back: bool) -> None:
    """While nothing can be read it is believed, and until its answer ends below it."""
    async with answering(chat) as answer:
        await answer.breaks()
        async with answer.follow(Position(1, 999), alone=alone) as following:
            assert list(await anext(following)) == []
            await chat.show_again()
            await chat.watch()
            assert list(await anext(following)) == []
            if back:
                chat.stream.come_back()
            await answer.finish()
            await chat.watch()
            shown = await until(following, Position(1, 5))
            assert following.position == Position(1, 5)
    assert Reader().read(shown).texts[answer.id] == "so it "
    assert kinds(shown)[-2:] == ["Snapshot", "Done"]


async def test_an_invented_cursor_is_found_out_when_the_next_answer_begins(
    chat: FrailChat,
) -> None:
    async with answering(chat) as answer:
        chat.stream.leave()
        async with chat.follow(chat.user, chat.session_id, Position(1, 999)) as following:
            assert list(await anext(following)) == []
            chat.stream.come_back()
            await answer.finish()
            chat.scripted(hello)
            next_one = await chat.ask_and_answer()
            shown = await until(following, (await chat.held())[-1].position)
    assert Reader().read(shown).ended == [answer.id, next_one]


@pytest.mark.parametrize("alone", [True, False])
async def test_an_invented_cursor_counts_as_none_if_its_answer_can_be_read(
    chat: FrailChat, alone: bool
) -> None:
    async with (
        answering(chat) as answer,
        answer.follow(Position(1, 999), alone=alone) as following,
    ):
        assert told(list(await anext(following))) == [("1-1", "Snapshot", answer.id)]


async def test_what_a_process_still_knows_of_a_stream_that_is_away_proves_nothing(
    chat: FrailChat,
) -> None:
    chat.stream.remembers = True
    async with answering(chat) as answer:
        chat.stream.leave()
        async with chat.follow(chat.user, chat.session_id, Position(1, 9)) as following:
            assert following.began == Position(1, 9)
            assert list(await anext(following)) == []
        async with chat.follow(chat.user, chat.session_id, Position(1, 0)) as following:
            assert told(list(await anext(following))) == [("1-1", "Chunk", answer.id)]


@pytest.mark.parametrize("cursor", [Position(1, 99), Position(99, 0)])
async def test_a_cursor_that_no_running_answer_gave_counts_as_none(
    chat: FrailChat, cursor: Position
) -> None:
    generation_id = await chat.ask_and_answer()
    chat.stream.leave()
    async with chat.follow(chat.user, chat.session_id, cursor) as following:
        assert following.began == Position(1, 3)
    async with chat.follow_generation(chat.user, generation_id, cursor) as following:
        alone = [entry async for batch in following for entry in batch]
    assert kinds(alone) == ["Snapshot", "Done"]
    async with answering(chat):
        if cursor.fence > 2:
            async with chat.follow(chat.user, chat.session_id, cursor) as following:
                assert following.began == Position(1, 3)


async def test_who_lost_its_position_while_nothing_can_be_read_stays_where_it_was(
    chat: FrailChat,
) -> None:
    """Between this position and the floor are words that it has not seen."""
    async with (
        answering(chat) as answer,
        chat.follow(chat.user, chat.session_id, Position(1, 0)) as following,
    ):
        await anext(following)
        chat.stream.lose_positions(Position(1, 9))
        assert list(await anext(following)) == []
        assert following.position == Position(1, 1)
        await answer.talker.say("it ")
        await answer.flushed()
        await chat.show_again()
        chat.stream.come_back()
        await answer.talker.say("is")
        await answer.flushed()
        await chat.show_again()
        shown = await until(following, Position(1, 5))
    assert Reader().read(shown).texts[answer.id] == "so it is"


async def test_who_lost_its_position_with_no_answer_running_goes_on_from_the_floor(
    chat: FrailChat,
) -> None:
    await chat.ask_and_answer()
    async with chat.follow(chat.user, chat.session_id, None) as following:
        await anext(following)
        chat.stream.lose_positions(Position(1, 9))
        assert list(await anext(following)) == []
        assert following.position == Position(1, 9)


async def test_who_follows_one_alone_does_not_look_again_for_what_another_has_said(
    chat: FrailChat,
) -> None:
    async with answering(chat) as answer:
        waiting = await chat.ask("how?")
        await answer.breaks()
        follow = chat.follow_generation(chat.user, waiting.generation_id, None)
        async with follow as following:
            assert list(await anext(following)) == []
            await chat.show_again()
            await chat.watch()
            for _ in range(2):  # it was woken, and had waited before
                assert list(await anext(following)) == []
            next_one = asyncio.ensure_future(anext(following))
            await asyncio.sleep(0)
            await chat.watch()
            for _ in range(9):
                await asyncio.sleep(0)
            assert not next_one.done()
            await answer.finish()
            await chat.stop(chat.user, waiting.generation_id)
            await chat.watch()
            shown = list(await next_one) or await until(following, Position(2, 0))
    assert told(shown) == [("2-0", "Stopped", waiting.generation_id)]


async def test_an_end_that_was_lost_is_noticed_when_the_next_answer_is_shown_by_a_snapshot(
    chat: FrailChat,
) -> None:
    async with chat.follow(chat.user, chat.session_id, None) as following:
        async with answering(chat) as first:
            shown = await until(following, Position(1, 1))
            chat.stream.leave()
            await first.finish()
        async with answering(chat) as second:
            chat.stream.come_back()
            await second.talker.say("it ")
            await second.flushed()
            await chat.show_again()
            shown += await until(following, (await chat.held())[-1].position)
        shown += await until(following, (await chat.held())[-1].position)
    reader = Reader().read(shown)
    assert reader.ended == [first.id, second.id]
    assert reader.texts == {first.id: "so ", second.id: "so it "}


async def test_an_end_that_was_lost_is_noticed_also_of_one_whose_beginning_was_lost(
    chat: FrailChat,
) -> None:
    await chat.ask_and_answer()
    async with chat.follow(chat.user, chat.session_id, None) as following:
        assert list(await anext(following)) == []
        chat.stream.leave()
        async with answering(chat) as first:
            chat.stream.come_back()
            await chat.show_again()
            shown = await until(following, (await chat.held())[-1].position)
            chat.stream.leave()
        chat.stream.come_back()
        chat.scripted(hello)
        next_one = await chat.ask_and_answer()
        shown += await until(following, (await chat.held())[-1].position)
    reader = Reader().read(shown)
    assert reader.ended == [first.id, next_one]
    assert reader.texts == {first.id: "so ", next_one: "Hello"}


@pytest.mark.parametrize("most_at_once", [1, 256])
async def test_an_end_that_was_lost_is_noticed_at_the_end_of_one_that_waited_behind_it(
    chat: FrailChat, most_at_once: int
) -> None:
    """In the stream it looks as if the first one had stepped aside."""
    chat.stream.most_at_once = most_at_once
    async with chat.follow(chat.user, chat.session_id, None) as following:
        async with answering(chat) as first:
            shown = await until(following, Position(1, 1))
            waiting = await chat.ask("how?")
            chat.stream.leave()
        chat.stream.come_back()
        await chat.stop(chat.user, waiting.generation_id)
        chat.queue.requests.clear()
        chat.scripted(hello)
        next_one = await chat.ask_and_answer()
        shown += await until(following, (await chat.held())[-1].position)
    reader = Reader().read(shown)
    assert reader.ended == [first.id, waiting.generation_id, next_one]


@pytest.mark.parametrize("most_at_once", [1, 256])
async def test_one_that_steps_aside_is_not_taken_for_one_that_has_ended(
    chat: FrailChat, most_at_once: int
) -> None:
    chat.stream.most_at_once = most_at_once
    async with chat.follow(chat.user, chat.session_id, None) as following:
        async with answering(chat) as answer:
            shown = await until(following, Position(1, 1))
            waiting = await chat.ask("how?")
            await chat.stop(chat.user, waiting.generation_id)
            reads = chat.database.reads
            await chat.renew.of_session(chat.session_id)
            shown += await until(following, Position(3, 0))
            assert chat.database.reads - reads == (0 if most_at_once > 1 else 1)
            await answer.talker.say("it is")
        shown += await until(following, (await chat.held())[-1].position)
    assert kinds(shown) == ["Start", "Chunk", "Stopped", "Snapshot", "Chunk", "Done"]
    assert Reader().read(shown).texts == {answer.id: "so it is"}
