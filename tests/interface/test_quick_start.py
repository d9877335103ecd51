"""The quick-start routes: by a name and a message in the address, told as plain pieces."""

import json
import re
from base64 import b64encode
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

import httpx
import pytest

from application.events import Chunk, Reset, Snapshot, Start
from application.ports import Piece, TextPiece
from domain.errors import ModelFailed
from domain.identifiers import GenerationId, MessageId, SessionId
from domain.message import MAX_MESSAGE_CHARACTERS
from domain.prompt import Prompt
from domain.user import GUEST_CHARACTERS, LOCAL_USERNAME
from interface.dialects.contents import Place
from interface.dialects.told import Mark
from interface.heartbeats import HEARTBEAT_SECONDS
from resources import read_plain_page
from tests.builders import add_session, add_user, claim, completed, finish
from tests.interface.clients import (
    EventSource,
    Json,
    ask,
    assert_problem,
    bearer,
    event_source,
)
from tests.interface.conftest import NothingIsLeft, client_of
from tests.interface.doors import Doors, Running
from tests.interface.test_sending import Cutting
from tests.interface.test_sessions import pointers
from tests.operator import delete_user
from wiring.given import Pages

both = pytest.mark.parametrize("prefix", ["", "/api"])


@dataclass(frozen=True)
class Block:
    """One of a stream: its id, and what it says, if anything."""

    id: str | None
    said: Json | None


async def next_block(stream: EventSource) -> Block | None:
    """Past all comments; None at the end."""
    while (block := await stream.block()) == ":":
        pass
    if block is None:
        return None
    fields = dict(line.split(": ", 1) for line in block.split("\n"))
    assert fields.keys() <= {"id", "data"}, "`onmessage` of an EventSource would not see it"
    return Block(fields.get("id"), json.loads(fields["data"]) if "data" in fields else None)


async def opened(stream: EventSource) -> Block:
    """The first words: when to come back, and where to go on."""
    assert stream.status == 200, await stream.connection.told()
    assert await stream.block() == "retry: 1000"
    block = await next_block(stream)
    assert block is not None
    assert block.said is None
    return block


async def rest(stream: EventSource) -> Sequence[Block]:
    blocks = []
    while (block := await next_block(stream)) is not None:
        blocks.append(block)
    return blocks


def said(blocks: Sequence[Block]) -> Sequence[Json | None]:
    return [block.said for block in blocks]


def stream_of(
    doors: Doors, query: str, cursor: str | None = None, path: str = "/chat/stream"
) -> Any:
    return event_source(doors.app, path, query, {"Last-Event-ID": cursor} if cursor else {})


async def asked(doors: Doors, query: str = "message=why?") -> tuple[GenerationId, str]:
    """A message whose sender was cut off right after its acceptance, and the id of that."""
    async with stream_of(doors, query) as stream:
        block = await opened(stream)
    assert block.id is not None
    return await doors.queue.heard(), block.id


async def begun(doors: Doors, generation_id: GenerationId) -> Running:
    generation = await claim(doors.database, generation_id)
    assert generation is not None
    writer = doors.stream.writer(generation.session_id, generation.fence)
    writer.write(Start(generation_id, 1, "scripted", "why?"))
    return Running(generation_id, writer)


async def goes_on(running: Running, *texts: str) -> None:
    for text in texts:
        running.writer.write(Chunk(running.generation_id, text))
        await running.writer.flush()


def questions(doors: Doors) -> list[str]:
    return [each.content for each in doors.database.state.messages if each.role.value == "user"]


def usernames(doors: Doors) -> list[str]:
    return [user.username for user in doors.database.state.users]


DONE = {"content": "", "done": True}


# Asking


@both
async def test_a_message_is_asked_and_answered_in_pieces(doors: Doors, prefix: str) -> None:
    session = await doors.session()
    path, query = f"{prefix}/chat/stream", f"session_id={session}&message=why%3F"
    async with stream_of(doors, query, path=path) as stream:
        generation_id = await doors.queue.heard()
        assert stream.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert stream.headers["cache-control"] == "no-store"
        assert stream.headers["x-session-id"] == session
        assert stream.headers["x-generation-id"] == generation_id
        first = await opened(stream)
        assert first.id == str(Place(generation_id))
        await doors.answer(generation_id)
        blocks = await rest(stream)
        await stream.connection.ended()
    assert said(blocks) == [{"content": "Hello"}, {"content": " there"}, DONE]
    assert len({first.id, *(block.id for block in blocks)}) == 4
    assert questions(doors) == ["why?"]


