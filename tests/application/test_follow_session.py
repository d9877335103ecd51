import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from application.events import Chunk, Entry, Snapshot, Start, StreamEvent, Terminal
from application.following import MISSED_AT_ONCE, MOST_AT_ONCE, Following
from application.ports import Finish, Piece, TextPiece
from domain.errors import GenerationNotFound, SessionNotFound
from domain.identifiers import GenerationId, SessionId
from domain.position import ORIGIN, Position
from domain.prompt import Prompt
from tests.application.conftest import Chat
from tests.application.test_answer_message import Gate
from tests.builders import add_session, add_user, completed, finish
from tests.fakes import Script


def text_of(entries: Sequence[Entry]) -> str:
    return "".join(entry.event.text for entry in entries if isinstance(entry.event, Chunk))


async def until_ended(following: Following) -> list[Entry]:
    """What a subscriber is shown, up to the next terminal event."""
    entries: list[Entry] = []
    async for batch in following:
        entries += batch
        if entries and isinstance(entries[-1].event, Terminal):
            break
    return entries


def saying(text: str) -> Script:
    async def say(_: Prompt) -> AsyncGenerator[Piece, None]:
        yield TextPiece(text)
        yield Finish("stop")

    return say


@asynccontextmanager
async def answering(chat: Chat) -> AsyncIterator[tuple[Gate, GenerationId]]:
    """An answer that has said "so far"."""
    gate = Gate()
    chat.scripted(gate)
    accepted = await chat.ask()
    task = asyncio.create_task(chat.answer(await chat.take()))
    await gate.reached.wait()
    yield gate, accepted.generation_id
    gate.open.set()
    await task


async def test_a_follower_sees_the_answers_of_the_session(chat: Chat) -> None:
    async with chat.follow(chat.user, chat.session_id, None) as following:
        assert following.began == ORIGIN
        for number in (1, 2):
            await chat.ask_and_answer()
            shown = await until_ended(following)
            assert text_of(shown) == "Hello"
            assert [entry.position.fence for entry in shown] == [number] * 4


async def test_who_may_not_see_it_is_refused_before_anything_is_streamed(chat: Chat) -> None:
    bob = await add_user(chat.database, "bob")
    generation_id = await chat.ask_and_answer()
    for user, session_id in ((bob, chat.session_id), (chat.user, SessionId("unknown"))):
        with pytest.raises(SessionNotFound):
            async with chat.follow(user, session_id, None):
                pass
    for user, unknown in ((bob, generation_id), (chat.user, GenerationId("unknown"))):
        with pytest.raises(GenerationNotFound):
            async with chat.follow_generation(user, unknown, None):
                pass
    assert list(chat.followers) == []


async def test_a_newcomer_gets_a_snapshot_and_then_the_rest(chat: Chat) -> None:
    async with (
        answering(chat) as (gate, _),
        chat.follow(chat.user, chat.session_id, None) as following,
    ):
        gate.open.set()
        shown = await until_ended(following)
    assert isinstance(shown[0].event, Snapshot)
    assert shown[0].event.text == "so far"
    assert len(shown) == 2


async def test_who_comes_back_gets_exactly_the_missing_rest(chat: Chat) -> None:
    await chat.ask_and_answer()
    held = await chat.held()
    for index, entry in enumerate(held[:-1]):
        async with chat.follow(chat.user, chat.session_id, entry.position) as following:
            assert following.began == entry.position
            assert await until_ended(following) == held[index + 1 :]


async def test_a_cursor_from_elsewhere_counts_as_none(chat: Chat) -> None:
    async with (
        answering(chat),
        chat.follow(chat.user, chat.session_id, Position(99, 0)) as following,
    ):
        batch = await anext(following)
    assert [type(entry.event) for entry in batch] == [Snapshot]


async def test_after_a_restart_the_database_answers(chat: Chat) -> None:
    generation_id = await chat.ask_and_answer()
    chat.stream.close()
    async with chat.follow(chat.user, chat.session_id, Position(1, 1)) as following:
        shown = await until_ended(following)
    ended = await chat.generation(generation_id)
    assert shown[0].event == Snapshot(generation_id, 1, "Hello", recovered=False)
    assert shown[1].position == ended.end


