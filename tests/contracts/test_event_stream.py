"""What every event stream promises."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from application.events import Chunk, Done, Entry, Reset, Snapshot, Start, Stopped, StreamEvent
from application.ports import EventStream, EventWriter, PositionLost, Subscription
from domain.identifiers import GenerationId, SessionId
from domain.position import ORIGIN, Position
from tests.builders import SESSION


def start(name: str) -> Start:
    return Start(GenerationId(name), 1, "model", "why?")


def chunk(name: str, text: str) -> Chunk:
    return Chunk(GenerationId(name), text)


def done(name: str) -> Done:
    return Done(GenerationId(name), None, "stop", None)


async def write(writer: EventWriter, *events: StreamEvent) -> Position:
    for event in events:
        writer.write(event)
    return await writer.flush()


async def answer(stream: EventStream, name: str, fence: int) -> None:
    await write(stream.writer(SESSION, fence), start(name), chunk(name, "text"), done(name))


def shown(entries: "tuple[Entry, ...] | list[Entry]") -> list[tuple[str, StreamEvent]]:
    return [(str(entry.position), entry.event) for entry in entries]


async def read(subscription: Subscription, after: Position, last: Position) -> list[Entry]:
    """All that comes after a position, up to and including another."""
    entries: list[Entry] = []
    while after < last:
        entries += await subscription.next(after)
        after = entries[-1].position
    return entries


async def again_and_again(subscription: Subscription, after: Position) -> None:
    """Another process may hear a moment later of what was done."""
    entries = await subscription.next(after)
    while entries:
        await asyncio.sleep(0)
        entries = await subscription.next(after)


async def test_events_are_held_in_their_places(stream: EventStream) -> None:
    writer = stream.writer(SESSION, 3)
    assert writer.top == Position(3, -1)
    top = await write(writer, start("g"), chunk("g", "a"), done("g"))
    assert top == writer.top == Position(3, 2)
    async with stream.subscribe(SESSION) as subscription:
        held = await subscription.held()
    assert shown(list(await stream.held(SESSION))) == shown(list(held))
    assert list(await stream.held(SessionId("other"))) == []
    assert shown(list(held)) == [
        ("3-0", start("g")),
        ("3-1", chunk("g", "a")),
        ("3-2", done("g")),
    ]


async def test_what_is_held_from_a_position_on(stream: EventStream) -> None:
    await answer(stream, "first", 1)
    await answer(stream, "second", 2)
    async with stream.subscribe(SESSION) as subscription:
        for _ in range(2):  # also when it was read before
            everything = list(await stream.held(SESSION))
            for index, entry in enumerate(everything):
                rest = list(await subscription.held(entry.position))
                assert shown(rest) == shown(everything[index:])
            between = list(await subscription.held(Position(1, 99)))
            assert shown(between) == shown(everything[3:])
            assert list(await subscription.held(Position(2, 99))) == []
            assert shown(list(await subscription.held())) == shown(everything)


async def test_a_subscriber_gets_what_is_written_after_it_came(stream: EventStream) -> None:
    async with stream.subscribe(SESSION) as subscription:
        waiting = asyncio.create_task(read(subscription, ORIGIN, Position(1, 2)))
        await asyncio.sleep(0)
        await answer(stream, "g", 1)
        assert shown(await waiting) == [
            ("1-0", start("g")),
            ("1-1", chunk("g", "text")),
            ("1-2", done("g")),
        ]


async def test_resumes_after_any_position_without_gap_or_repeat(stream: EventStream) -> None:
    await answer(stream, "first", 1)
    await answer(stream, "second", 2)
    async with stream.subscribe(SESSION) as subscription:
        everything = list(await subscription.held())
        assert len(everything) == 6
        for index, entry in enumerate(everything[:-1]):
            rest = await read(subscription, entry.position, everything[-1].position)
            assert shown(rest) == shown(everything[index + 1 :])


async def test_subscribers_of_a_session_see_the_same_and_others_see_nothing(
    stream: EventStream,
) -> None:
    async with (
        stream.subscribe(SESSION) as one,
        stream.subscribe(SESSION) as two,
        stream.subscribe(SessionId("other")) as other,
    ):
        await answer(stream, "g", 1)
        assert shown(await read(one, ORIGIN, Position(1, 2))) == shown(
            await read(two, ORIGIN, Position(1, 2))
        )
        assert list(await other.held()) == []


async def test_the_first_piece_is_shown_at_once(stream: EventStream) -> None:
    async with stream.subscribe(SESSION) as subscription:
        writer = stream.writer(SESSION, 1)
        writer.write(start("g"))
        writer.write(chunk("g", "first"))
        entries = await read(subscription, ORIGIN, Position(1, 1))
    assert entries[-1].event == chunk("g", "first")


async def test_fast_pieces_are_joined_and_none_is_lost(stream: EventStream) -> None:
    pieces = [f"{number} " for number in range(5_000)]
    async with stream.subscribe(SESSION) as subscription:
        writer = stream.writer(SESSION, 1)
        writer.write(start("g"))
        for piece in pieces:
            writer.write(chunk("g", piece))
        last = await write(writer, done("g"))
        entries = await read(subscription, ORIGIN, last)
    text = "".join(entry.event.text for entry in entries if isinstance(entry.event, Chunk))
    assert text == "".join(pieces)
    assert len(entries) < 100
    assert [entry.position.seq for entry in entries] == list(range(len(entries)))


async def test_a_slow_models_pieces_stay_as_they_were(stream: EventStream) -> None:
    async with stream.subscribe(SESSION) as subscription:
        writer = stream.writer(SESSION, 1)
        pieces = [chunk("g", str(number)) for number in range(5)]
        last = await write(writer, start("g"), *pieces)
        entries = await read(subscription, ORIGIN, last)
    assert [entry.event for entry in entries[1:]] == pieces


async def test_joined_pieces_come_without_another_write(stream: EventStream) -> None:
    async with stream.subscribe(SESSION) as subscription:
        writer = stream.writer(SESSION, 1)
        for event in (start("g"), chunk("g", "a"), chunk("g", "b")):
            writer.write(event)
        entries = await asyncio.wait_for(read(subscription, ORIGIN, Position(1, 2)), 10)
    assert entries[-1].event == chunk("g", "b")


async def test_who_was_fenced_writes_nothing_more(stream: EventStream) -> None:
    zombie = stream.writer(SESSION, 1)
    await write(zombie, start("g"), chunk("g", "old"))
    reset = Reset(GenerationId("g"), 2, "model", "why?", "takeover")
    await write(stream.writer(SESSION, 2), reset, chunk("g", "new"))
    await write(zombie, chunk("g", "older"), done("g"))
    async with stream.subscribe(SESSION) as subscription:
        held = list(await subscription.held())
    assert [entry.event for entry in held] == [
        start("g"),
        chunk("g", "old"),
        reset,
        chunk("g", "new"),
    ]


async def test_a_start_lets_go_of_what_is_older_than_the_answer_before_it(
    stream: EventStream,
) -> None:
    async with stream.subscribe(SESSION) as subscription:
        for fence, name in enumerate(("one", "two", "three"), 1):
            await answer(stream, name, fence)
        held = list(await subscription.held())
        assert [entry.position for entry in held if entry.position.seq == 0] == [(2, 0), (3, 0)]
        with pytest.raises(PositionLost) as lost:
            await asyncio.wait_for(again_and_again(subscription, Position(1, 1)), 10)
        assert lost.value.floor == Position(1, 2)
        assert shown(await read(subscription, lost.value.floor, Position(3, 2))) == shown(held)


async def test_a_wake_ends_the_wait_with_nothing(stream: EventStream) -> None:
    async with stream.subscribe(SESSION) as subscription:
        waiting = asyncio.ensure_future(subscription.next(ORIGIN))
        await asyncio.sleep(0)
        subscription.wake()
        assert list(await waiting) == []
        subscription.wake()
        assert list(await subscription.next(ORIGIN)) == []


async def test_a_wake_hides_no_event(stream: EventStream) -> None:
    async with stream.subscribe(SESSION) as subscription:
        subscription.wake()
        await answer(stream, "g", 1)
        assert len(await read(subscription, ORIGIN, Position(1, 2))) == 3


# Stepping aside


async def test_who_rises_goes_on_from_the_beginning_of_a_higher_fence(stream: EventStream) -> None:
    writer = stream.writer(SESSION, 1)
    await write(writer, start("g"), chunk("g", "a"))
    writer.rise(2)
    assert writer.top == Position(2, -1)
    await write(writer, Stopped(GenerationId("other"), None, None))
    writer.rise(4)
    snapshot = Snapshot(GenerationId("g"), 1, "a")
    last = await write(writer, snapshot, chunk("g", "b"), done("g"))
    assert last == writer.top == Position(4, 2)
    assert shown(list(await stream.held(SESSION))) == [
        ("1-0", start("g")),
        ("1-1", chunk("g", "a")),
        ("2-0", Stopped(GenerationId("other"), None, None)),
        ("4-0", snapshot),
        ("4-1", chunk("g", "b")),
        ("4-2", done("g")),
    ]


async def test_a_subscriber_sees_who_rises_without_gap_or_repeat(stream: EventStream) -> None:
    async with stream.subscribe(SESSION) as subscription:
        writer = stream.writer(SESSION, 1)
        await write(writer, start("g"), chunk("g", "a"))
        seen = await read(subscription, ORIGIN, Position(1, 1))
        waiting = asyncio.create_task(read(subscription, Position(1, 1), Position(3, 1)))
        await asyncio.sleep(0)
        writer.rise(2)
        writer.write(Stopped(GenerationId("other"), None, None))
        writer.rise(3)
        await write(writer, Snapshot(GenerationId("g"), 1, "a"), done("g"))
        assert shown(seen + await waiting) == shown(list(await stream.held(SESSION)))


async def test_what_is_not_shown_yet_when_a_writer_rises_is_left_to_the_snapshot(
    stream: EventStream,
) -> None:
    """Else it would be shown twice, or after what it stood before."""
    async with stream.subscribe(SESSION) as subscription:
        writer = stream.writer(SESSION, 1)
        writer.write(start("g"))
        for text in ("a", "b", "c"):  # the first may be shown at once, the others wait
            writer.write(chunk("g", text))
        writer.rise(2)
        snapshot = Snapshot(GenerationId("g"), 1, "abc")
        last = await write(writer, snapshot, chunk("g", "d"), done("g"))
        entries = await read(subscription, ORIGIN, last)
    first, *early, _, _, _ = shown(entries)
    assert first == ("1-0", start("g"))
    assert early in ([], [("1-1", chunk("g", "a"))])
    assert shown(entries)[-3:] == [
        ("2-0", snapshot),
        ("2-1", chunk("g", "d")),
        ("2-2", done("g")),
    ]


async def test_who_was_fenced_writes_nothing_either_under_the_fence_that_rules(
    stream: EventStream,
) -> None:
    zombie = stream.writer(SESSION, 1)
    await write(zombie, start("g"))
    reset = Reset(GenerationId("g"), 2, "model", "why?", "takeover")
    await write(stream.writer(SESSION, 3), reset, chunk("g", "new"))
    zombie.rise(2)
    await write(zombie, Stopped(GenerationId("other"), None, None))
    assert shown(list(await stream.held(SESSION))) == [
        ("1-0", start("g")),
        ("3-0", reset),
        ("3-1", chunk("g", "new")),
    ]


# The end of a session


async def test_a_removed_session_is_lost_to_who_follows_it(stream: EventStream) -> None:
    await answer(stream, "g", 1)
    async with stream.subscribe(SESSION) as waiting, stream.subscribe(SESSION) as reading:
        next_one = asyncio.ensure_future(waiting.next(Position(1, 2)))
        await asyncio.sleep(0)
        await stream.remove(SESSION)
        with pytest.raises(PositionLost):
            await asyncio.wait_for(next_one, 10)
        for position in (ORIGIN, Position(1, 1), Position(1, 2), Position(99, 0)):
            with pytest.raises(PositionLost):
                await reading.next(position)
        assert list(await reading.held()) == list(await stream.held(SESSION)) == []
        async with stream.subscribe(SESSION) as newcomer:
            assert list(await newcomer.held()) == []


@pytest.mark.parametrize("followed", [True, False])
async def test_what_a_claim_of_before_writes_into_a_removed_session_is_not_stored(
    stream: EventStream, followed: bool
) -> None:
    async with AsyncExitStack() as following:
        if followed:
            await following.enter_async_context(stream.subscribe(SESSION))
        zombie = stream.writer(SESSION, 1)
        await write(zombie, start("g"), chunk("g", "so far"))
        for text in ("not", "shown", "yet"):
            zombie.write(chunk("g", text))
        await stream.remove(SESSION)
        await write(zombie, chunk("g", "late"), chunk("g", "later"), done("g"))
        assert list(await stream.held(SESSION)) == []
    assert list(await stream.held(SESSION)) == []


@pytest.mark.parametrize("followed", [True, False])
async def test_a_removed_session_does_not_begin_again(stream: EventStream, followed: bool) -> None:
    """Whoever claimed before it was removed, and has not said anything yet."""
    async with AsyncExitStack() as following:
        if followed:
            await following.enter_async_context(stream.subscribe(SESSION))
        await answer(stream, "g", 1)
        zombie = stream.writer(SESSION, 2)
        await stream.remove(SESSION)
        await write(zombie, start("late"), chunk("late", "text"), done("late"))
        zombie.restart(Snapshot(GenerationId("late"), 1, "text"))
        await zombie.flush()
        reset = Reset(GenerationId("late"), 2, "model", "why?", "takeover")
        await write(stream.writer(SESSION, 3), reset)
        assert list(await stream.held(SESSION)) == []
    assert list(await stream.held(SESSION)) == []


# After it broke


async def test_who_was_fenced_is_broken(stream: EventStream) -> None:
    zombie = stream.writer(SESSION, 1)
    await write(zombie, start("g"))
    await write(stream.writer(SESSION, 2), Reset(GenerationId("g"), 2, "m", "why?", "takeover"))
    await write(zombie, chunk("g", "old"))
    assert zombie.broken
    zombie.restart(Snapshot(GenerationId("g"), 1, "old and more", recovered=False))
    await write(zombie, done("g"))
    assert len(await stream.held(SESSION)) == 2


async def test_a_writer_that_starts_again_goes_on_from_a_snapshot(stream: EventStream) -> None:
    """What it had not stored yet is in the snapshot."""
    writer = stream.writer(SESSION, 2)
    last = await write(writer, start("g"), chunk("g", "a"))
    async with stream.subscribe(SESSION) as subscription:
        for text in ("b", "c"):
            writer.write(chunk("g", text))
        snapshot = Snapshot(GenerationId("g"), 1, "abc", recovered=False)
        place = writer.restart(snapshot)
        assert place > last
        end = await write(writer, chunk("g", "d"), done("g"))
        entries = await read(subscription, last, end)
        assert [event for _, event in shown(entries)][-3:] == [snapshot, chunk("g", "d"), done("g")]
        assert entries[-3].position == place
        assert [entry.position for entry in entries[-2:]] == [place.next, place.next.next]


async def test_it_is_not_away_for_who_can_write(stream: EventStream) -> None:
    await answer(stream, "g", 1)
    assert not stream.away


async def test_a_removed_session_is_nothing_to_the_others(stream: EventStream) -> None:
    other = SessionId("other")
    await write(stream.writer(other, 1), start("g"), chunk("g", "text"), done("g"))
    await answer(stream, "g", 1)
    async with stream.subscribe(other) as subscription:
        for _ in range(2):
            await stream.remove(SESSION)
        await stream.remove(SessionId("unknown"))
        assert len(await read(subscription, ORIGIN, Position(1, 2))) == 3
    assert list(await stream.held(SESSION)) == []