async def test_the_last_word_is_to_the_letter(doors: Doors) -> None:
    async with stream_of(doors, "message=why?") as stream:
        await doors.answer(await doors.queue.heard())
        blocks = [block async for block in all_blocks(stream)]
    assert blocks[-1].split("\n")[1] == 'data: {"content":"","done":true}'
    assert blocks[-2].split("\n")[1] == 'data: {"content":" there"}'


async def all_blocks(stream: EventSource) -> AsyncGenerator[str, None]:
    while (block := await stream.block()) is not None:
        yield block


async def test_the_id_comes_with_the_first_words(doors: Doors) -> None:
    """In one write, so that nobody hears the one without the other."""
    async with stream_of(doors, "message=why?") as stream:
        first = await stream.connection.told()
        assert re.fullmatch(rb"retry: 1000\n\nid: gen_\S+\n\n", first["body"])


async def test_a_message_without_a_session_makes_one(doors: Doors) -> None:
    async with stream_of(doors, "message=why?") as stream:
        made = stream.headers["x-session-id"]
    async with stream_of(doors, f"message=and+then?&session_id={made}") as stream:
        assert stream.headers["x-session-id"] == made
    assert list(doors.database.state.sessions) == [made]


async def test_an_answer_that_is_stopped_is_done(doors: Doors, http: httpx.AsyncClient) -> None:
    async with stream_of(doors, "message=why?") as stream:
        generation_id = await doors.queue.heard()
        await opened(stream)
        await http.post(f"/api/chat/generations/{generation_id}/cancel")
        assert said(await rest(stream)) == [DONE]


async def breaks_off(_: Prompt) -> AsyncGenerator[Piece, None]:
    yield TextPiece("Hel")
    raise ModelFailed("It broke off.")


async def test_an_answer_that_fails_says_why_and_is_done(doors: Doors) -> None:
    doors.model.script = breaks_off
    async with stream_of(doors, "message=why?") as stream:
        generation_id = await doors.queue.heard()
        await opened(stream)
        await doors.answer(generation_id)
        first, last = said(await rest(stream))
    assert first == {"content": "Hel"}
    assert last is not None
    assert last.keys() == {"error", "done"}
    assert last["done"] is True
    assert (last["error"]["code"], last["error"]["status"]) == ("upstream_error", 502)
    assert last["error"]["detail"] == "It broke off."
    assert last["error"]["instance"] == f"/api/chat/generations/{generation_id}"


async def test_an_answer_whose_session_is_deleted_is_done_for(
    doors: Doors, http: httpx.AsyncClient
) -> None:
    async with stream_of(doors, "message=why?") as stream:
        await opened(stream)
        await http.delete(f"/api/chat/sessions/{stream.headers['x-session-id']}")
        for _ in range(3):
            await doors.watch()
        (last,) = said(await rest(stream))
    assert last is not None
    assert (last["error"]["code"], last["done"]) == ("session_not_found", True)


async def test_a_silent_stream_is_heard_to_be_alive(doors: Doors) -> None:
    async with stream_of(doors, "message=why?") as stream:
        await opened(stream)
        assert await stream.block() == ":"
        for _ in range(HEARTBEAT_SECONDS):
            await doors.heartbeats.beat()
        assert await stream.block() == ":"


async def test_who_leaves_stops_no_answer_and_leaves_nothing_behind(
    doors: Doors, nothing_is_left: NothingIsLeft
) -> None:
    async with stream_of(doors, "message=why?") as stream:
        await opened(stream)
        stream.leave()
        await stream.connection.ended()
    await nothing_is_left()
    await doors.answer(await doors.queue.heard())


# Roles


async def told_to_the_model(doors: Doors, query: str) -> str:
    async with stream_of(doors, query) as stream:
        await opened(stream)
        await doors.answer(await doors.queue.heard())
    return doors.model.prompts[-1].messages[0].content


async def test_a_role_is_a_persona(doors: Doors) -> None:
    doors.personas.personas |= {"assistant": "Assist.", "owl": "Hoo."}
    assert await told_to_the_model(doors, "message=why?&role=owl") == "Hoo."
    assert await told_to_the_model(doors, "message=why?") == "Assist."


async def test_without_an_assistant_the_default_persona_answers(
    doors: Doors, http: httpx.AsyncClient
) -> None:
    await http.put("/api/personas/default", json={"name": "teacher"})
    assert await told_to_the_model(doors, "message=why?") == "Teach."


