import contextlib
from collections.abc import Mapping, Sequence

import pytest

from application.events import Chunk, Start
from domain.identifiers import SessionId
from domain.message import MAX_MESSAGE_CHARACTERS
from domain.repositories import NewSession
from interface.websocket import MAX_FOLLOWED
from tests.interface.clients import Json, event_source, problem_keys, websocket
from tests.interface.conftest import NothingIsLeft
from tests.interface.doors import Doors


def assert_error(frame: Json, code: str, *, flaws: bool = False) -> None:
    assert frame["type"] == "error"
    assert frame["error"].keys() == problem_keys(flaws=flaws)
    assert frame["error"]["code"] == code


def told(events: Sequence[Json]) -> list[tuple[str, str]]:
    return [(event["id"], event["type"]) for event in events]


def contents(doors: Doors) -> list[str]:
    return [message.content for message in doors.database.state.messages]


# Coming in


async def test_who_names_no_session_gets_a_new_one(doors: Doors) -> None:
    async with websocket(doors.app) as socket:
        first = await socket.hear()
    assert first["type"] == "session"
    assert first["last_event_id"] == "0-0"
    (made,) = doors.database.state.sessions.values()
    assert (made.id, made.owner) == (first["session_id"], await doors.local())


async def test_the_first_frame_says_where_the_session_stands(
    doors: Doors, session: SessionId
) -> None:
    await doors.answered(session)
    running = await doors.running(session)
    running.writer.write(Start(running.generation_id, 1, "scripted", "why?"))
    running.writer.write(Chunk(running.generation_id, "So far"))
    async with websocket(doors.app, f"session_id={session}") as socket:
        first, snapshot = await socket.hear_many(2)
    assert first == {"type": "session", "session_id": session, "last_event_id": "1-3"}
    assert (snapshot["id"], snapshot["type"], snapshot["text"]) == ("2-1", "snapshot", "So far")


async def test_a_cursor_in_the_query_gets_exactly_what_came_after(
    doors: Doors, session: SessionId
) -> None:
    await doors.answered(session)
    query = f"session_id={session}&last_event_id=1-1"
    async with websocket(doors.app, query) as socket:
        first, *events = await socket.hear_many(3)
    assert first["last_event_id"] == "1-1"
    assert told(events) == [("1-2", "chunk"), ("1-3", "done")]


@pytest.mark.parametrize("cursor", ["abc", "1", "01-1", "999-0", ""])
async def test_a_malformed_or_foreign_cursor_counts_as_none(
    doors: Doors, session: SessionId, cursor: str
) -> None:
    await doors.answered(session)
    query = f"session_id={session}&last_event_id={cursor}"
    async with websocket(doors.app, query) as socket:
        assert (await socket.hear())["last_event_id"] == "1-3"
        await doors.answered(session)
        assert told([await socket.hear()]) == [("2-0", "start")]


async def test_an_unknown_or_foreign_session_in_the_query_is_told_and_closed(
    doors: Doors, nothing_is_left: NothingIsLeft
) -> None:
    for session_id in ("none", "", await doors.foreign_session()):
        async with websocket(doors.app, f"session_id={session_id}") as socket:
            assert_error(await socket.hear(), "session_not_found")
            assert await socket.closed() == 4404
            await socket.connection.ended()
    await nothing_is_left()


async def test_who_comes_while_the_database_is_away_is_to_come_back_later(
    doors: Doors, nothing_is_left: NothingIsLeft
) -> None:
    doors.database.away = 1
    async with websocket(doors.app) as socket:
        assert_error(await socket.hear(), "database_unavailable")
        assert await socket.closed() == 1013
        await socket.connection.ended()
    await nothing_is_left()


# Messages


