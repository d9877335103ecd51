import contextlib
import json
from collections.abc import Mapping, Sequence

import pytest

from application.events import Chunk, Start
from domain.identifiers import SessionId
from interface.heartbeats import HEARTBEAT_SECONDS
from interface.sse import MOST_AT_ONCE
from tests.builders import completed, finish
from tests.interface.clients import (
    Connection,
    EventSource,
    Json,
    event_source,
    http_scope,
    problem_keys,
)
from tests.interface.conftest import NothingIsLeft
from tests.interface.doors import Doors, Running


def ids(events: Sequence[Json]) -> list[str]:
    return [event["id"] for event in events]


def kinds(events: Sequence[Json]) -> list[str]:
    return [event["type"] for event in events]


async def begin(running: Running, *texts: str) -> None:
    running.writer.write(Start(running.generation_id, 1, "scripted", "why?"))
    await go_on(running, *texts)


async def go_on(running: Running, *texts: str) -> None:
    for text in texts:
        running.writer.write(Chunk(running.generation_id, text))
    await running.writer.flush()


async def assert_refused(stream: EventSource, path: str, code: str) -> None:
    assert stream.status == 404
    assert stream.headers["content-type"] == "application/problem+json"
    body = await stream.connection.told()
    assert not body.get("more_body", False)
    shown = json.loads(body["body"])
    assert shown.keys() == problem_keys()
    assert (shown["code"], shown["instance"]) == (code, path)


# How a stream looks


async def test_a_stream_is_told_to_be_kept_by_nobody_and_shown_at_once(
    doors: Doors, session: SessionId
) -> None:
    headers = {"X-Request-ID": "request-42"}
    async with event_source(doors.app, f"/sse/{session}", headers=headers) as stream:
        assert stream.status == 200
        assert stream.headers["content-type"].startswith("text/event-stream")
        assert stream.headers["cache-control"] == "no-store"
        assert stream.headers["x-accel-buffering"] == "no"
        assert stream.headers["x-request-id"] == "request-42"
        assert "content-length" not in stream.headers
        assert await stream.block() == "retry: 1000"


async def test_an_event_is_an_id_line_and_a_data_line_and_nothing_else(
    doors: Doors, session: SessionId
) -> None:
    generation_id = await doors.ask(session, "a\nb")
    async with event_source(doors.app, f"/sse/{session}") as stream:
        assert await stream.block() == "retry: 1000"
        assert await stream.block() == ":"
        await doors.answer(generation_id)
        block = await stream.block()
    assert block is not None
    number, data = block.split("\n")
    assert number == "id: 1-0"
    name, shown = data.split(": ", 1)
    assert name == "data"
    assert json.loads(shown) == {
        "type": "start",
        "session_id": session,
        "generation_id": generation_id,
        "attempt": 1,
        "model_name": "scripted",
        "message": "a\nb",
    }


async def test_a_whole_answer_is_seen_as_it_is_made(doors: Doors, session: SessionId) -> None:
    async with event_source(doors.app, f"/sse/{session}") as stream:
        first = await doors.answered(session)
        second = await doors.answered(session)
        events = await stream.events(8)
    assert ids(events) == [f"{fence}-{seq}" for fence in (1, 2) for seq in range(4)]
    assert kinds(events) == ["start", "chunk", "chunk", "done"] * 2
    assert [event["generation_id"] for event in events] == [first] * 4 + [second] * 4
    assert "".join(event.get("chunk", "") for event in events[:4]) == "Hello there"
    assert [event.get("is_last") for event in events[:4]] == [None, False, False, True]


async def test_all_subscribers_of_a_session_see_the_same(doors: Doors, session: SessionId) -> None:
    async with (
        event_source(doors.app, f"/sse/{session}") as one,
        event_source(doors.app, f"/sse/{session}") as two,
    ):
        await doors.answered(session)
        assert await one.events(4) == await two.events(4)


