"""Streams and sockets: who may come in by which credential, and what ends with it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import pytest

from domain.access import Caller
from domain.errors import DatabaseUnavailable
from domain.identifiers import SessionId
from domain.secret import Secret
from interface.heartbeats import HEARTBEAT_SECONDS
from tests.builders import add_api_token, add_question, add_session, sign_in
from tests.interface.clients import EventSource, Json, ask, bearer, event_source, websocket
from tests.interface.conftest import NothingIsLeft
from tests.interface.doors import Doors
from tests.operator import delete_user


@dataclass(frozen=True)
class Ada:
    caller: Caller
    token: Secret
    session: SessionId


@pytest.fixture
def doors(locked: Doors) -> Doors:
    """Here nobody comes in without credentials; it is what nothing may be left behind in."""
    return locked


@pytest.fixture
async def ada(locked: Doors) -> Ada:
    caller, token = await locked.sign_in("ada")
    return Ada(caller, token, await add_session(locked.database, caller.user, "session_of_ada"))


async def ticket_of(doors: Doors, caller: Caller, text: str = "a-ticket", seconds: int = 60) -> str:
    """The query with which it is used."""
    async with doors.database() as work:
        await work.tickets.add(Secret(text).digest, caller, seconds)
        await work.commit()
    return f"ticket={text}"


async def assert_stays(stream: EventSource) -> None:
    assert stream.status == 200
    assert await stream.block() == "retry: 1000"
    assert await stream.block() == ":"


async def assert_goes_on(doors: Doors, stream: EventSource) -> None:
    for _ in range(HEARTBEAT_SECONDS):
        await doors.heartbeats.beat()
    assert await stream.block() == ":"


# Coming in


async def test_a_ticket_lets_one_stream_in(locked: Doors, ada: Ada) -> None:
    query = await ticket_of(locked, ada.caller)
    async with event_source(locked.app, f"/sse/{ada.session}", query) as stream:
        await assert_stays(stream)
    async with event_source(locked.app, f"/sse/{ada.session}", query) as stream:
        assert stream.status == 401
        assert 'error="invalid_token"' in stream.headers["www-authenticate"]


async def test_a_ticket_lets_one_socket_in(locked: Doors, ada: Ada) -> None:
    query = f"session_id={ada.session}&{await ticket_of(locked, ada.caller)}"
    async with websocket(locked.app, query) as socket:
        assert (await socket.hear())["session_id"] == ada.session
    async with websocket(locked.app, query) as socket:
        assert (await socket.hear())["error"]["code"] == "invalid_token"
        assert await socket.closed() == 4401


async def test_an_old_ticket_lets_nobody_in(locked: Doors, ada: Ada) -> None:
    """T53, as are the tests around it."""
    query = await ticket_of(locked, ada.caller, seconds=0)
    async with event_source(locked.app, f"/sse/{ada.session}", query) as stream:
        assert stream.status == 401
    async with websocket(locked.app, f"session_id={ada.session}&{query}") as socket:
        assert (await socket.hear())["error"]["code"] == "invalid_token"
        assert await socket.closed() == 4401


@pytest.mark.parametrize("ticket", ["none", "%00", "%ED%A0%80", "x" * 8_000, "sk-adas"])
async def test_what_is_no_ticket_lets_nobody_in(locked: Doors, ada: Ada, ticket: str) -> None:
    await add_api_token(locked.database, ada.caller.user, "sk-adas")
    async with event_source(locked.app, f"/sse/{ada.session}", f"ticket={ticket}") as stream:
        assert stream.status == 401


async def test_no_token_is_taken_in_the_place_of_a_ticket(locked: Doors, ada: Ada) -> None:
    """An address is written down in many places."""
    for name in ("ticket", "token", "access_token"):
        query = f"{name}={ada.token.reveal()}"
        async with event_source(locked.app, f"/sse/{ada.session}", query) as stream:
            assert stream.status == 401


async def test_the_header_counts_before_the_ticket_which_stays_good(
    locked: Doors, ada: Ada
) -> None:
    query = await ticket_of(locked, ada.caller)
    path = f"/sse/{ada.session}"
    async with event_source(locked.app, path, query, bearer(Secret("garbage"))) as stream:
        assert stream.status == 401
    async with event_source(locked.app, path, query, bearer(ada.token)) as stream:
        await assert_stays(stream)
    async with event_source(locked.app, path, query) as stream:
        await assert_stays(stream)


async def test_a_ticket_opens_the_sessions_of_its_maker_only(locked: Doors, ada: Ada) -> None:
    bob, _ = await locked.sign_in("bob")
    query = await ticket_of(locked, bob)
    async with event_source(locked.app, f"/sse/{ada.session}", query) as stream:
        assert stream.status == 404
    query = f"session_id={ada.session}&{await ticket_of(locked, bob)}"
    async with websocket(locked.app, query) as socket:
        await socket.hear()
        assert await socket.closed() == 4404


async def test_an_open_door_takes_tickets_too_and_only_good_ones(locked: Doors) -> None:
    open_doors = Doors()
    local = Caller(await open_doors.local())
    session = await open_doors.session()
    query = await ticket_of(open_doors, local)
    for status in (200, 401):
        async with event_source(open_doors.app, f"/sse/{session}", query) as stream:
            assert stream.status == status
    open_doors.stream.close()


async def test_who_is_refused_leaves_nothing_behind(
    locked: Doors, ada: Ada, nothing_is_left: NothingIsLeft
) -> None:
    async with websocket(locked.app, f"session_id={ada.session}") as socket:
        assert (await socket.hear())["error"]["code"] == "not_signed_in"
        assert await socket.closed() == 4401
        await socket.connection.ended()
    async with event_source(locked.app, f"/sse/{ada.session}") as stream:
        assert stream.status == 401
        await stream.connection.ended()
    await nothing_is_left()


# Having to go


End = Callable[[Doors, Caller], Awaitable[None]]


async def log_out(doors: Doors, caller: Caller) -> None:
    await doors.log_out(caller.user)


async def delete(doors: Doors, caller: Caller) -> None:
    await delete_user(doors.database, caller.user)


async def delete_token(doors: Doors, caller: Caller) -> None:
    assert caller.api_token is not None
    async with doors.database() as work:
        assert await work.api_tokens.delete(caller.user, caller.api_token)
        await work.commit()


Enter = Callable[[Doors, Ada], Awaitable[tuple[Caller, str, Mapping[str, str]]]]


async def by_header(_: Doors, ada: Ada) -> tuple[Caller, str, Mapping[str, str]]:
    return ada.caller, "", bearer(ada.token)


async def by_ticket(doors: Doors, ada: Ada) -> tuple[Caller, str, Mapping[str, str]]:
    return ada.caller, await ticket_of(doors, ada.caller), {}


async def by_api_token(doors: Doors, ada: Ada) -> tuple[Caller, str, Mapping[str, str]]:
    token = await add_api_token(doors.database, ada.caller.user, "sk-adas")
    return Caller(ada.caller.user, api_token=token.id), "", bearer(Secret("sk-adas"))


async def by_ticket_of_api_token(doors: Doors, ada: Ada) -> tuple[Caller, str, Mapping[str, str]]:
    token = await add_api_token(doors.database, ada.caller.user, "sk-adas")
    caller = Caller(ada.caller.user, api_token=token.id)
    return caller, await ticket_of(doors, caller), {}


WAYS = [
    (by_header, log_out),
    (by_header, delete),
    (by_ticket, log_out),
    (by_ticket, delete),
    (by_api_token, delete_token),
    (by_api_token, delete),
    (by_ticket_of_api_token, delete_token),
]


@pytest.mark.parametrize(("enter", "end"), WAYS)
async def test_a_stream_ends_with_the_credential_that_opened_it(
    locked: Doors, ada: Ada, enter: Enter, end: End, nothing_is_left: NothingIsLeft
) -> None:
    caller, query, headers = await enter(locked, ada)
    async with event_source(locked.app, f"/sse/{ada.session}", query, headers) as stream:
        await assert_stays(stream)
        await locked.recheck()
        await assert_goes_on(locked, stream)
        await end(locked, caller)
        await locked.recheck()
        assert await stream.rest() == []
        await stream.connection.ended()
    await nothing_is_left()
    async with event_source(locked.app, f"/sse/{ada.session}", query, headers) as stream:
        assert stream.status == 401


@pytest.mark.parametrize(("enter", "end"), WAYS)
async def test_a_socket_closes_with_the_credential_that_opened_it(
    locked: Doors, ada: Ada, enter: Enter, end: End, nothing_is_left: NothingIsLeft
) -> None:
    caller, query, headers = await enter(locked, ada)
    query = f"session_id={ada.session}&{query}"
    async with websocket(locked.app, query, headers) as socket:
        await socket.hear()
        await locked.recheck()
        assert await socket.ask({"type": "ping"}) == {"type": "pong"}
        await end(locked, caller)
        await locked.recheck()
        assert (await socket.hear())["error"]["code"] == "invalid_token"
        assert await socket.closed() == 4401
        await socket.connection.ended()
    await nothing_is_left()


async def test_a_stream_of_one_generation_ends_too(locked: Doors, ada: Ada) -> None:
    generation_id = await add_question(locked.database, ada.caller.user, ada.session)
    path = f"/api/chat/generations/{generation_id}/stream"
    async with event_source(locked.app, path, headers=bearer(ada.token)) as stream:
        await assert_stays(stream)
        await locked.log_out(ada.caller.user)
        await locked.recheck()
        assert await stream.rest() == []
        await stream.connection.ended()


WAITED_FOR: dict[str, Json] = {
    "/api/chat/message": {"message": "why?"},
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "why?"}]},
    "/v1/responses": {"input": "why?"},
}


@pytest.mark.parametrize("path", WAITED_FOR)
@pytest.mark.parametrize(("enter", "end"), [(by_header, log_out), (by_api_token, delete_token)])
async def test_who_waits_for_a_whole_answer_is_not_told_it(
    locked: Doors, ada: Ada, path: str, enter: Enter, end: End, nothing_is_left: NothingIsLeft
) -> None:
    """It goes on, and is there for who signs in again."""
    caller, _, headers = await enter(locked, ada)
    asking = asyncio.create_task(ask(locked.app, "POST", path, "", headers, WAITED_FOR[path]))
    while caller not in locked.visits.by_caller:  # it is accepted, and waits
        assert not asking.done()
        await asyncio.sleep(0)
    await locked.recheck()
    assert not asking.done()
    await end(locked, caller)
    await locked.recheck()
    reply = await asking
    assert reply.status == 401
    assert 'error="invalid_token"' in reply.headers["www-authenticate"]
    await nothing_is_left()


async def test_a_socket_that_follows_nothing_closes_too(
    locked: Doors, ada: Ada, nothing_is_left: NothingIsLeft
) -> None:
    query = f"session_id={ada.session}"
    async with websocket(locked.app, query, bearer(ada.token)) as socket:
        await socket.hear()
        await socket.ask({"type": "unfollow", "session_id": ada.session})
        assert list(locked.followers) == []
        await locked.log_out(ada.caller.user)
        await locked.recheck()
        await socket.hear()
        assert await socket.closed() == 4401
        await socket.connection.ended()
    await nothing_is_left()


async def test_what_is_sent_after_a_log_out_was_noticed_is_not_obeyed(
    locked: Doors, ada: Ada
) -> None:
    """Also if the client does not read, so that the close has not gone out."""
    query = f"session_id={ada.session}"
    async with websocket(locked.app, query, bearer(ada.token), stalls_after=2) as socket:
        await socket.hear()
        await locked.log_out(ada.caller.user)
        await locked.recheck()
        await socket.connection.stalled.wait()
        socket.say("why?")
        socket.leave()
        await socket.connection.ended()
    assert locked.database.state.messages == []
    assert locked.queue.requests == []


async def test_a_client_that_is_gone_when_it_is_told_to_go_is_no_fault(
    locked: Doors, ada: Ada, nothing_is_left: NothingIsLeft
) -> None:
    query = f"session_id={ada.session}"
    async with websocket(locked.app, query, bearer(ada.token), leaves_after=2) as socket:
        await socket.hear()
        await locked.log_out(ada.caller.user)
        await locked.recheck()
        socket.leave()
        await socket.connection.ended()
    await nothing_is_left()


async def test_other_sign_ins_and_other_users_stay(locked: Doors, ada: Ada) -> None:
    bob, bobs = await locked.sign_in("bob")
    session = await add_session(locked.database, bob.user, "session_of_bob")
    await add_api_token(locked.database, ada.caller.user, "sk-adas")
    path, mine = f"/sse/{ada.session}", bearer(Secret("sk-adas"))
    async with (
        event_source(locked.app, path, headers=mine) as one,
        websocket(locked.app, f"session_id={session}", bearer(bobs)) as two,
    ):
        await assert_stays(one)
        await two.hear()
        await locked.log_out(ada.caller.user)
        await locked.recheck()
        await assert_goes_on(locked, one)
        assert await two.ask({"type": "ping"}) == {"type": "pong"}


async def test_a_stream_outlives_its_access_token(locked: Doors, ada: Ada) -> None:
    """Not its sign-in: the page would have to come back each quarter of an hour."""
    again = await sign_in(locked.database, ada.caller.user, "signin_again")
    headers = bearer(locked.tokens.access(again))
    async with event_source(locked.app, f"/sse/{ada.session}", headers=headers) as stream:
        await assert_stays(stream)
        await locked.recheck()
        await assert_goes_on(locked, stream)
        locked.database.state.sign_ins.clear()
        await locked.recheck()
        assert await stream.rest() == []


async def test_everybody_stays_while_the_database_is_away(locked: Doors, ada: Ada) -> None:
    headers = bearer(ada.token)
    async with event_source(locked.app, f"/sse/{ada.session}", headers=headers) as stream:
        await assert_stays(stream)
        locked.database.away = 1
        with pytest.raises(DatabaseUnavailable):
            await locked.recheck()
        await assert_goes_on(locked, stream)