async def test_a_text_is_a_message_and_its_answer_follows(doors: Doors) -> None:
    async with websocket(doors.app) as socket:
        first = await socket.hear()
        accepted = await socket.ask("What is a fence?")
        await doors.answer(accepted["generation_id"])
        events = await socket.hear_many(4)
    (question, _) = doors.database.state.messages
    assert accepted["type"] == "accepted"
    assert accepted["client_message_id"] is None
    assert (accepted["message_id"], question.content) == (question.id, "What is a fence?")
    assert question.session_id == first["session_id"]
    assert told(events) == [
        ("1-0", "start"),
        ("1-1", "chunk"),
        ("1-2", "chunk"),
        ("1-3", "done"),
    ]
    assert {event["generation_id"] for event in events} == {accepted["generation_id"]}


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1}',
        "{}",
        '["type"]',
        '"type"',
        "17",
        "null",
        '{"type": "ping"',
        '{"type": "ping"} and more',
        "{'type': 'ping'}",
        'say {"type": "ping"}',
        "{" * 1000,
        "type",
    ],
)
async def test_a_text_that_is_no_object_with_a_type_is_a_message(
    doors: Doors, session: SessionId, text: str
) -> None:
    async with websocket(doors.app, f"session_id={session}") as socket:
        await socket.hear()
        assert (await socket.ask(text))["type"] == "accepted"
    assert contents(doors) == [text]


@pytest.mark.parametrize("text", ["", " \n", "a\x00b", "a" * (MAX_MESSAGE_CHARACTERS + 1)])
async def test_a_bad_message_is_refused_and_the_connection_stays(
    doors: Doors, session: SessionId, text: str
) -> None:
    async with websocket(doors.app, f"session_id={session}") as socket:
        await socket.hear()
        for said in (text, {"type": "send", "message": text}):
            refused = await socket.ask(said)
            assert_error(refused, "invalid_request", flaws=True)
            assert refused["error"]["errors"][0]["pointer"] == "/message"
        assert await socket.ask({"type": "ping"}) == {"type": "pong"}
    assert contents(doors) == []


async def test_a_send_may_choose_model_and_persona(doors: Doors, session: SessionId) -> None:
    async with websocket(doors.app, f"session_id={session}") as socket:
        await socket.hear()
        accepted = await socket.ask(
            {
                "type": "send",
                "message": "why?",
                "client_message_id": "m-1",
                "model_name": "other",
                "persona": "teacher",
                "file_ids": [],
            }
        )
    (row,) = doors.database.state.rows.values()
    assert (row.generation.model_name, row.generation.persona) == ("other", "teacher")
    assert accepted["type"] == "accepted"
    assert accepted["client_message_id"] == "m-1"
    assert accepted["generation_id"] == row.generation.id
    assert accepted["message_id"] == row.generation.message_id


async def test_a_message_that_is_sent_twice_is_accepted_once(
    doors: Doors, session: SessionId
) -> None:
    sent = {"type": "send", "message": "why?", "client_message_id": "m-1"}
    async with websocket(doors.app, f"session_id={session}") as socket:
        await socket.hear()
        first, again = await socket.ask(sent), await socket.ask(sent)
    async with websocket(doors.app, f"session_id={session}") as socket:
        await socket.hear()
        later = await socket.ask(sent)
    assert first == again == later
    assert contents(doors) == ["why?"]
    assert len(doors.queue.requests) == 1


async def test_another_message_under_the_same_id_is_a_conflict(
    doors: Doors, session: SessionId
) -> None:
    async with websocket(doors.app, f"session_id={session}") as socket:
        await socket.hear()
        await socket.ask({"type": "send", "message": "why?", "client_message_id": "m-1"})
        refused = await socket.ask({"type": "send", "message": "how?", "client_message_id": "m-1"})
    assert_error(refused, "idempotency_conflict")
    assert refused["client_message_id"] == "m-1"
    assert contents(doors) == ["why?"]


async def test_a_send_may_go_to_another_session(doors: Doors, session: SessionId) -> None:
    other = await doors.session("session_2")
    async with websocket(doors.app, f"session_id={session}") as socket:
        await socket.hear()
        await socket.ask({"type": "send", "message": "why?", "session_id": other})
    (question,) = doors.database.state.messages
    assert question.session_id == other