async def test_a_lost_terminal_event_hangs_nobody(chat: Chat) -> None:
    """The worker died between its commit and its last event."""
    accepted = await chat.ask()
    claimed = await chat.take()
    writer = chat.stream.writer(chat.session_id, 1)
    writer.write(Start(accepted.generation_id, 1, "scripted", "why?"))
    writer.write(Chunk(accepted.generation_id, "Hello"))
    async with chat.follow(chat.user, chat.session_id, ORIGIN) as following:
        assert text_of(await anext(following)) == "Hello"
        ending = asyncio.create_task(until_ended(following))
        await asyncio.sleep(0)
        await finish(chat.database, claimed.claim.generation, completed("Hello", last_seq=2))
        await chat.watch()
        shown = await ending
    assert [entry.position for entry in shown] == [Position(1, 2)]


async def test_the_watchdog_disturbs_nobody_who_is_up_to_date(chat: Chat) -> None:
    await chat.ask_and_answer()
    async with chat.follow(chat.user, chat.session_id, None) as following:
        assert list(await anext(following)) == []
        waiting = asyncio.ensure_future(anext(following))
        await asyncio.sleep(0)
        reads = chat.database.reads
        await chat.watch()
        await asyncio.sleep(0)
        assert not waiting.done()
        assert chat.database.reads == reads + 1  # one query for all who follow
        following.end()
        await waiting


async def test_an_end_that_was_missed_is_noticed_at_the_next_beginning(chat: Chat) -> None:
    accepted = await chat.ask()
    claimed = await chat.take()
    writer = chat.stream.writer(chat.session_id, 1)
    writer.write(Start(accepted.generation_id, 1, "scripted", "why?"))
    async with chat.follow(chat.user, chat.session_id, ORIGIN) as following:
        await anext(following)
        await finish(chat.database, claimed.claim.generation, completed("all", last_seq=3))
        await chat.ask_and_answer()
        shown: list[StreamEvent] = []
        while len([event for event in shown if isinstance(event, Terminal)]) < 2:
            shown += [entry.event for entry in await anext(following)]
    assert shown[0] == Snapshot(accepted.generation_id, 1, "all", recovered=False)
    assert isinstance(shown[1], Terminal)
    assert isinstance(shown[2], Start)


async def test_a_subscriber_who_fell_behind_the_stream_is_brought_up(chat: Chat) -> None:
    async with chat.follow(chat.user, chat.session_id, None) as following:
        await anext(following)
        for _ in range(4):
            await chat.ask_and_answer()
        ended: list[GenerationId] = []
        while len(ended) < 4:
            events = [entry.event for entry in await anext(following)]
            ended += [event.generation_id for event in events if isinstance(event, Terminal)]
    assert len(set(ended)) == 4


async def test_a_deleted_session_ends_its_streams(chat: Chat) -> None:
    async with chat.follow(chat.user, chat.session_id, None) as following:
        await anext(following)
        del chat.database.state.sessions[chat.session_id]
        await chat.watch()
        assert [batch async for batch in following] == [()]
        assert following.gone


async def test_a_process_that_stops_ends_its_streams(chat: Chat) -> None:
    async with chat.follow(chat.user, chat.session_id, None) as following:
        ending = asyncio.create_task(until_ended(following))
        await asyncio.sleep(0)
        chat.followers.end()
        assert await ending == []
        assert not following.gone


async def test_one_generation_is_followed_until_it_has_ended(chat: Chat) -> None:
    first = await chat.ask("one?")
    await chat.ask("two?")
    async with chat.follow_generation(chat.user, first.generation_id, None) as following:
        await chat.answer(await chat.take())
        await chat.answer(await chat.take())
        shown = [entry async for batch in following for entry in batch]
    assert {entry.event.generation_id for entry in shown} == {first.generation_id}
    assert isinstance(shown[-1].event, Terminal)


async def test_an_ended_generation_is_shown_whole_and_the_stream_ends(chat: Chat) -> None:
    generation_id = await chat.ask_and_answer()
    async with chat.follow_generation(chat.user, generation_id, None) as following:
        shown = [entry async for batch in following for entry in batch]
    assert shown[0].event == Snapshot(generation_id, 1, "Hello")
    assert isinstance(shown[1].event, Terminal)
    end = shown[1].position
    async with chat.follow_generation(chat.user, generation_id, end) as following:
        assert [entry async for batch in following for entry in batch] == []


async def test_an_older_generation_is_shown_although_the_stream_went_on(chat: Chat) -> None:
    first = await chat.ask_and_answer()
    for _ in range(3):
        await chat.ask_and_answer()
    async with chat.follow_generation(chat.user, first, None) as following:
        shown = [entry async for batch in following for entry in batch]
    assert [type(entry.event).__name__ for entry in shown] == ["Snapshot", "Done"]