async def test_an_unknown_role_is_refused_before_anything_is_stored(
    doors: Doors, http: httpx.AsyncClient
) -> None:
    await doors.local()
    before = doors.database.state
    query = {"message": "why?", "role": "none", "user_id": "ada"}
    assert_problem(await http.get("/chat/stream", params=query), 404, "persona_not_found")
    assert doors.database.state == before


@both
async def test_roles_are_listed_with_what_the_model_is_told(
    doors: Doors, http: httpx.AsyncClient, prefix: str
) -> None:
    reply = await http.get(f"{prefix}/roles")
    assert reply.status_code == 200
    assert reply.json() == {"roles": {"teacher": "Teach."}, "default_role": "teacher"}
    doors.personas.personas["assistant"] = "Assist."
    assert (await http.get(f"{prefix}/roles")).json()["default_role"] == "assistant"
    doors.personas.personas.clear()
    assert (await http.get(f"{prefix}/roles")).json() == {"roles": {}, "default_role": None}


# What is refused


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("", "/message"),
        ("message=", "/message"),
        ("message=+%20", "/message"),
        ("message=nul%00", "/message"),
        (f"message={'a' * (MAX_MESSAGE_CHARACTERS + 1)}", "/message"),
        ("message=why?&user_id=", "/user_id"),
        (f"message=why?&user_id={'a' * GUEST_CHARACTERS.stop}", "/user_id"),
        (f"message=why?&user_id={'a' * 1_000_000}", "/user_id"),
        ("message=why?&user_id=a%00", "/user_id"),
        ("message=why?&user_id=a%0Ab", "/user_id"),
        ("message=why?&user_id=%20a", "/user_id"),
        ("message=why?&user_id=+", "/user_id"),
        ("message=why?&user_id=a%E2%80%AEb", "/user_id"),
        ("message=why?&idempotency_key=", "/idempotency_key"),
        ("message=why?&idempotency_key=%C3%A9", "/idempotency_key"),
        (f"message=why?&idempotency_key={'a' * 65}", "/idempotency_key"),
    ],
)
async def test_a_bad_question_is_pointed_at_and_stores_nothing(
    doors: Doors, http: httpx.AsyncClient, query: str, pointer: str
) -> None:
    await doors.local()
    before = doors.database.state
    reply = await ask(doors.app, "GET", "/chat/stream", query, {}, b"")
    assert reply.status == 422
    shown = reply.json()
    assert shown["code"] == "invalid_request"
    assert [error["pointer"] for error in shown["errors"]] == [pointer]
    assert "aaaa" not in reply.text
    assert doors.database.state == before


async def test_a_bad_key_in_the_header_is_pointed_at(http: httpx.AsyncClient) -> None:
    reply = await http.get(
        "/chat/stream", params={"message": "why?"}, headers={"Idempotency-Key": "a b"}
    )
    assert_problem(reply, 422, "invalid_request", flaws=True)
    assert pointers(reply) == ["/Idempotency-Key"]


@pytest.mark.parametrize("user_id", ["", "&user_id=eve"])
async def test_a_session_of_another_or_none_is_not_found_and_no_guest_is_made(
    doors: Doors, user_id: str
) -> None:
    await doors.local()
    foreign = await doors.foreign_session()
    before = doors.database.state
    for session_id in (foreign, "none", "", "%00", "a" * 51):
        query = f"message=why?&session_id={session_id}{user_id}"
        reply = await ask(doors.app, "GET", "/chat/stream", query, {}, b"")
        assert (reply.status, reply.json()["code"]) == (404, "session_not_found")
    assert doors.database.state == before
    assert doors.queue.requests == []


async def test_a_full_session_is_busy(doors: Doors, http: httpx.AsyncClient) -> None:
    session = await doors.session()
    for _ in range(9):
        await doors.ask(session)
    reply = await http.get("/chat/stream", params={"message": "why?", "session_id": session})
    assert_problem(reply, 409, "session_busy")


@both
async def test_head_sends_no_message(doors: Doors, prefix: str) -> None:
    await doors.local()
    before = doors.database.state
    path = f"{prefix}/chat/stream"
    query = "message=why?&user_id=ada"
    async with event_source(doors.app, path, query, method="HEAD") as stream:
        assert stream.status == 200
        assert stream.headers["content-type"].startswith("text/event-stream")
        assert await stream.block() is None
        await stream.connection.ended()
    assert doors.database.state == before
    assert doors.queue.requests == []
    refused = await ask(doors.app, "HEAD", path, "message=", {}, b"")
    assert refused.status == 422