async def test_a_busy_session_refuses_and_the_connection_stays(
    doors: Doors, session: SessionId
) -> None:
    async with websocket(doors.app, f"session_id={session}") as socket:
        await socket.hear()
        answers = [await socket.ask(f"message {number}") for number in range(10)]
        assert [answer["type"] for answer in answers] == ["accepted"] * 9 + ["error"]
        assert_error(answers[-1], "session_busy")
        assert await socket.ask({"type": "ping"}) == {"type": "pong"}


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"model_name": "none"}, "model_not_found"),
        ({"persona": "none"}, "persona_not_found"),
        ({"file_ids": [7]}, "file_not_found"),
        ({"session_id": "none"}, "session_not_found"),
    ],
)
async def test_a_send_that_names_what_is_not_there_is_refused(
    doors: Doors, session: SessionId, fields: dict[str, object], code: str
) -> None:
    async with websocket(doors.app, f"session_id={session}") as socket:
        await socket.hear()
        refused = await socket.ask(
            {"type": "send", "message": "why?", "client_message_id": "m-1", **fields}
        )
        assert_error(refused, code)
        assert refused["client_message_id"] == "m-1"
        assert (await socket.ask("why?"))["type"] == "accepted"


async def test_each_message_gets_a_request_id_that_begins_with_the_sockets(
    doors: Doors, session: SessionId
) -> None:
    headers = {"X-Request-ID": "request-42"}
    async with websocket(doors.app, f"session_id={session}", headers) as socket:
        await socket.hear()
        await socket.ask("one?")
        await socket.ask("two?")
        refused = await socket.ask({"type": "none"})
    assert refused["error"]["request_id"] == "request-42"
    given = [request.request_id for request in doors.queue.requests]
    assert len(set(given)) == 2
    for request_id in given:
        assert request_id is not None
        assert request_id.startswith("request-42")
        assert len(request_id) <= 64


# Bad frames


@pytest.mark.parametrize(
    ("said", "pointer"),
    [
        ({"type": "none"}, None),
        ({"type": ""}, None),
        ({"type": 1}, None),
        ({"type": None}, None),
        ({"type": True}, None),
        ({"type": ["ping"]}, None),
        ({"type": {"send": "ping"}}, None),
        ({"type": "session"}, None),
        ({"type": "send"}, "/message"),
        ({"type": "send", "message": 7}, "/message"),
        ({"type": "send", "message": "why?", "client_message_id": ""}, "/client_message_id"),
        ({"type": "send", "message": "why?", "client_message_id": "a b"}, "/client_message_id"),
        ({"type": "send", "message": "why?", "client_message_id": "a" * 65}, "/client_message_id"),
        ({"type": "send", "message": "why?", "client_message_id": "a\n"}, "/client_message_id"),
        ({"type": "send", "message": "why?", "unknown": 1}, "/unknown"),
        ({"type": "send", "message": "why?", "file_ids": ["1"]}, "/file_ids/0"),
        ({"type": "resume"}, "/last_event_id"),
        ({"type": "resume", "last_event_id": 1}, "/last_event_id"),
        ({"type": "follow"}, "/session_id"),
        ({"type": "follow", "session_id": 7}, "/session_id"),
        ({"type": "unfollow"}, "/session_id"),
        ({"type": "unfollow", "session_id": "none"}, "/session_id"),
        ({"type": "ping", "more": 1}, "/more"),
        (b'{"type": "ping"}', None),
        (b"", None),
    ],
)
async def test_a_bad_frame_gets_an_error_and_the_connection_stays(
    doors: Doors, session: SessionId, said: Json | bytes, pointer: str | None
) -> None:
    async with websocket(doors.app, f"session_id={session}") as socket:
        await socket.hear()
        refused = await socket.ask(said)
        assert_error(refused, "invalid_request", flaws=True)
        if pointer is not None:
            assert [flaw["pointer"] for flaw in refused["error"]["errors"]] == [pointer]
        assert await socket.ask({"type": "ping"}) == {"type": "pong"}
        await doors.answered(session)
        assert told(await socket.hear_many(4))[-1] == ("1-3", "done")
    assert contents(doors) == ["why?", "Hello there"]


