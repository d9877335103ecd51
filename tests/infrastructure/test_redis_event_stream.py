"""The event stream over Redis when Redis is not well; its promises are in `contracts/`."""

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from redis.asyncio.connection import AbstractConnection, Connection

from application.events import Chunk, Done, Entry, Snapshot, Start
from application.log_context import lines_are_about, only_about
from application.ports import PositionLost, Request, Subscription
from domain.errors import QueueUnavailable
from domain.identifiers import GenerationId, SessionId
from domain.position import ORIGIN, Position
from infrastructure.redis.keys import Keys
from infrastructure.redis.link import RedisLink, open_redis
from infrastructure.redis.stream_reader import StreamReader
from infrastructure.redis.subscriber import Subscriber
from tests import servers
from tests.builders import SESSION

PATIENCE = 30.0
KEYS = Keys("test")
G = GenerationId("g")
START = Start(G, 1, "model", "why?")
DONE = Done(G, None, "stop", None)


def chunk(text: str) -> Chunk:
    return Chunk(G, text)


def snapshot(text: str) -> Snapshot:
    return Snapshot(G, 1, text, recovered=False)


@pytest.fixture(params=list(servers.redis_programs()) or ["none"])
def server(request: pytest.FixtureRequest) -> Iterator[servers.Redis]:
    with servers.redis(program=servers.redis_programs().get(request.param)) as made:
        yield made


@pytest.fixture
async def writing(server: servers.Redis) -> AsyncIterator[RedisLink]:
    """A worker's."""
    async with open_redis(server.url, KEYS) as link:
        yield link


@pytest.fixture
async def reading(server: servers.Redis) -> AsyncIterator[RedisLink]:
    """That of a process with doors."""
    async with open_redis(server.url, KEYS) as link:
        yield link


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - nobody is told of it
            await asyncio.sleep(0.01)


async def read(subscription: Subscription, after: Position, last: Position) -> list[Entry]:
    entries: list[Entry] = []
    async with asyncio.timeout(PATIENCE):
        while after < last:
            entries += await subscription.next(after)
            after = entries[-1].position
    return entries


async def test_other_processes_read_what_one_writes(writing: RedisLink, reading: RedisLink) -> None:
    writer = writing.stream.writer(SESSION, 1)
    writer.write(START)
    await writer.flush()
    async with reading.stream.subscribe(SESSION) as subscription:
        assert [entry.event for entry in await subscription.held()] == [START]
        writer.write(chunk("a"))
        last = await writer.flush()
        entries = await read(subscription, Position(1, 0), last)
        assert [entry.event for entry in entries] == [chunk("a")]