async def test_other_methods_are_told_which_there_are(http: httpx.AsyncClient) -> None:
    for method, path in (
        ("GET", "/chat/start"),
        ("POST", "/chat/stream"),
        ("POST", "/chat/history"),
        ("GET", "/chat/history/session_1"),
        ("POST", "/roles"),
        ("POST", "/chat"),
    ):
        assert_problem(await http.request(method, path), 405, "method_not_allowed")


# Coming back


async def test_who_comes_back_hears_the_rest_and_asks_nothing_again(doors: Doors) -> None:
    async with stream_of(doors, "message=why?") as stream:
        await opened(stream)
        running = await begun(doors, await doors.queue.heard())
        await goes_on(running, "So ", "far")
        heard = [await next_block(stream) for _ in range(2)]
    assert [block and block.said for block in heard] == [{"content": "So "}, {"content": "far"}]
    first, second = (block.id for block in heard if block is not None)
    await goes_on(running, ", so ")
    async with (
        stream_of(doors, "message=why?", first) as from_first,
        stream_of(doors, "message=why?", second) as from_second,
    ):
        assert (await opened(from_first)).id == first
        assert (await opened(from_second)).id == second
        for stream, missed in ((from_first, "far, so "), (from_second, ", so ")):
            block = await next_block(stream)
            assert block is not None
            assert block.said == {"content": missed}
        await goes_on(running, "good")
        generation_id = running.generation_id
        generation = doors.database.state.rows[generation_id].generation
        await finish(doors.database, generation, completed("So far, so good", 5))
        for stream in (from_first, from_second):
            await doors.watch()
            assert said(await rest(stream)) == [{"content": "good"}, DONE]
    assert questions(doors) == ["why?"]


async def test_who_was_cut_off_before_the_first_piece_hears_all_of_it(doors: Doors) -> None:
    generation_id, cursor = await asked(doors)
    await doors.answer(generation_id)
    async with stream_of(doors, "message=why?", cursor) as stream:
        await opened(stream)
        assert said(await rest(stream)) == [{"content": "Hello there"}, DONE]
    assert questions(doors) == ["why?"]


async def test_a_cursor_may_be_in_the_address(doors: Doors) -> None:
    generation_id, cursor = await asked(doors)
    await doors.answer(generation_id)
    async with stream_of(doors, f"message=why?&last_event_id={cursor}") as stream:
        await opened(stream)
        assert said(await rest(stream)) == [{"content": "Hello there"}, DONE]
    assert questions(doors) == ["why?"]


async def test_who_heard_all_but_the_end_hears_the_end(doors: Doors) -> None:
    async with stream_of(doors, "message=why?") as stream:
        await doors.answer(await doors.queue.heard())
        await opened(stream)
        blocks = await rest(stream)
    async with stream_of(doors, "message=why?", blocks[-2].id) as stream:
        await opened(stream)
        assert said(await rest(stream)) == [DONE]


async def test_who_heard_the_end_is_told_not_to_come_back(doors: Doors) -> None:
    """By 204: a browser's EventSource comes back whenever a stream ends, unless it is that."""
    async with stream_of(doors, "message=why?") as stream:
        await doors.answer(await doors.queue.heard())
        await opened(stream)
        blocks = await rest(stream)
    async with stream_of(doors, "message=why?", blocks[-1].id) as stream:
        assert stream.status == 204
        assert await stream.block() is None
    assert questions(doors) == ["why?"]


async def test_what_is_no_cursor_of_ones_own_sends_nothing_and_shows_nothing(doors: Doors) -> None:
    await doors.local()
    foreign = await doors.foreign_question()
    before = doors.database.state
    places = [
        "3-5",
        "x",
        "gen_1",
        "gen_1:",
        ":end",
        "gen_1:3-5",
        str(Place(GenerationId("gen_none"))),
        str(Place(foreign)),
        str(Place(foreign, None)),
        f"{foreign}:end:end",
        "a" * 10_000,
    ]
    for cursor in places:
        for query in ("message=why?", "message=why?&user_id=ada"):
            headers = {"Last-Event-ID": cursor}
            reply = await ask(doors.app, "GET", "/chat/stream", query, headers, b"")
            assert (reply.status, reply.json()["code"]) == (404, "generation_not_found"), cursor
    assert doors.database.state == before
    assert doors.queue.requests == []