@pytest.mark.parametrize("kind", ["send", "resume", "follow"])
async def test_an_unknown_or_foreign_session_in_a_frame_gets_an_error_and_the_connection_stays(
    doors: Doors, session: SessionId, kind: str
) -> None:
    frames: Mapping[str, Json] = {
        "send": {"message": "why?"},
        "resume": {"last_event_id": "0-0"},
        "follow": {},
    }
    async with websocket(doors.app, f"session_id={session}") as socket:
        await socket.hear()
        for session_id in ("none", "nul\x00", await doors.foreign_session()):
            refused = await socket.ask({"type": kind, "session_id": session_id, **frames[kind]})
            assert_error(refused, "session_not_found")
        await doors.answered(session)
        assert told(await socket.hear_many(4))[-1] == ("1-3", "done")


async def test_a_refusal_while_the_database_is_away_leaves_the_connection(
    doors: Doors, session: SessionId
) -> None:
    async with websocket(doors.app, f"session_id={session}") as socket:
        await socket.hear()
        doors.database.away = 1
        assert_error(await socket.ask("why?"), "database_unavailable")
        assert (await socket.ask("why?"))["type"] == "accepted"


# Events


async def test_an_event_is_the_same_object_as_over_sse_with_its_id_inside(
    doors: Doors, session: SessionId
) -> None:
    async with (
        websocket(doors.app, f"session_id={session}") as socket,
        event_source(doors.app, f"/sse/{session}") as stream,
    ):
        await socket.hear()
        await doors.answered(session)
        assert await socket.hear_many(4) == await stream.events(4)


async def test_resume_replays_what_came_after(doors: Doors, session: SessionId) -> None:
    async with websocket(doors.app, f"session_id={session}") as socket:
        await socket.hear()
        await doors.answered(session)
        events = await socket.hear_many(4)
        for seen, cursor in enumerate(event["id"] for event in events[:-1]):
            socket.say({"type": "resume", "last_event_id": cursor})
            assert await socket.hear_many(3 - seen) == events[seen + 1 :]
        await doors.answered(session)
        assert told(await socket.hear_many(4))[0] == ("2-0", "start")


async def test_resume_with_a_bad_cursor_goes_on_from_now(doors: Doors, session: SessionId) -> None:
    async with websocket(doors.app, f"session_id={session}") as socket:
        await socket.hear()
        await doors.answered(session)
        await socket.hear_many(4)
        socket.say({"type": "resume", "last_event_id": "garbage"})
        assert await socket.ask({"type": "ping"}) == {"type": "pong"}
        await doors.answered(session)
        assert told([await socket.hear()]) == [("2-0", "start")]


async def test_further_sessions_can_be_followed_and_left(doors: Doors, session: SessionId) -> None:
    other = await doors.session("session_2")
    async with websocket(doors.app, f"session_id={session}") as socket:
        await socket.hear()
        following = await socket.ask({"type": "follow", "session_id": other})
        assert following == {"type": "following", "session_id": other, "last_event_id": "0-0"}
        await doors.answered(other)
        events = await socket.hear_many(4)
        assert {event["session_id"] for event in events} == {other}
        await doors.answered(session)
        events = await socket.hear_many(4)
        assert {event["session_id"] for event in events} == {session}
        left = await socket.ask({"type": "unfollow", "session_id": other})
        assert left == {"type": "unfollowed", "session_id": other, "last_event_id": "1-3"}
        await doors.answered(other)
        assert await socket.ask({"type": "ping"}) == {"type": "pong"}
        assert doors.stream.subscribed == len(list(doors.followers)) == 1


