from application.events import Chunk, Done, Snapshot, Start
from domain.identifiers import SessionId
from domain.position import ORIGIN, Position
from infrastructure.memory.event_stream import MemoryEventStream
from tests.builders import GENERATION, SESSION


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def write(stream: MemoryEventStream, fence: int, *, ended: bool) -> None:
    writer = stream.writer(SESSION, fence)
    writer.write(Start(GENERATION, 1, "model", "why?"))
    if ended:
        writer.write(Done(GENERATION, None, "stop", None))


async def test_an_ended_answer_is_forgotten_after_ten_minutes_a_running_one_after_an_hour() -> None:
    for ended, kept_for in ((True, 600), (False, 3600)):
        clock = Clock()
        stream = MemoryEventStream(clock)
        write(stream, 1, ended=ended)
        async with stream.subscribe(SESSION) as subscription:
            clock.now = kept_for - 1
            stream.expire()
            assert len(await subscription.held()) > 0
            clock.now = kept_for
            stream.expire()
            assert len(await subscription.held()) == 0
        stream.close()


async def test_who_waits_where_all_is_forgotten_gets_the_next_answer() -> None:
    clock = Clock()
    stream = MemoryEventStream(clock)
    write(stream, 1, ended=True)
    async with stream.subscribe(SESSION) as subscription:
        clock.now = 600
        stream.expire()
        write(stream, 2, ended=True)
        entries = await subscription.next(Position(1, 1))
        assert [entry.position for entry in entries] == [(2, 0), (2, 1)]
    stream.close()


async def test_where_all_is_forgotten_only_a_beginning_or_the_whole_text_begins_again() -> None:
    clock = Clock()
    stream = MemoryEventStream(clock)
    writer = stream.writer(SESSION, 1)
    writer.write(Start(GENERATION, 1, "model", "why?"))
    async with stream.subscribe(SESSION) as subscription:
        clock.now = 3600
        stream.expire()
        writer.write(Chunk(GENERATION, "the end of a sentence"))
        assert list(await subscription.held()) == []
        stream.writer(SESSION, 2).write(Snapshot(GENERATION, 2, "all of it"))
        assert len(await subscription.held()) == 1
    stream.close()


async def test_nothing_is_left_of_a_session_that_nobody_follows_any_more() -> None:
    clock = Clock()
    stream = MemoryEventStream(clock)
    async with stream.subscribe(SESSION) as subscription:
        assert list(await subscription.held()) == []
    write(stream, 1, ended=True)
    clock.now = 600
    stream.expire()
    assert stream._logs == {}
    async with stream.subscribe(SESSION) as subscription:
        subscription.wake()
        assert list(await subscription.next(ORIGIN)) == []
    assert stream._logs == {}
    stream.close()


async def test_nothing_is_left_of_a_removed_session() -> None:
    stream = MemoryEventStream()
    write(stream, 1, ended=False)
    await stream.remove(SESSION)
    assert stream._logs == {}
    async with stream.subscribe(SESSION):
        write(stream, 2, ended=False)
        await stream.remove(SESSION)
    assert stream._logs == {}
    stream.close()


async def test_if_too_much_is_held_the_answers_that_ended_first_are_forgotten() -> None:
    clock = Clock()
    stream = MemoryEventStream(clock, most_entries=40)
    running = stream.writer(SessionId("running"), 1)
    running.write(Start(GENERATION, 1, "model", "why?"))
    for number in range(40):
        clock.now += 1
        writer = stream.writer(SessionId(f"ended_{number}"), 1)
        writer.write(Start(GENERATION, 1, "model", "why?"))
        writer.write(Done(GENERATION, None, "stop", None))
    held = [len(await stream.held(SessionId(f"ended_{number}"))) for number in range(40)]
    assert sum(held) <= 50
    assert held == sorted(held)
    assert held[-1] == 2
    assert len(await stream.held(SessionId("running"))) == 1
    stream.close()