async def test_an_answer_that_is_begun_again_is_not_told_twice(doors: Doors) -> None:
    async with stream_of(doors, "message=why?") as stream:
        await opened(stream)
        running = await begun(doors, await doors.queue.heard())
        await goes_on(running, "So far")
        block = await next_block(stream)
        running.writer.write(Reset(running.generation_id, 2, "scripted", "why?", "worker_lost"))
        await goes_on(running, "So", " far, so good")
        again = await next_block(stream)
        assert block is not None
        assert again is not None
        assert (block.said, again.said) == ({"content": "So far"}, {"content": ", so good"})
        async with stream_of(doors, "message=why?", block.id) as elsewhere:
            await opened(elsewhere)
            missed = await next_block(elsewhere)
            assert missed is not None
            assert missed.said == {"content": ", so good"}
            assert missed.id == again.id


async def test_a_snapshot_tells_what_is_beyond_what_was_told(doors: Doors) -> None:
    async with stream_of(doors, "message=why?") as stream:
        await opened(stream)
        running = await begun(doors, await doors.queue.heard())
        await goes_on(running, "So far")
        await next_block(stream)
        running.writer.write(Snapshot(running.generation_id, 1, "So far, so good", recovered=False))
        await running.writer.flush()
        block = await next_block(stream)
        assert block is not None
        assert block.said == {"content": ", so good"}


@pytest.mark.parametrize("later", [False, True], ids=["at once", "by who comes back"])
async def test_an_answer_that_comes_out_differently_is_said_to_and_not_come_back_for(
    doors: Doors, later: bool
) -> None:
    heard: Sequence[Block] = ()
    async with stream_of(doors, "message=why?") as stream:
        await opened(stream)
        running = await begun(doors, await doors.queue.heard())
        await goes_on(running, "So far")
        block = await next_block(stream)
        assert block is not None
        again = Reset(running.generation_id, 2, "scripted", "why?", "worker_lost")
        if not later:
            running.writer.write(again)
            await goes_on(running, "Sad to say")
            heard = await rest(stream)
            await stream.connection.ended()
    if later:
        running.writer.write(again)
        await goes_on(running, "Sad to say")
        async with stream_of(doors, "message=why?", block.id) as stream:
            await opened(stream)
            heard = await rest(stream)
    (last,) = heard
    assert last.said is not None
    assert last.said.keys() == {"error", "done"}
    error = last.said["error"]
    assert (error["code"], error["status"]) == ("answer_restarted", 502)
    assert running.generation_id in error["detail"]
    async with stream_of(doors, "message=why?", last.id) as stream:
        assert stream.status == 204


def test_a_place_is_read_as_it_is_written() -> None:
    for place in (
        Place(GenerationId("gen_1")),
        Place(GenerationId("gen:1"), Mark(7, "001122")),
        Place(GenerationId("gen_1"), None),
    ):
        assert Place.parse(str(place)) == place


# Repeats


@pytest.mark.parametrize("by_header", [True, False])
async def test_a_repeat_under_a_key_asks_nothing_again(doors: Doors, by_header: bool) -> None:
    query = "message=why?&user_id=ada" + ("" if by_header else "&idempotency_key=once")
    headers = {"Idempotency-Key": "once"} if by_header else {}
    ids = []
    for _ in range(2):
        async with event_source(doors.app, "/chat/stream", query, headers) as stream:
            ids.append((await opened(stream)).id)
    assert ids[0] == ids[1]
    assert questions(doors) == ["why?"]
    other = query.replace("why?", "else")
    reply = await ask(doors.app, "GET", "/chat/stream", other, headers, b"")
    assert (reply.status, reply.json()["code"]) == (422, "idempotency_conflict")


async def test_guests_have_keys_of_their_own(doors: Doors) -> None:
    for name in ("ada", "bob"):
        await asked(doors, f"message=why?&user_id={name}&idempotency_key=once")
    assert questions(doors) == ["why?", "why?"]


# Starting


@both
@pytest.mark.parametrize("body", [b"", b"{}", b"\x00\xff", b'{"title": "mine"}'])
async def test_a_session_is_started_and_somebody_welcomed(
    doors: Doors, http: httpx.AsyncClient, prefix: str, body: bytes
) -> None:
    reply = await http.post(f"{prefix}/chat/start", content=body)
    assert reply.status_code == 200
    started = reply.json()
    assert started.keys() == {"session_id", "welcome_message"}
    assert started["welcome_message"]
    assert (await http.get(f"/api/chat/sessions/{started['session_id']}")).status_code == 200