async def test_who_missed_many_answers_is_shown_them_all_a_few_at_a_time(chat: Chat) -> None:
    """However many there are, and however slowly it reads: it holds few of them."""
    for number in range(9):
        chat.scripted(saying(f"answer {number}"))
        await chat.ask_and_answer()
    chat.stream.close()  # a restart: only the database has them
    shown: list[Entry] = []
    async with chat.follow(chat.user, chat.session_id, Position(2, 0)) as following:
        while len(shown) < 16:
            batch = await anext(following)
            assert len(batch) <= 2 * MISSED_AT_ONCE
            shown += batch
        await chat.ask_and_answer()
        rest = await until_ended(following)
    texts = [entry.event.text for entry in shown if isinstance(entry.event, Snapshot)]
    assert texts == [f"answer {number}" for number in range(1, 9)]
    assert [entry.position.fence for entry in rest] == [10] * len(rest)
    positions = [entry.position for entry in shown + rest]
    assert positions == sorted(set(positions))


async def test_who_missed_more_than_is_held_is_shown_all_in_order(chat: Chat) -> None:
    for _ in range(6):
        await chat.ask_and_answer()
    assert {entry.position.fence for entry in await chat.held()} == {5, 6}
    shown: list[Entry] = []
    async with (
        answering(chat),
        chat.follow(chat.user, chat.session_id, Position(1, 1)) as following,
    ):
        while not shown or shown[-1].position != Position(7, 1):
            shown += await anext(following)
    positions = [entry.position for entry in shown]
    assert positions == sorted(set(positions))
    ended = [entry.position.fence for entry in shown if isinstance(entry.event, Terminal)]
    assert ended == [1, 2, 3, 4, 5, 6]


async def test_an_answer_that_was_shown_elsewhere_is_not_left_out(chat: Chat) -> None:
    """Another process, whose stream is not seen here, claims and answers in between."""
    await chat.ask_and_answer()
    async with chat.follow(chat.user, chat.session_id, None) as following:
        await anext(following)
        accepted = await chat.ask()
        elsewhere = await chat.take()
        await finish(chat.database, elsewhere.claim.generation, completed("elsewhere", 5))
        await chat.ask_and_answer()
        shown: list[Entry] = []
        while len([entry for entry in shown if isinstance(entry.event, Terminal)]) < 2:
            shown += await anext(following)
    assert shown[0].event == Snapshot(accepted.generation_id, 1, "elsewhere", recovered=False)
    assert isinstance(shown[1].event, Terminal)
    assert isinstance(shown[2].event, Start)


async def test_a_follower_of_one_generation_ends_while_others_are_answered(chat: Chat) -> None:
    """Told to end in the moment in which something of another generation is written."""
    first = await chat.ask("one?")
    other = chat.stream.writer(chat.session_id, 1)
    async with chat.follow_generation(chat.user, first.generation_id, None) as following:
        await anext(following)
        waiting = asyncio.ensure_future(anext(following))
        await asyncio.sleep(0)
        other.write(Start(GenerationId("other"), 1, "scripted", "why?"))
        following.end()
        assert list(await asyncio.wait_for(waiting, 10)) == []
        assert [batch async for batch in following] == []


async def test_a_long_rest_comes_in_batches(chat: Chat) -> None:
    accepted = await chat.ask()
    await chat.take()
    writer = chat.stream.writer(chat.session_id, 1)
    writer.write(Start(accepted.generation_id, 1, "scripted", "why?"))
    for number in range(600):
        writer.write(Chunk(accepted.generation_id, f"{number} "))
        await writer.flush()
    async with chat.follow(chat.user, chat.session_id, ORIGIN) as following:
        sizes = [len(await anext(following)) for _ in range(3)]
    assert sizes == [MOST_AT_ONCE, MOST_AT_ONCE, 601 - 2 * MOST_AT_ONCE]


async def test_a_cursor_that_never_was_shows_no_ended_answer_again(chat: Chat) -> None:
    await chat.ask_and_answer()
    async with chat.follow(chat.user, chat.session_id, Position(1, 500)) as following:
        assert list(await anext(following)) == []


async def test_nothing_is_left_of_a_follower_who_is_gone(chat: Chat) -> None:
    async with chat.follow(chat.user, chat.session_id, None):
        assert list(chat.followers.by_session) == [chat.session_id]
    assert chat.followers.by_session == {}


async def test_other_sessions_are_not_seen(chat: Chat) -> None:
    other = await add_session(chat.database, chat.user, "other")
    async with chat.follow(chat.user, other, None) as following:
        await chat.ask_and_answer()
        following.wake()
        assert [list(await anext(following)), list(await anext(following))] == [[], []]