async def test_only_the_first_piece_does_not_wait_for_others(
    writing: RedisLink, reading: RedisLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infrastructure.redis.event_writer.JOIN_SECONDS", 3_600)
    async with reading.stream.subscribe(SESSION) as subscription:
        writer = writing.stream.writer(SESSION, 1)
        writer.write(START)
        await read(subscription, ORIGIN, Position(1, 0))
        writer.write(chunk("a"))
        await read(subscription, Position(1, 0), Position(1, 1))
        for number in range(100):
            writer.write(chunk(str(number)))
        assert writer.top == Position(1, 1)
        last = await writer.flush()
        (entry,) = await read(subscription, Position(1, 1), last)
        assert entry.event == chunk("".join(str(number) for number in range(100)))


async def test_what_redis_forgot_is_written_again_as_a_snapshot(
    writing: RedisLink, reading: RedisLink
) -> None:
    """Whoever follows is told that events are lost, and from where on all is held."""
    writer = writing.stream.writer(SESSION, 1)
    writer.write(START)
    writer.write(chunk("a"))
    seen = await writer.flush()
    async with reading.stream.subscribe(SESSION) as subscription:
        await read(subscription, ORIGIN, seen)
        await writing.client.execute_command("FLUSHALL")
        writer.write(chunk("b"))
        await writer.flush()
        place = writer.restart(snapshot("ab"))
        writer.write(chunk("c"))
        last = await writer.flush()
        assert not writer.broken
        with pytest.raises(PositionLost) as lost:
            await asyncio.wait_for(subscription.next(seen), PATIENCE)
        assert seen < lost.value.floor < place
        entries = await read(subscription, lost.value.floor, last)
        assert [entry.event for entry in entries] == [snapshot("ab"), chunk("c")]


async def test_the_next_answer_begins_without_a_gap_after_the_stream_expired(
    writing: RedisLink, reading: RedisLink
) -> None:
    async with reading.stream.subscribe(SESSION) as early:
        writer = writing.stream.writer(SESSION, 1)
        for event in (START, chunk("a"), DONE):
            writer.write(event)
        end = await writer.flush()
        await read(early, ORIGIN, end)
        await writing.client.execute_command("DEL", KEYS.events(SESSION), KEYS.marks(SESSION))
        async with reading.stream.subscribe(SESSION) as late:
            writer = writing.stream.writer(SESSION, 2)
            writer.write(START)
            last = await writer.flush()
            for subscription in (early, late):
                assert [each.event for each in await read(subscription, end, last)] == [START]


async def test_a_new_server_is_told_the_script_again(writing: RedisLink) -> None:
    for fence in (1, 2):
        await writing.client.execute_command("SCRIPT", "FLUSH")
        writer = writing.stream.writer(SESSION, fence)
        writer.write(START)
        await writer.flush()
        assert not writer.broken
    await writing.client.execute_command("SCRIPT", "FLUSH")
    await writing.stream.remove(SESSION)
    assert list(await writing.stream.held(SESSION)) == []


async def test_all_keys_expire(writing: RedisLink) -> None:
    writer = writing.stream.writer(SESSION, 1)
    writer.write(START)
    await writer.flush()
    running = [await _ttl(writing, key) for key in _keys()]
    writer.write(DONE)
    await writer.flush()
    ended = [await _ttl(writing, key) for key in _keys()]
    assert all(3_000 < each <= 3_600 for each in running)
    assert all(500 < each <= 600 for each in ended)
    await writing.stream.remove(SESSION)
    events, marks = [await _ttl(writing, key) for key in _keys()]
    assert events == -2
    assert 3_600 < marks <= 86_400


def _keys() -> tuple[str, str]:
    return KEYS.events(SESSION), KEYS.marks(SESSION)


async def _ttl(link: RedisLink, key: str) -> int:
    seconds: int = await link.client.execute_command("TTL", key)
    return seconds


async def test_while_redis_hangs_nobody_waits_and_then_all_goes_on(
    server: servers.Redis, writing: RedisLink, reading: RedisLink
) -> None:
    writer = writing.stream.writer(SESSION, 1)
    writer.write(START)
    seen = await writer.flush()
    async with reading.stream.subscribe(SESSION) as subscription:
        await subscription.held()
        server.pause()
        try:
            writer.write(chunk("a"))
            async with asyncio.timeout(PATIENCE):
                await writer.flush()
            assert writer.broken
            await until(lambda: writing.stream.away and reading.stream.away)
            other = reading.stream.writer(SessionId("other"), 1)
            other.write(START)
            assert other.broken
            assert list(await reading.stream.held(SessionId("other"))) == []
            async with reading.stream.subscribe(SessionId("other")) as blind:
                blind.wake()
                assert list(await blind.next(ORIGIN)) == []
            assert [entry.event for entry in await subscription.held()] in ([], [START])
        finally:
            server.go_on()
        await until(lambda: not (writing.stream.away or reading.stream.away))
        writer.restart(snapshot("a"))
        writer.write(DONE)
        last = await writer.flush()
        entries = await read(subscription, seen, last)
        # The piece may have come through after all: then it stands before the snapshot.
        assert [entry.event for entry in entries][-2:] == [snapshot("a"), DONE]


async def test_what_is_to_be_sent_behind_a_hanging_flush_is_given_up_with_it(
    server: servers.Redis, writing: RedisLink
) -> None:
    """Else each would wait for a timeout of its own, one after the other."""
    first, second = (writing.stream.writer(SessionId(name), 1) for name in ("one", "two"))
    server.pause()
    try:
        first.write(START)
        await until(lambda: first.in_flight)
        second.write(START)
        await first.flush()
        assert first.broken
        assert second.broken
    finally:
        server.go_on()


async def test_a_server_that_is_started_again_is_found(
    server: servers.Redis, writing: RedisLink, reading: RedisLink
) -> None:
    writer = writing.stream.writer(SESSION, 1)
    writer.write(START)
    await writer.flush()
    async with reading.stream.subscribe(SESSION) as subscription:
        await subscription.held()
        server.kill()
        await until(lambda: writing.stream.away and reading.stream.away)
        waiting = asyncio.ensure_future(subscription.next(Position(1, 0)))
        writer.write(chunk("a"))
        assert writer.broken
        server.start()
        await until(lambda: not (writing.stream.away or reading.stream.away))
        place = writer.restart(snapshot("a"))
        await writer.flush()
        with pytest.raises(PositionLost) as lost:
            await asyncio.wait_for(waiting, PATIENCE)
        assert [e.event for e in await read(subscription, lost.value.floor, place)] == [
            snapshot("a")
        ]


async def test_what_is_published_while_a_process_is_cut_off_is_read_later(
    server: servers.Redis, writing: RedisLink, reading: RedisLink
) -> None:
    writer = writing.stream.writer(SESSION, 1)
    writer.write(START)
    await writer.flush()
    async with reading.stream.subscribe(SESSION) as subscription:
        await subscription.held()
        waiting = asyncio.ensure_future(read(subscription, Position(1, 0), Position(1, 41)))
        for number in range(40):
            if number % 8 == 3:
                await writing.client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
            writer.write(chunk(str(number)))
            await until(lambda: not writing.stream.away)
            if writer.broken:
                pytest.fail("the writer is not to break for that")
            await writer.flush()
        writer.write(DONE)
        await writer.flush()
        entries = await waiting
    texts = [entry.event.text for entry in entries if isinstance(entry.event, Chunk)]
    assert texts == [str(number) for number in range(40)]


async def test_a_session_that_is_removed_while_redis_is_away_is_removed_later(
    server: servers.Redis, writing: RedisLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infrastructure.redis.event_stream._UPKEEP_SECONDS", 0.05)
    async with open_redis(server.url, KEYS) as link:
        writer = link.stream.writer(SESSION, 1)
        writer.write(START)
        await writer.flush()
        server.pause()
        await until(lambda: link.stream.away)
        await link.stream.remove(SESSION)
        server.go_on()
        await until(lambda: not link.stream.away)
        await until(lambda: not writing.stream.away)
        async with asyncio.timeout(PATIENCE):
            while await _ttl(writing, KEYS.events(SESSION)) != -2:
                pass


async def test_a_slow_reader_reads_from_redis(
    writing: RedisLink, reading: RedisLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infrastructure.redis.event_stream._UPKEEP_SECONDS", 0.02)
    monkeypatch.setattr("infrastructure.redis.tail._MOST_ENTRIES", 10)
    writer = writing.stream.writer(SESSION, 1)
    writer.write(START)
    async with reading.stream.subscribe(SESSION) as slow, reading.stream.subscribe(SESSION) as fast:
        await slow.held()
        for number in range(600):
            writer.write(chunk(str(number)))
            await writer.flush()
        writer.write(DONE)
        last = await writer.flush()
        await read(fast, ORIGIN, last)
        entries = await read(slow, ORIGIN, last)
    assert [entry.position.seq for entry in entries] == list(range(last.seq + 1))


async def test_while_redis_is_away_a_request_is_refused_at_once_and_then_taken(
    server: servers.Redis, writing: RedisLink
) -> None:
    request = Request(G)
    server.pause()
    try:
        await until(lambda: writing.stream.away)
        with pytest.raises(QueueUnavailable, match="Redis is away"):
            await writing.queue.put(request)
    finally:
        server.go_on()
    await until(lambda: not writing.stream.away)
    await writing.queue.put(request)
    assert await writing.queue.take() == request
    assert not writing.queue.away


async def test_a_redis_that_forgot_the_newest_entries_is_not_written_on(
    writing: RedisLink, reading: RedisLink
) -> None:
    """As one that was ended before it had written them to its disk. A gap would be hidden then."""
    writer = writing.stream.writer(SESSION, 1)
    writer.write(START)
    writer.write(chunk("a"))
    await writer.flush()
    kept = [await writing.client.execute_command("DUMP", key) for key in _keys()]
    async with reading.stream.subscribe(SESSION) as subscription:
        writer.write(chunk("b"))
        seen = await writer.flush()
        await read(subscription, ORIGIN, seen)
        for key, dumped in zip(_keys(), kept, strict=True):
            await writing.client.execute_command("RESTORE", key, 0, dumped, "REPLACE")
        writer.write(chunk("c"))
        await writer.flush()
        assert writer.broken
        assert len(await writing.stream.held(SESSION)) == 2
        writer.restart(snapshot("abc"))
        writer.write(DONE)
        last = await writer.flush()
        entries = await read(subscription, seen, last)
        assert [entry.event for entry in entries] == [snapshot("abc"), DONE]


@pytest.mark.parametrize("gone", [0, 1])
async def test_a_redis_that_forgot_one_of_the_keys_is_not_written_on(
    writing: RedisLink, gone: int
) -> None:
    """As one that makes room for others."""
    writer = writing.stream.writer(SESSION, 2)
    writer.write(START)
    await writer.flush()
    await writing.client.execute_command("DEL", _keys()[gone])
    writer.write(chunk("a"))
    await writer.flush()
    assert writer.broken
    place = writer.restart(snapshot("a"))
    last = await writer.flush()
    held = await writing.stream.held(SESSION)
    assert held[-1].event == snapshot("a")
    assert held[-1].position == place == last
    zombie = writing.stream.writer(SESSION, 1)
    zombie.write(START)
    await zombie.flush()
    assert zombie.broken
    assert len(await writing.stream.held(SESSION)) == len(held)


async def test_a_repeat_of_what_is_stored_is_passed_over(writing: RedisLink) -> None:
    """Its reply was lost: the same claim sends it again, with more."""
    for events in ((START, chunk("a")), (START, chunk("a"), chunk("b"))):
        writer = writing.stream.writer(SESSION, 1)
        for event in events:
            writer.write(event)
        await writer.flush()
    held = await writing.stream.held(SESSION)
    assert [entry.event for entry in held] == [START, chunk("a"), chunk("b")]


async def test_what_comes_in_order_is_not_read_again(
    writing: RedisLink, reading: RedisLink
) -> None:
    async with reading.stream.subscribe(SESSION) as subscription:
        await subscription.held()
        await writing.client.execute_command("CONFIG", "RESETSTAT")
        seen = ORIGIN
        for fence in (1, 2):
            writer = writing.stream.writer(SESSION, fence)
            for event in (START, chunk("a"), chunk("b"), DONE):
                writer.write(event)
                last = await writer.flush()
                await read(subscription, seen, last)
                seen = last
        stats = await writing.client.info("commandstats")
        assert "cmdstat_evalsha" in stats
        assert stats.get("cmdstat_xrange", {"calls": 0})["calls"] <= 1  # to begin with


async def test_other_processes_are_told_that_a_session_is_removed(
    writing: RedisLink, reading: RedisLink
) -> None:
    writer = writing.stream.writer(SESSION, 1)
    writer.write(START)
    last = await writer.flush()
    async with reading.stream.subscribe(SESSION) as subscription:
        await read(subscription, ORIGIN, last)
        waiting = asyncio.ensure_future(subscription.next(last))
        await writing.stream.remove(SESSION)
        with pytest.raises(PositionLost):
            await asyncio.wait_for(waiting, PATIENCE)
        assert list(await subscription.held()) == []


async def test_a_stream_that_cannot_be_read_is_away_until_it_can(
    writing: RedisLink, reading: RedisLink
) -> None:
    """Although its process is told what others write. What follows must not be left out for it."""
    writer = writing.stream.writer(SESSION, 1)
    writer.write(START)
    await writer.flush()
    await writing.client.execute_command("RENAME", KEYS.events(SESSION), "kept")
    await writing.client.execute_command("SET", KEYS.events(SESSION), "something else")
    assert list(await reading.stream.held(SESSION)) == []
    assert reading.stream.away
    assert not reading.stream.is_out
    await writing.client.execute_command("RENAME", "kept", KEYS.events(SESSION))
    await until(lambda: not reading.stream.away)
    assert len(await reading.stream.held(SESSION)) == 1


async def test_what_begins_in_the_midst_is_not_held(
    server: servers.Redis, writing: RedisLink, reading: RedisLink
) -> None:
    """A process holds the newest entries of what is followed here. Without those before them they
    are no text: whoever is shown them must have read the others first."""
    writer = writing.stream.writer(SESSION, 1)
    writer.write(START)
    writer.write(chunk("a"))
    seen = await writer.flush()
    async with reading.stream.subscribe(SESSION) as subscription:
        await subscription.held()
        writer.write(chunk("b"))
        last = await writer.flush()
        await read(subscription, seen, last)
        reading.stream._tails[SESSION].shorten(0)  # as is done every few seconds
        server.pause()
        try:
            assert list(await subscription.held()) == []
            await until(lambda: reading.stream.away)
            assert list(await subscription.held()) == []
        finally:
            server.go_on()


async def test_who_begins_to_follow_just_when_redis_is_found_again_hears_it(
    writing: RedisLink, reading: RedisLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    connected, may_ask = asyncio.Event(), asyncio.Event()
    send_all = Subscriber._send_all

    async def send_late(self: Subscriber, connection: AbstractConnection) -> None:
        if self is reading.subscriber:
            connected.set()
            await may_ask.wait()
        await send_all(self, connection)

    async with reading.stream.subscribe(SessionId("another")):
        monkeypatch.setattr(Subscriber, "_send_all", send_late)
        await writing.client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        async with asyncio.timeout(PATIENCE):
            await connected.wait()
        async with reading.stream.subscribe(SESSION) as subscription:
            await subscription.held()
            may_ask.set()
            await until(lambda: not (writing.stream.away or reading.stream.away))
            assert list(await asyncio.wait_for(subscription.held(), PATIENCE)) == []
            waiting = asyncio.ensure_future(read(subscription, ORIGIN, Position(1, 0)))
            await asyncio.sleep(0)
            writer = writing.stream.writer(SESSION, 1)
            writer.write(START)
            await writer.flush()
            assert [entry.event for entry in await waiting] == [START]


async def test_one_stream_that_can_t_be_read_keeps_no_other_from_being_read(
    writing: RedisLink, reading: RedisLink
) -> None:
    other = SessionId("other")
    await writing.client.execute_command("SET", KEYS.events(other), "not a stream")
    writer = writing.stream.writer(SESSION, 1)
    writer.write(START)
    seen = await writer.flush()
    async with reading.stream.subscribe(other), reading.stream.subscribe(SESSION) as subscription:
        await subscription.held()
        waiting = asyncio.ensure_future(read(subscription, seen, seen.next))
        channel = KEYS.channel(SESSION)
        reading.subscriber._heard[channel] = lambda _: None  # it is lost on its way
        writer.write(chunk("a"))
        await writer.flush()
        await writing.client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        assert [entry.event for entry in await waiting] == [chunk("a")]


SEND = Connection.send_command


async def send_to_nobody(connection: Connection, *command: str, **options: bool) -> None:
    """What comes of it if the connection is closed under the one who sends."""
    if connection.protocol == 3:  # not the one that listens
        return await SEND(connection, *command, **options)
    await asyncio.sleep(0.02)
    raise AttributeError


async def send_to_closed(connection: Connection, *command: str, **options: bool) -> None:
    if connection.protocol == 3:
        return await SEND(connection, *command, **options)
    raise RuntimeError("unable to perform operation on a closed transport")


@pytest.mark.parametrize("send", [SEND, send_to_nobody, send_to_closed])
async def test_what_takes_connections_and_closes_them_is_told_of_once(
    send: Callable[..., Awaitable[None]],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As a proxy does whose server is away."""
    came = 0

    async def close(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal came
        came += 1
        writer.close()

    monkeypatch.setattr(Connection, "send_command", send)
    async with await asyncio.start_server(close, "127.0.0.1", 0) as proxy:
        port = proxy.sockets[0].getsockname()[1]
        async with open_redis(f"redis://127.0.0.1:{port}", KEYS) as link:
            async with link.stream.subscribe(SESSION):
                await until(lambda: came > 4)
            assert link.stream.away
        gc.collect()
        await asyncio.sleep(0)
    assert [record.levelname for record in caplog.records] == ["WARNING"], caplog.text


async def test_a_stream_is_read_once_for_many_and_not_again_for_who_comes_back(
    writing: RedisLink, reading: RedisLink
) -> None:
    writer = writing.stream.writer(SESSION, 1)
    for event in (START, chunk("a"), chunk("b")):
        writer.write(event)
    seen = await writer.flush()
    async with AsyncExitStack() as following:
        many = [
            await following.enter_async_context(reading.stream.subscribe(SESSION))
            for _ in range(50)
        ]
        await writing.client.execute_command("CONFIG", "RESETSTAT")
        held = await asyncio.gather(*(each.held() for each in many))
        assert {len(each) for each in held} == {3}
        writer.write(chunk("c"))
        last = await writer.flush()
        await read(many[0], seen, last)
        for each in many:
            assert [entry.event for entry in await each.held()][1:] == [
                chunk("a"),
                chunk("b"),
                chunk("c"),
            ]
            assert [entry.event for entry in await each.held(last)] == [chunk("c")]
        stats = await writing.client.info("commandstats")
        assert stats["cmdstat_xrange"]["calls"] == 2  # the first entry, and all of them


async def test_many_sessions_that_are_read_at_once_are_read_in_turns(
    writing: RedisLink, reading: RedisLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_many = StreamReader.read_many
    at_once = most = 0

    async def count(reader: StreamReader, *what: Any) -> Any:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        try:
            return await read_many(reader, *what)
        finally:
            at_once -= 1

    sessions = [SessionId(str(number)) for number in range(50)]
    for session_id in sessions:
        writer = writing.stream.writer(session_id, 1)
        writer.write(START)
        await writer.flush()
    monkeypatch.setattr(StreamReader, "read_many", count)
    held = await asyncio.gather(*(reading.stream.held(session_id) for session_id in sessions))
    assert all([entry.event for entry in each] == [START] for each in held)
    assert 1 < most <= 4


async def test_what_many_readers_share_is_about_none_of_their_requests(
    writing: RedisLink, reading: RedisLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = writing.stream.writer(SESSION, 1)
    writer.write(START)
    await writer.flush()
    read, seen = StreamReader.read, []

    async def noting(*values: Any) -> Any:
        seen.append(lines_are_about())
        return await read(*values)

    async def trying(_: StreamReader) -> None:
        seen.append(lines_are_about())

    monkeypatch.setattr(StreamReader, "read", noting)
    monkeypatch.setattr(StreamReader, "_try_again", trying)
    async with reading.stream.subscribe(SESSION) as subscription:
        only_about(request_id="request-01")
        assert [entry.event for entry in await subscription.held()] == [START]
        reading.stream._reader._note_failure()
        only_about()
        assert reading.stream._reader._trying is not None
        await reading.stream._reader._trying
    assert seen == [{}, {}]