async def test_a_body_beyond_the_limit_starts_nothing(
    doors: Doors, http: httpx.AsyncClient
) -> None:
    reply = await http.post("/chat/start?user_id=ada", content=bytes(1024 * 1024 + 1))
    assert_problem(reply, 413, "payload_too_large")
    assert doors.database.state.sessions == {}
    assert usernames(doors) == [LOCAL_USERNAME]


# Who is asking


async def start(http: httpx.AsyncClient, user_id: str | None, **more: Any) -> str:
    params = {} if user_id is None else {"user_id": user_id}
    reply = await http.post("/chat/start", params=params, **more)
    assert reply.status_code == 200, reply.text
    session_id: str = reply.json()["session_id"]
    return session_id


async def history_of(
    http: httpx.AsyncClient, session_id: str, user_id: str | None = None, **more: Any
) -> httpx.Response:
    params = {"session_id": session_id} | ({} if user_id is None else {"user_id": user_id})
    return await http.get("/chat/history", params=params, **more)


async def test_each_guest_has_things_of_their_own(doors: Doors, http: httpx.AsyncClient) -> None:
    of_ada, of_bob, of_local = [await start(http, name) for name in ("ada", "bob", None)]
    assert (await history_of(http, of_ada, "ada")).status_code == 200
    for session_id, name in ((of_ada, "bob"), (of_bob, "ada"), (of_ada, None), (of_local, "ada")):
        assert_problem(await history_of(http, session_id, name), 404, "session_not_found")
    assert await start(http, "ada") != of_ada
    assert len(usernames(doors)) == 3


@pytest.mark.parametrize("name", ["ada", LOCAL_USERNAME])
async def test_a_guest_is_nobody_who_has_an_account(
    doors: Doors, http: httpx.AsyncClient, name: str
) -> None:
    account = await add_user(doors.database, name)
    session = await add_session(doors.database, account, "session_of_account")
    assert_problem(await history_of(http, session, name), 404, "session_not_found")
    made = await start(http, name)
    assert doors.database.state.sessions[SessionId(made)].owner != account
    reply = await ask(
        doors.app,
        "GET",
        "/chat/stream",
        f"message=why?&session_id={session}&user_id={name}",
        {},
        b"",
    )
    assert reply.json()["code"] == "session_not_found"


async def test_nobody_can_register_as_a_guest(doors: Doors, http: httpx.AsyncClient) -> None:
    await start(http, "ada")
    (guest,) = [name for name in usernames(doors) if name != LOCAL_USERNAME]
    credentials = {"username": guest, "password": "correct horse"}
    assert_problem(
        await http.post("/api/auth/register", json=credentials), 422, "invalid_request", flaws=True
    )
    reply = await http.post("/api/auth/register", json={**credentials, "username": "ada"})
    assert reply.status_code == 201
    assert_problem(await http.post("/api/auth/login", json=credentials), 401, "invalid_credentials")


async def test_the_same_name_is_the_same_guest_however_it_was_typed(
    http: httpx.AsyncClient,
) -> None:
    session = await start(http, "Zo\u00eb L")
    assert (await history_of(http, session, "Zoe\u0308 L")).status_code == 200


@pytest.mark.parametrize(
    "name", ["a", "a" * (GUEST_CHARACTERS.stop - 1), "\u674e", "Ada L", "guest x"]
)
async def test_a_guest_may_be_called_many_things(
    doors: Doors, http: httpx.AsyncClient, name: str
) -> None:
    assert (await history_of(http, await start(http, name), name)).status_code == 200
    assert all(len(username) <= 50 for username in usernames(doors)), "what the column holds"


async def test_a_guest_whom_an_operator_has_deleted_does_not_come_in(
    doors: Doors, http: httpx.AsyncClient
) -> None:
    session = SessionId(await start(http, "ada"))
    await delete_user(doors.database, doors.database.state.sessions[session].owner)
    assert_problem(await http.post("/chat/start?user_id=ada"), 404, "user_not_found")
    assert_problem(await history_of(http, session, "ada"), 404, "session_not_found")


