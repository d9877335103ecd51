from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from application.events import Entry
from application.following import Following, Look
from domain.position import Position
from infrastructure.memory.event_stream import MemoryEventStream
from interface.heartbeats import HEARTBEAT_SECONDS, Heartbeats
from tests.builders import SESSION, USER
from tests.fakes import FakeDatabase


@dataclass(eq=False)
class CountedWakes:
    """A subscription to nothing."""

    wakes: int = 0

    async def held(self, since: Position | None = None) -> Sequence[Entry]:
        return ()

    async def next(self, after: Position) -> Sequence[Entry]:
        return ()

    def wake(self) -> None:
        self.wakes += 1


def following(subscription: CountedWakes) -> Following:
    return Following(Look(FakeDatabase(), USER), MemoryEventStream(), SESSION, None, subscription)


def enter(heartbeats: Heartbeats, stack: ExitStack, count: int) -> list[CountedWakes]:
    entered = [CountedWakes() for _ in range(count)]
    for subscription in entered:
        stack.enter_context(heartbeats.for_(following(subscription)))
    return entered


async def test_each_stream_is_woken_once_in_a_round() -> None:
    heartbeats = Heartbeats()
    with ExitStack() as stack:
        streams = enter(heartbeats, stack, 40)
        for rounds in (1, 2):
            for _ in range(HEARTBEAT_SECONDS):
                await heartbeats.beat()
            assert [stream.wakes for stream in streams] == [rounds] * 40


async def test_a_beat_wakes_only_its_part() -> None:
    heartbeats = Heartbeats()
    with ExitStack() as stack:
        streams = enter(heartbeats, stack, 2 * HEARTBEAT_SECONDS)
        for beats in range(1, HEARTBEAT_SECONDS + 1):
            await heartbeats.beat()
            assert Counter(stream.wakes for stream in streams)[1] == 2 * beats


async def test_who_has_left_is_woken_no_more() -> None:
    heartbeats = Heartbeats()
    with ExitStack() as stack:
        (gone,) = enter(heartbeats, stack, 1)
    with ExitStack() as stack:
        (present,) = enter(heartbeats, stack, 1)
        for _ in range(HEARTBEAT_SECONDS):
            await heartbeats.beat()
    assert (gone.wakes, present.wakes) == (0, 1)


async def test_a_stream_that_fails_is_woken_no_more() -> None:
    heartbeats = Heartbeats()
    failed = CountedWakes()
    try:
        with heartbeats.for_(following(failed)):
            raise OSError
    except OSError:
        pass
    for _ in range(HEARTBEAT_SECONDS):
        await heartbeats.beat()
    assert failed.wakes == 0


async def test_a_beat_without_streams_does_nothing() -> None:
    heartbeats = Heartbeats()
    for _ in range(HEARTBEAT_SECONDS + 1):
        await heartbeats.beat()