async def test_a_further_session_is_followed_from_a_cursor_on(
    doors: Doors, session: SessionId
) -> None:
    other = await doors.session("session_2")
    await doors.answered(other)
    async with websocket(doors.app, f"session_id={session}") as socket:
        await socket.hear()
        follow = {"type": "follow", "session_id": other, "last_event_id": "1-2"}
        assert (await socket.ask(follow))["last_event_id"] == "1-2"
        assert told([await socket.hear()]) == [("1-3", "done")]


async def test_following_a_session_again_shows_each_event_once(
    doors: Doors, session: SessionId, nothing_is_left: NothingIsLeft
) -> None:
    async with websocket(doors.app, f"session_id={session}") as socket:
        await socket.hear()
        following = await socket.ask({"type": "follow", "session_id": session})
        assert following["type"] == "following"
        await doors.answered(session)
        assert [number for number, _ in told(await socket.hear_many(4))] == [
            "1-0",
            "1-1",
            "1-2",
            "1-3",
        ]
        assert await socket.ask({"type": "ping"}) == {"type": "pong"}
        assert doors.stream.subscribed == len(list(doors.followers)) == 1
        socket.leave()
        await socket.connection.ended()
    await nothing_is_left()


async def test_a_socket_follows_only_so_many_sessions(doors: Doors, session: SessionId) -> None:
    user = await doors.local()
    others = [SessionId(f"further_{number}") for number in range(MAX_FOLLOWED)]
    async with doors.database() as work:
        for other in others:
            await work.sessions.add(NewSession(other, user))
        await work.commit()
    async with websocket(doors.app, f"session_id={session}") as socket:
        await socket.hear()
        answers = [await socket.ask({"type": "follow", "session_id": other}) for other in others]
        assert {answer["type"] for answer in answers[:-1]} == {"following"}
        assert_error(answers[-1], "invalid_request", flaws=True)
        await socket.ask({"type": "unfollow", "session_id": others[0]})
        last = await socket.ask({"type": "follow", "session_id": others[-1]})
        assert last["type"] == "following"


async def test_followers_of_a_deleted_session_hear_that_it_is_gone(
    doors: Doors, session: SessionId
) -> None:
    async with websocket(doors.app, f"session_id={session}") as socket:
        await socket.hear()
        doors.delete(session)
        await doors.watch()
        gone = await socket.hear()
        assert (gone["type"], gone["session_id"]) == ("gone", session)
        assert_error(await socket.ask("why?"), "session_not_found")


async def test_a_socket_is_closed_to_come_back_when_its_stream_can_not_go_on(
    doors: Doors, session: SessionId, nothing_is_left: NothingIsLeft
) -> None:
    async with websocket(doors.app, f"session_id={session}") as socket:
        await socket.hear()
        doors.delete(session)
        await doors.watch()
        doors.database.away = 1
        assert await socket.closed() == 1013
        await socket.connection.ended()
    await nothing_is_left()


async def test_a_socket_is_closed_once_though_all_its_streams_can_not_go_on(
    doors: Doors, session: SessionId, nothing_is_left: NothingIsLeft
) -> None:
    other = await doors.session("session_2")
    async with websocket(doors.app, f"session_id={session}") as socket:
        await socket.hear()
        await socket.ask({"type": "follow", "session_id": other})
        for deleted in (session, other):
            doors.delete(deleted)
        await doors.watch()
        doors.database.away = 2
        assert await socket.closed() == 1013
        await socket.connection.ended()
    del socket
    await nothing_is_left()


# Going


async def test_a_client_that_leaves_leaves_nothing_behind(
    doors: Doors, session: SessionId, nothing_is_left: NothingIsLeft
) -> None:
    other = await doors.session("session_2")
    async with websocket(doors.app, f"session_id={session}") as socket:
        await socket.hear()
        await socket.ask({"type": "follow", "session_id": other})
        assert doors.stream.subscribed == len(list(doors.followers)) == 2
        socket.leave()
        await socket.connection.ended()
        await nothing_is_left()