@pytest.mark.parametrize("required", [False, True])
async def test_who_is_signed_in_names_themselves_or_nobody(required: bool) -> None:
    doors = Doors(sign_in_required=required)
    caller, token = await doors.sign_in("ada")
    await add_user(doors.database, "bob")
    async with client_of(doors) as http:
        http.headers.update(bearer(token))
        session = SessionId(await start(http, "ada"))
        for made, name in ((session, "ada"), (SessionId(await start(http, None)), None)):
            assert doors.database.state.sessions[made].owner == caller.user
            assert (await history_of(http, made, name)).status_code == 200
        before = doors.database.state
        for name in ("bob", "eve", LOCAL_USERNAME, "guest ada", "Ada", "a" * 50):
            asking = {"user_id": name, "message": "why?", "session_id": session}
            for reply in (
                await http.post("/chat/start", params={"user_id": name}),
                await http.get("/chat/stream", params=asking),
                await http.get("/chat/stream", params={"user_id": name, "message": "why?"}),
                await http.get("/chat/stream", params=asking, headers={"Last-Event-ID": "x"}),
                await history_of(http, session, name),
                await http.delete(f"/chat/history/{session}", params={"user_id": name}),
            ):
                assert_problem(reply, 404, "user_not_found")
        for name in ("", "a" * 51, "a\x00"):
            reply = await http.post("/chat/start", params={"user_id": name})
            assert_problem(reply, 422, "invalid_request", flaws=True)
        assert doors.database.state == before
    doors.stream.close()


async def test_where_sign_in_is_required_a_name_is_no_credential(
    locked: Doors, locked_http: httpx.AsyncClient
) -> None:
    await locked.sign_in("ada")
    before = locked.database.state
    for method, path in (
        ("POST", "/chat/start"),
        ("GET", "/chat/stream"),
        ("GET", "/chat/history"),
        ("DELETE", "/chat/history/session_1"),
    ):
        params = {"user_id": "ada", "message": "why?", "session_id": "session_1"}
        reply = await locked_http.request(method, path, params=params)
        assert_problem(reply, 401, "not_signed_in")
    assert locked.database.state is before


async def test_who_is_logged_out_is_told_when_the_stream_is_over(locked: Doors) -> None:
    caller, token = await locked.sign_in("ada")
    headers = bearer(token)
    async with event_source(locked.app, "/chat/stream", "message=why?", headers) as stream:
        first = await opened(stream)
        assert await stream.block() == ":"
        await locked.log_out(caller.user)
        await locked.recheck()
        assert await rest(stream) == []
    assert first.id is not None
    back = {**headers, "Last-Event-ID": first.id}
    reply = await ask(locked.app, "GET", "/chat/stream", "message=why?", back, b"")
    assert reply.status == 401


async def test_another_guest_hears_nothing_of_an_answer(doors: Doors) -> None:
    _, cursor = await asked(doors, "message=why?&user_id=ada")
    async with stream_of(doors, "message=why?&user_id=ada", cursor) as stream:
        await opened(stream)
    for query in ("message=why?&user_id=bob", "message=why?"):
        reply = await ask(doors.app, "GET", "/chat/stream", query, {"Last-Event-ID": cursor}, b"")
        assert (reply.status, reply.json()["code"]) == (404, "generation_not_found")
    assert questions(doors) == ["why?"]


# The history


@both
async def test_the_history_is_told_oldest_first(
    doors: Doors, http: httpx.AsyncClient, prefix: str
) -> None:
    session = await doors.session()
    await doors.answered(session, "one")
    await doors.ask(session, "two")
    reply = await http.get(f"{prefix}/chat/history", params={"session_id": session})
    assert reply.status_code == 200
    shown = reply.json()
    assert shown.keys() == {"messages", "total"}
    assert shown["total"] == 3
    assert [(each["role"], each["content"]) for each in shown["messages"]] == [
        ("user", "one"),
        ("assistant", "Hello there"),
        ("user", "two"),
    ]
    for each in shown["messages"]:
        assert each.keys() == {"role", "content", "timestamp"}
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", each["timestamp"])


async def test_of_a_long_history_the_newest_thousand_are_told(
    doors: Doors, http: httpx.AsyncClient
) -> None:
    session = await doors.session()
    await doors.ask(session)
    state = doors.database.state
    (question,) = state.messages
    state.messages = [
        replace(question, id=MessageId(number), number=number, content=f"message {number}")
        for number in range(1, 1_003)
    ]
    state.sessions[session] = replace(state.sessions[session], message_count=1_002)
    shown = (await history_of(http, session)).json()
    assert shown["total"] == 1_002
    contents = [each["content"] for each in shown["messages"]]
    assert contents == [f"message {number}" for number in range(3, 1_003)]