async def test_a_session_sees_nothing_of_another(doors: Doors, session: SessionId) -> None:
    other = await doors.session("session_2")
    async with event_source(doors.app, f"/sse/{session}") as stream:
        await doors.answered(other)
        await doors.answered(session)
        event = await stream.event()
    assert event is not None
    assert event["session_id"] == session


async def test_little_is_handed_over_at_once_however_much_there_is_to_tell(
    doors: Doors, session: SessionId
) -> None:
    """Who does not read costs as much as was handed over last, each of them."""
    running = await doors.running(session)
    await begin(running, "X" * 10 * MOST_AT_ONCE)
    for _ in range(3):
        await go_on(running, "Y" * (MOST_AT_ONCE // 2))
    async with event_source(doors.app, f"/sse/{session}", "last_event_id=1-0") as stream:
        told = b""
        while told.count(b"\n\n") < 5:
            piece = (await stream.connection.told())["body"]
            assert len(piece) <= MOST_AT_ONCE
            told += piece
    assert told.count(b"X") == 10 * MOST_AT_ONCE
    assert told.count(b"Y") == 3 * (MOST_AT_ONCE // 2)


# Where a stream begins


async def test_who_comes_without_a_cursor_gets_the_running_answer_at_once(
    doors: Doors, session: SessionId
) -> None:
    await doors.answered(session, "before")
    running = await doors.running(session)
    await begin(running, "So ", "far")
    async with event_source(doors.app, f"/sse/{session}") as stream:
        snapshot = await stream.event()
        await go_on(running, ", so good")
        chunk = await stream.event()
    assert snapshot is not None
    assert snapshot["id"] == "2-2"
    assert (snapshot["type"], snapshot["text"]) == ("snapshot", "So far")
    assert (snapshot["attempt"], snapshot["recovered"]) == (1, True)
    assert chunk is not None
    assert (chunk["id"], chunk["chunk"]) == ("2-3", ", so good")


async def test_who_comes_without_a_cursor_gets_no_old_answer(
    doors: Doors, session: SessionId
) -> None:
    await doors.answered(session)
    async with event_source(doors.app, f"/sse/{session}") as stream:
        await doors.answered(session)
        event = await stream.event()
    assert event is not None
    assert event["id"] == "2-0"


async def everything(doors: Doors, session: SessionId) -> Sequence[Json]:
    async with event_source(doors.app, f"/sse/{session}") as stream:
        await doors.answered(session)
        await doors.answered(session)
        return await stream.events(8)


async def test_who_comes_back_gets_exactly_what_came_after(
    doors: Doors, session: SessionId
) -> None:
    events = await everything(doors, session)
    for seen, cursor in enumerate(ids(events[:-1]), 1):
        comings: list[tuple[str, Mapping[str, str]]] = [
            (f"last_event_id={cursor}", {}),
            ("", {"Last-Event-ID": cursor}),
        ]
        for query, headers in comings:
            async with event_source(doors.app, f"/sse/{session}", query, headers) as stream:
                assert await stream.events(8 - seen) == events[seen:]


async def test_the_header_counts_before_the_query(doors: Doors, session: SessionId) -> None:
    """The browser sends the header by itself when it comes back; the address stays as it was."""
    events = await everything(doors, session)
    query, headers = "last_event_id=1-0", {"Last-Event-ID": "2-1"}
    async with event_source(doors.app, f"/sse/{session}", query, headers) as stream:
        assert await stream.events(2) == events[6:]


async def test_who_has_seen_all_gets_only_what_comes(doors: Doors, session: SessionId) -> None:
    await everything(doors, session)
    async with event_source(doors.app, f"/sse/{session}", "last_event_id=2-3") as stream:
        assert await stream.block() == "retry: 1000"
        assert await stream.block() == ":"
        await doors.answered(session)
        event = await stream.event()
    assert event is not None
    assert event["id"] == "3-0"


async def test_what_is_no_longer_held_is_told_as_a_snapshot(
    doors: Doors, session: SessionId
) -> None:
    for _ in range(3):
        await doors.answered(session)
    async with event_source(doors.app, f"/sse/{session}", "last_event_id=1-1") as stream:
        events = await stream.events(10)
    assert ids(events[:2]) == ["1-2", "1-3"]
    assert kinds(events) == ["snapshot", "done", *["start", "chunk", "chunk", "done"] * 2]
    assert (events[0]["text"], events[0]["recovered"]) == ("Hello there", False)


@pytest.mark.parametrize(
    "cursor",
    [
        "abc",
        "1",
        "1-",
        "-1",
        "1-1-1",
        "01-1",
        "1-01",
        "1.5-1",
        "1-%2B1",
        "1-1%0A",
        "%D9%A1-%D9%A1",
        "%00",
        "9" * 4000,
        "2-4",
        "3-0",
        "999999999999-0",
    ],
)
async def test_a_malformed_or_foreign_cursor_counts_as_none(
    doors: Doors, session: SessionId, cursor: str
) -> None:
    await doors.answered(session)
    running = await doors.running(session)
    await begin(running, "So ", "far", "!")
    async with event_source(doors.app, f"/sse/{session}", f"last_event_id={cursor}") as stream:
        event = await stream.event()
        await go_on(running, "more")
        following = await stream.event()
    assert event is not None
    assert (event["id"], event["type"], event["text"]) == ("2-3", "snapshot", "So far!")
    assert event["recovered"] is True
    assert following is not None
    assert following["id"] == "2-4"


# What is refused


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_an_unknown_session_is_a_problem_and_not_a_stream(
    doors: Doors, nothing_is_left: NothingIsLeft, method: str
) -> None:
    async with event_source(doors.app, "/sse/none", method=method) as stream:
        await assert_refused(stream, "/sse/none", "session_not_found")
        await stream.connection.ended()
    await nothing_is_left()


async def test_a_foreign_session_is_a_problem_and_not_a_stream(
    doors: Doors, nothing_is_left: NothingIsLeft
) -> None:
    path = f"/sse/{await doors.foreign_session()}"
    async with event_source(doors.app, path) as stream:
        await assert_refused(stream, path, "session_not_found")
        await stream.connection.ended()
    await nothing_is_left()


async def test_a_stream_is_not_begun_while_the_database_is_away(
    doors: Doors, session: SessionId, nothing_is_left: NothingIsLeft
) -> None:
    doors.database.away = 1
    async with event_source(doors.app, f"/sse/{session}") as stream:
        assert stream.status == 503
        assert stream.headers["content-type"] == "application/problem+json"
        assert stream.headers["retry-after"]
        await stream.connection.ended()
    await nothing_is_left()


# How a stream lives and ends


async def test_a_silent_stream_beats_once_a_round(doors: Doors, session: SessionId) -> None:
    async with event_source(doors.app, f"/sse/{session}") as stream:
        assert await stream.block() == "retry: 1000"
        assert await stream.block() == ":"
        for _ in range(HEARTBEAT_SECONDS):
            await doors.heartbeats.beat()
        assert await stream.block() == ":"
        await doors.answered(session)
        block = await stream.block()
    assert block is not None
    assert block.startswith("id: 1-0\n")


async def test_followers_of_a_deleted_session_hear_that_it_is_gone(
    doors: Doors, session: SessionId, nothing_is_left: NothingIsLeft
) -> None:
    async with event_source(doors.app, f"/sse/{session}") as stream:
        assert await stream.block() == "retry: 1000"
        doors.delete(session)
        await doors.watch()
        events = await stream.rest()
        await stream.connection.ended()
    assert [(event["id"], event["type"]) for event in events] == [(None, "gone")]
    assert events[0]["session_id"] == session
    await nothing_is_left()


async def test_an_end_that_was_lost_on_its_way_is_told_by_the_watchdog(
    doors: Doors, session: SessionId
) -> None:
    async with event_source(doors.app, f"/sse/{session}") as stream:
        running = await doors.running(session)
        await begin(running, "Half")
        assert kinds(await stream.events(2)) == ["start", "chunk"]
        generation = doors.database.state.rows[running.generation_id].generation
        await finish(doors.database, generation, completed("Half and half", last_seq=5))
        await doors.watch()
        snapshot, done = await stream.events(2)
    assert (snapshot["id"], snapshot["type"]) == ("1-4", "snapshot")
    assert (snapshot["text"], snapshot["recovered"]) == ("Half and half", False)
    assert (done["id"], done["type"]) == ("1-5", "done")


async def test_all_streams_end_in_good_order_when_the_process_stops(
    doors: Doors, session: SessionId, nothing_is_left: NothingIsLeft
) -> None:
    generation_id = await doors.ask(session)
    async with (
        event_source(doors.app, f"/sse/{session}") as one,
        event_source(doors.app, f"/api/chat/generations/{generation_id}/stream") as two,
    ):
        for stream in (one, two):
            assert await stream.block() == "retry: 1000"
        doors.followers.end()
        for stream in (one, two):
            assert await stream.rest() == []
            await stream.connection.ended()
    await nothing_is_left()


async def test_a_stream_ends_in_good_order_when_the_database_is_away_in_the_middle(
    doors: Doors, session: SessionId, nothing_is_left: NothingIsLeft
) -> None:
    async with event_source(doors.app, f"/sse/{session}") as stream:
        assert await stream.block() == "retry: 1000"
        doors.delete(session)
        await doors.watch()
        doors.database.away = 1
        assert await stream.rest() == []
        await stream.connection.ended()
    await nothing_is_left()


async def test_a_client_that_leaves_leaves_nothing_behind(
    doors: Doors, session: SessionId, nothing_is_left: NothingIsLeft
) -> None:
    async with event_source(doors.app, f"/sse/{session}") as stream:
        assert await stream.block() == "retry: 1000"
        assert len(list(doors.followers)) == doors.stream.subscribed == 1
        stream.leave()
        await stream.connection.ended()
        await nothing_is_left()


async def test_a_client_that_left_before_the_stream_began_leaves_nothing_behind(
    doors: Doors, session: SessionId, nothing_is_left: NothingIsLeft
) -> None:
    connection = Connection(fails_once_left=False)
    connection.leave({"type": "http.disconnect"})
    connection.call(doors.app, http_scope(f"/sse/{session}"))
    await connection.ended()
    await nothing_is_left()


async def test_a_client_whose_leaving_is_seen_in_writing_leaves_nothing_behind(
    doors: Doors, session: SessionId, nothing_is_left: NothingIsLeft
) -> None:
    """ASGI lets a server say so by an OSError, which is then the server's to handle."""
    async with event_source(doors.app, f"/sse/{session}") as stream:
        stream.connection.fails_once_left = True
        assert await stream.block() == "retry: 1000"
        stream.leave()
        with contextlib.suppress(OSError):
            await stream.connection.ended()
        await nothing_is_left()


async def test_a_client_that_leaves_in_the_middle_of_an_answer_stops_nobody(
    doors: Doors, session: SessionId
) -> None:
    running = await doors.running(session)
    async with (
        event_source(doors.app, f"/sse/{session}") as leaving,
        event_source(doors.app, f"/sse/{session}") as staying,
    ):
        await begin(running, "So ")
        assert kinds(await leaving.events(2)) == ["start", "chunk"]
        leaving.leave()
        await leaving.connection.ended()
        await go_on(running, "far")
        assert [event.get("chunk") for event in await staying.events(3)] == [None, "So ", "far"]
    assert list(doors.followers) == []


@pytest.mark.parametrize("path", ["/sse/{}", "/api/chat/generations/{}/stream"])
async def test_head_tells_the_headers_only(
    doors: Doors, session: SessionId, nothing_is_left: NothingIsLeft, path: str
) -> None:
    generation_id = await doors.ask(session)
    named = path.format(session if path.startswith("/sse") else generation_id)
    async with event_source(doors.app, named, method="HEAD") as stream:
        assert stream.status == 200
        assert stream.headers["content-type"].startswith("text/event-stream")
        assert await stream.block() is None
        await stream.connection.ended()
    await nothing_is_left()


# The stream of one generation


async def test_a_generations_stream_shows_that_generation_only_and_ends_with_it(
    doors: Doors, session: SessionId, nothing_is_left: NothingIsLeft
) -> None:
    before = await doors.ask(session, "before")
    generation_id = await doors.ask(session)
    await doors.ask(session, "after")
    async with event_source(doors.app, f"/api/chat/generations/{generation_id}/stream") as stream:
        assert await stream.block() == "retry: 1000"
        await doors.answer(before)
        await doors.answer(generation_id)
        events = await stream.rest()
        await stream.connection.ended()
    assert ids(events) == ["2-0", "2-1", "2-2", "2-3"]
    assert kinds(events) == ["start", "chunk", "chunk", "done"]
    assert {event["generation_id"] for event in events} == {generation_id}
    await nothing_is_left()


async def test_the_stream_of_an_ended_generation_shows_it_whole_and_ends(
    doors: Doors, session: SessionId
) -> None:
    generation_id = await doors.answered(session)
    await doors.answered(session, "another")
    async with event_source(doors.app, f"/api/chat/generations/{generation_id}/stream") as stream:
        events = await stream.rest()
    assert kinds(events) == ["snapshot", "done"]
    assert ids(events) == ["1-2", "1-3"]
    assert (events[0]["text"], events[0]["recovered"]) == ("Hello there", True)


@pytest.mark.parametrize("by_header", [True, False])
async def test_a_generations_stream_is_taken_up_where_it_was_cut(
    doors: Doors, session: SessionId, by_header: bool
) -> None:
    generation_id = await doors.answered(session)
    headers = {"Last-Event-ID": "1-1"} if by_header else {}
    query = "" if by_header else "last_event_id=1-1"
    path = f"/api/chat/generations/{generation_id}/stream"
    async with event_source(doors.app, path, query, headers) as stream:
        events = await stream.rest()
    assert ids(events) == ["1-2", "1-3"]
    assert kinds(events) == ["chunk", "done"]


async def test_an_unknown_or_foreign_generation_is_a_problem_and_not_a_stream(
    doors: Doors, nothing_is_left: NothingIsLeft
) -> None:
    for generation_id in ("none", await doors.foreign_question()):
        path = f"/api/chat/generations/{generation_id}/stream"
        async with event_source(doors.app, path) as stream:
            await assert_refused(stream, path, "generation_not_found")
    await nothing_is_left()


async def test_a_generation_of_which_all_was_seen_is_told_not_to_come_back_for(
    doors: Doors, session: SessionId
) -> None:
    """A browser's EventSource comes back whenever a stream ends, unless the answer is 204."""
    generation_id = await doors.answered(session)
    path = f"/api/chat/generations/{generation_id}/stream"
    async with event_source(doors.app, path) as source:
        last = (await source.rest())[-1]
    async with event_source(doors.app, path, headers={"Last-Event-ID": last["id"]}) as source:
        assert source.status == 204
        assert await source.rest() == []


async def test_a_stream_that_is_cut_because_nobody_reads_it_is_no_fault(
    doors: Doors, session: SessionId
) -> None:
    """Whatever it raised, the server would write into the log with a traceback."""
    await doors.answered(session)
    path, query = f"/sse/{session}", "last_event_id=0-0"
    async with event_source(doors.app, path, query, stalls_after=2) as source:
        await source.connection.stalled.wait()
        await source.connection.cut()
    assert doors.stream.subscribed == len(list(doors.followers)) == 0