@pytest.mark.parametrize("messages", [1, 2, 3, 4])
async def test_a_client_that_is_gone_in_the_middle_of_an_answer_leaves_nothing_behind(
    doors: Doors, session: SessionId, nothing_is_left: NothingIsLeft, messages: int
) -> None:
    query = f"session_id={session}"
    async with websocket(doors.app, query, leaves_after=messages) as socket:
        await doors.answered(session)
        socket.leave()
        await socket.connection.ended()
        await nothing_is_left()


@pytest.mark.parametrize("messages", [1, 2])
async def test_a_client_that_is_gone_when_it_is_refused_leaves_nothing_behind(
    doors: Doors, nothing_is_left: NothingIsLeft, messages: int
) -> None:
    async with websocket(doors.app, "session_id=none", leaves_after=messages) as socket:
        with contextlib.suppress(OSError):  # which is then the server's to handle
            await socket.connection.ended()
        await nothing_is_left()


async def test_what_a_client_sent_before_it_left_is_answered(
    doors: Doors, session: SessionId, nothing_is_left: NothingIsLeft
) -> None:
    async with websocket(doors.app, f"session_id={session}") as socket:
        await socket.hear()
        socket.say("why?")
        socket.leave()
        await socket.connection.ended()
        await nothing_is_left()
    assert contents(doors) == ["why?"]
    assert len(doors.queue.requests) == 1


async def test_an_event_for_a_client_that_has_left_harms_nobody(
    doors: Doors, session: SessionId, nothing_is_left: NothingIsLeft
) -> None:
    async with (
        websocket(doors.app, f"session_id={session}") as leaving,
        websocket(doors.app, f"session_id={session}") as staying,
    ):
        await leaving.hear()
        await staying.hear()
        leaving.leave()
        await doors.answered(session)
        assert told(await staying.hear_many(4))[-1] == ("1-3", "done")
        await leaving.connection.ended()
        staying.leave()
        await staying.connection.ended()
        await nothing_is_left()


async def test_a_frame_is_read_as_it_was_written(doors: Doors, session: SessionId) -> None:
    said = 'snow ☃, face 😀, "quote", \\ and \u2028 line'
    async with websocket(doors.app, f"session_id={session}") as socket:
        await socket.hear()
        accepted = await socket.ask({"type": "send", "message": said})
        await doors.answer(accepted["generation_id"])
        start = await socket.hear()
    assert contents(doors)[0] == start["message"] == said


async def test_who_unfollows_is_told_up_to_where_it_was_shown(
    doors: Doors, session: SessionId
) -> None:
    """Not up to where the server had read for it: from there on it would miss the rest."""
    await doors.answered(session)
    query = f"session_id={session}&last_event_id=0-0"
    async with websocket(doors.app, query, stalls_after=4) as socket:
        await socket.connection.stalled.wait()
        socket.say({"type": "unfollow", "session_id": session})
        await socket.hear()
        shown = await socket.hear_many(2)
        socket.connection.reading.set()
        assert await socket.hear() == {
            "type": "unfollowed",
            "session_id": session,
            "last_event_id": shown[-1]["id"],
        }


async def test_resuming_is_following_and_has_the_same_limit(
    doors: Doors, session: SessionId
) -> None:
    async with websocket(doors.app, f"session_id={session}") as socket:
        await socket.hear()
        for number in range(MAX_FOLLOWED):
            other = await doors.session(f"session_more_{number}")
            socket.say({"type": "resume", "session_id": other, "last_event_id": "0-0"})
        assert (await socket.hear())["error"]["code"] == "invalid_request"


async def test_a_socket_that_is_cut_because_nobody_reads_it_is_no_fault(
    doors: Doors, session: SessionId
) -> None:
    async with websocket(doors.app, f"session_id={session}", stalls_after=2) as socket:
        await socket.hear()
        socket.say({"type": "ping"})
        await socket.connection.stalled.wait()
        await socket.connection.cut()
    assert doors.stream.subscribed == len(list(doors.followers)) == 0