async def test_an_empty_history_is_empty(doors: Doors, http: httpx.AsyncClient) -> None:
    reply = await history_of(http, await doors.session())
    assert reply.json() == {"messages": [], "total": 0}


@both
async def test_a_history_is_cleared(doors: Doors, http: httpx.AsyncClient, prefix: str) -> None:
    session = await start(http, "ada")
    async with stream_of(doors, f"message=why?&session_id={session}&user_id=ada") as stream:
        await opened(stream)
        path = f"{prefix}/chat/history/{session}"
        assert_problem(await http.delete(path, params={"user_id": "ada"}), 409, "session_busy")
        await doors.answer(await doors.queue.heard())
    assert (await history_of(http, session, "ada")).json()["total"] == 2
    assert_problem(await http.delete(path), 404, "session_not_found")
    reply = await http.delete(path, params={"user_id": "ada"})
    assert reply.status_code == 200
    assert reply.json().keys() == {"message"}
    assert (await history_of(http, session, "ada")).json() == {"messages": [], "total": 0}


@pytest.mark.parametrize("user_id", [None, "eve"])
async def test_the_history_of_no_session_of_ones_own_is_not_found_and_makes_no_guest(
    doors: Doors, http: httpx.AsyncClient, user_id: str | None
) -> None:
    await doors.local()
    foreign = await doors.foreign_session()
    before = doors.database.state
    params = {} if user_id is None else {"user_id": user_id}
    assert_problem(await http.get("/chat/history", params=params), 404, "session_not_found")
    for session_id in (foreign, "none", "a" * 51):
        assert_problem(await history_of(http, session_id, user_id), 404, "session_not_found")
        cleared = await http.delete(f"/chat/history/{session_id}", params=params)
        assert_problem(cleared, 404, "session_not_found")
    assert doors.database.state == before


async def test_a_bad_key_in_the_address_is_refused_also_beside_a_good_one(doors: Doors) -> None:
    said, headers = "message=why%3F&idempotency_key=%20", {"Idempotency-Key": "good"}
    reply = await ask(doors.app, "GET", "/chat/stream", said, headers, b"")
    assert reply.status == 422
    assert reply.json()["errors"][0]["pointer"] == "/idempotency_key"


# The plain page


async def test_the_plain_page_may_run_itself_and_nothing_else() -> None:
    doors = Doors(pages=Pages({}, {}, read_plain_page()), sign_in_required=True)
    async with client_of(doors) as http:
        reply = await http.get("/chat")
    assert reply.status_code == 200
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    assert reply.headers["x-content-type-options"] == "nosniff"
    policy = dict(
        part.split(" ", 1) for part in reply.headers["content-security-policy"].split("; ")
    )
    (script,) = re.findall(r"<script>(.*?)</script>", reply.text, re.DOTALL)
    digest = b64encode(sha256(script.encode()).digest()).decode()
    assert policy["script-src"] == f"'sha256-{digest}'"
    assert policy["default-src"] == "'none'"
    assert policy["connect-src"] == "'self'"
    doors.stream.close()


def test_the_plain_page_is_twenty_lines() -> None:
    assert len(read_plain_page().splitlines()) <= 20


# When the database goes away


async def test_who_was_accepted_is_not_told_to_send_again() -> None:
    queue = Cutting()
    doors = Doors(queue.database, queue=queue)
    reply = await ask(doors.app, "GET", "/chat/stream", "message=why?", {}, b"")
    assert (reply.status, reply.json()["code"]) == (504, "answer_pending")
    generation_id = await queue.heard()
    assert reply.json()["generation_id"] == generation_id
    await doors.answer(generation_id)
    async with stream_of(doors, "message=why?", str(Place(generation_id))) as stream:
        await opened(stream)
        assert said(await rest(stream)) == [{"content": "Hello there"}, DONE]
    assert questions(doors) == ["why?"]
    doors.stream.close()


async def test_a_stream_that_ends_early_is_not_done_and_is_come_back_for(doors: Doors) -> None:
    async with stream_of(doors, "message=why?") as stream:
        await opened(stream)
        running = await begun(doors, await doors.queue.heard())
        await goes_on(running, "So far")
        heard = await next_block(stream)
        assert heard is not None
        doors.database.away = 1
        for following in doors.followers:
            following.compare(None)
        assert await rest(stream) == []
    await goes_on(running, ", so good")
    async with stream_of(doors, "message=why?", heard.id) as stream:
        await opened(stream)
        block = await next_block(stream)
    assert block is not None
    assert block.said == {"content": ", so good"}
