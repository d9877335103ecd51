import base64
import json
from datetime import UTC, datetime

import httpx
import pytest

from domain.chat_session import MAX_WAITING
from domain.identifiers import SessionId
from domain.message import MAX_MESSAGE_CHARACTERS
from tests.interface.clients import assert_problem
from tests.interface.doors import Doors

SESSION_KEYS = {
    "session_id",
    "title",
    "model_name",
    "persona",
    "message_count",
    "created_at",
    "updated_at",
    "active_generation",
}


async def create(http: httpx.AsyncClient, **wishes: object) -> httpx.Response:
    return await http.post("/api/chat/session", json=wishes)


async def send(
    http: httpx.AsyncClient, session_id: str, key: str | None = None, **body: object
) -> httpx.Response:
    headers = {} if key is None else {"Idempotency-Key": key}
    return await http.post(
        f"/api/chat/sessions/{session_id}/messages",
        json={"message": "why?", **body},
        headers=headers,
    )


def closed(*parts: object) -> str:
    """A cursor as a list makes it, around anything."""
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode()


def pointers(reply: httpx.Response) -> list[str]:
    assert all(flaw["message"] for flaw in reply.json()["errors"])
    return [flaw["pointer"] for flaw in reply.json()["errors"]]


# Making a session


async def test_a_session_is_made_as_it_is_wished(http: httpx.AsyncClient) -> None:
    reply = await create(
        http,
        session_id="my-1",
        title="Fences",
        model_name="other",
        persona="teacher",
        system_prompt="Be brief.",
    )
    assert reply.status_code == 201
    assert reply.headers["content-type"] == "application/json"
    made = reply.json()
    assert made.keys() >= SESSION_KEYS
    assert (made["session_id"], made["title"]) == ("my-1", "Fences")
    assert (made["model_name"], made["persona"]) == ("other", "teacher")
    assert (made["message_count"], made["active_generation"]) == (0, None)


@pytest.mark.parametrize("body", [b"", b"{}", b'{"session_id": null}'])
async def test_who_wishes_nothing_gets_a_session_of_the_servers_choice(
    http: httpx.AsyncClient, body: bytes
) -> None:
    made = [await http.post("/api/chat/session", content=body) for _ in range(2)]
    assert [reply.status_code for reply in made] == [201, 201]
    first, second = (reply.json() for reply in made)
    assert first["session_id"].startswith("session_")
    assert len(first["session_id"]) <= 50
    assert first["session_id"] != second["session_id"]
    assert (first["title"], first["model_name"], first["persona"]) == (None, None, None)


async def test_times_are_in_utc(http: httpx.AsyncClient) -> None:
    made = (await create(http)).json()
    for name in ("created_at", "updated_at"):
        assert made[name].endswith("Z")
        assert datetime.fromisoformat(made[name]).tzinfo == UTC


async def test_ones_own_session_is_opened_as_it_is(http: httpx.AsyncClient) -> None:
    made = await create(http, session_id="mine", title="First")
    again = await create(http, session_id="mine", title="Second")
    assert (made.status_code, again.status_code) == (201, 200)
    assert again.json() == made.json()


async def test_a_foreign_session_is_not_there(doors: Doors, http: httpx.AsyncClient) -> None:
    foreign = await doors.foreign_session()
    for reply in (
        await create(http, session_id=foreign),
        await http.get(f"/api/chat/sessions/{foreign}"),
        await http.get(f"/api/chat/sessions/{foreign}/messages"),
        await send(http, foreign),
    ):
        assert_problem(reply, 404, "session_not_found")
    assert (await http.get("/api/chat/sessions")).json()["items"] == []
    assert doors.database.state.messages == []


async def test_an_unknown_model_or_persona_makes_no_session(http: httpx.AsyncClient) -> None:
    assert_problem(await create(http, model_name="none"), 404, "model_not_found")
    assert_problem(await create(http, persona="none"), 404, "persona_not_found")
    assert (await http.get("/api/chat/sessions")).json()["items"] == []


@pytest.mark.parametrize(
    ("wish", "value"),
    [
        ("session_id", "a b"),
        ("session_id", ""),
        ("session_id", "a" * 51),
        ("session_id", "a/b"),
        ("session_id", "é"),
        ("session_id", 7),
        ("title", ""),
        ("title", "a" * 201),
        ("title", "nul\x00"),
        ("title", True),
        ("model_name", ""),
        ("model_name", "nul\x00"),
        ("persona", ["teacher"]),
        ("system_prompt", "a" * 32_001),
        ("system_prompt", "nul\x00"),
        ("user_id", 1),
    ],
)
async def test_a_wish_that_breaks_a_rule_is_pointed_at(
    http: httpx.AsyncClient, wish: str, value: object
) -> None:
    reply = await create(http, **{wish: value})
    assert_problem(reply, 422, "invalid_request", flaws=True)
    assert pointers(reply) == [f"/{wish}"]


async def test_all_flaws_are_told_at_once(http: httpx.AsyncClient) -> None:
    reply = await create(http, title="", model_name=1, unknown="field")
    assert_problem(reply, 422, "invalid_request", flaws=True)
    assert sorted(pointers(reply)) == ["/model_name", "/title", "/unknown"]


async def test_a_refusal_does_not_repeat_what_was_sent(http: httpx.AsyncClient) -> None:
    reply = await create(
        http, session_id="my secret", title=["my secret"], persona={"my": "secret"}
    )
    assert_problem(reply, 422, "invalid_request", flaws=True)
    assert "secret" not in reply.text


# Reading sessions


async def test_a_session_is_read_with_what_it_is_working_on(
    doors: Doors, http: httpx.AsyncClient, session: SessionId
) -> None:
    path = f"/api/chat/sessions/{session}"
    assert (await http.get(path)).json()["active_generation"] is None
    generation_id = await doors.ask(session, "What is a fence?")
    read = (await http.get(path)).json()
    assert read.keys() >= SESSION_KEYS
    assert (read["session_id"], read["title"]) == (session, "What is a fence?")
    assert read["message_count"] == 1
    assert read["active_generation"] == {"generation_id": generation_id, "status": "queued"}
    await doors.answer(generation_id)
    read = (await http.get(path)).json()
    assert (read["message_count"], read["active_generation"]) == (2, None)


async def test_a_session_that_does_not_exist_is_a_problem(http: httpx.AsyncClient) -> None:
    for reply in (
        await http.get("/api/chat/sessions/none"),
        await http.get("/api/chat/sessions/none/messages"),
        await send(http, "none"),
    ):
        assert_problem(reply, 404, "session_not_found")


async def test_sessions_are_listed_by_activity_page_by_page(
    doors: Doors, http: httpx.AsyncClient
) -> None:
    for number in range(5):
        await doors.session(f"session_{number}")
    await doors.ask(SessionId("session_1"))
    await doors.foreign_session()
    listed: list[str] = []
    cursor: dict[str, str] = {}
    sizes = []
    while True:
        reply = await http.get("/api/chat/sessions", params={"limit": 2, **cursor})
        assert reply.json().keys() >= {"items", "next_cursor"}
        listed += [session["session_id"] for session in reply.json()["items"]]
        sizes.append(len(reply.json()["items"]))
        if reply.json()["next_cursor"] is None:
            break
        cursor = {"cursor": reply.json()["next_cursor"]}
    assert listed == ["session_1", "session_4", "session_3", "session_2", "session_0"]
    assert sizes == [2, 2, 1]


async def test_a_page_that_holds_all_has_no_next(doors: Doors, http: httpx.AsyncClient) -> None:
    for number in range(3):
        await doors.session(f"session_{number}")
    reply = await http.get("/api/chat/sessions", params={"limit": 3})
    assert len(reply.json()["items"]) == 3
    assert reply.json()["next_cursor"] is None


async def test_fifty_sessions_are_listed_unless_told_otherwise(
    doors: Doors, http: httpx.AsyncClient
) -> None:
    for number in range(51):
        await doors.session(f"session_{number}")
    reply = await http.get("/api/chat/sessions")
    assert len(reply.json()["items"]) == 50
    assert reply.json()["next_cursor"] is not None
    assert len((await http.get("/api/chat/sessions?limit=100")).json()["items"]) == 51


# Reading messages


async def test_messages_are_shown_with_how_their_answers_ended(
    doors: Doors, http: httpx.AsyncClient, session: SessionId
) -> None:
    generation_id = await doors.answered(session, "What is a fence?")
    question, answer = (await http.get(f"/api/chat/sessions/{session}/messages")).json()["items"]
    for message in (question, answer):
        assert message["session_id"] == session
        assert message["generation_id"] == generation_id
        assert isinstance(message["id"], int)
        assert message["created_at"].endswith("Z")
    assert (question["role"], question["content"]) == ("user", "What is a fence?")
    assert "status" not in question
    assert (answer["role"], answer["content"]) == ("assistant", "Hello there")
    assert (answer["status"], answer["finish_reason"]) == ("completed", "stop")
    assert answer["usage"] == {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


@pytest.mark.parametrize(
    ("order", "wanted"),
    [({}, "01234"), ({"order": "asc"}, "01234"), ({"order": "desc"}, "43210")],
)
async def test_messages_are_listed_page_by_page_in_both_orders(
    doors: Doors, http: httpx.AsyncClient, session: SessionId, order: dict[str, str], wanted: str
) -> None:
    for number in range(5):
        await doors.ask(session, str(number))
    listed: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        params: dict[str, str] = {"limit": "2", **order, **cursor}
        page = (await http.get(f"/api/chat/sessions/{session}/messages", params=params)).json()
        assert len(page["items"]) <= 2
        listed += [message["content"] for message in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert "".join(listed) == wanted


async def test_an_empty_session_has_no_messages(
    http: httpx.AsyncClient, session: SessionId
) -> None:
    reply = await http.get(f"/api/chat/sessions/{session}/messages")
    assert reply.json() == {"items": [], "next_cursor": None}


# Limits, orders and cursors


@pytest.mark.parametrize("limit", ["0", "101", "-1", "ten", "1.5", "", "1e1", "٣", "9" * 5000])
async def test_a_bad_limit_is_pointed_at(
    http: httpx.AsyncClient, session: SessionId, limit: str
) -> None:
    for path in ("/api/chat/sessions", f"/api/chat/sessions/{session}/messages"):
        reply = await http.get(path, params={"limit": limit})
        assert_problem(reply, 422, "invalid_request", flaws=True)
        assert pointers(reply) == ["/limit"]


@pytest.mark.parametrize("order", ["", "ASC", "newest"])
async def test_a_bad_order_is_pointed_at(
    http: httpx.AsyncClient, session: SessionId, order: str
) -> None:
    reply = await http.get(f"/api/chat/sessions/{session}/messages", params={"order": order})
    assert_problem(reply, 422, "invalid_request", flaws=True)
    assert pointers(reply) == ["/order"]


GARBAGE = [
    "",
    "a",
    "!!!!",
    "====",
    "é",
    "%00",
    base64.urlsafe_b64encode(b"\xff\xfe").decode(),
    base64.urlsafe_b64encode(b"not json").decode(),
    base64.urlsafe_b64encode(b"[" * 9999).decode(),
    base64.urlsafe_b64encode(b"null").decode(),
    base64.urlsafe_b64encode(b"1").decode(),
    base64.urlsafe_b64encode(b"{}").decode(),
    closed(),
    closed(None),
    closed(1.5),
    closed(1, 2, 3),
    closed([1]),
]


@pytest.mark.parametrize(
    "cursor",
    [
        *GARBAGE,
        closed(1),
        closed("2026-11-21T12:00:00+00:00"),
        closed("2026-11-21T12:00:00+00:00", 1),
        closed("yesterday", "session_1"),
        closed(1, "session_1"),
        closed("2026-11-21T12:00:00+00:00", "session_1", "more"),
        closed("2026-11-21T12:00:00", "session_1"),
        closed("2026-11-21", "session_1"),
        closed("2026-11-21T12:00:00+00:00", "a\x00b"),
    ],
)
async def test_a_bad_cursor_of_sessions_is_pointed_at(
    http: httpx.AsyncClient, session: SessionId, cursor: str
) -> None:
    reply = await http.get("/api/chat/sessions", params={"cursor": cursor})
    assert_problem(reply, 422, "invalid_request", flaws=True)
    assert pointers(reply) == ["/cursor"]


@pytest.mark.parametrize(
    "cursor",
    [
        *GARBAGE,
        closed("1"),
        closed(True),
        closed(2**63),
        closed(-(10**30)),
        closed("2026-11-21T12:00:00+00:00", "session_1"),
    ],
)
async def test_a_bad_cursor_of_messages_is_pointed_at(
    http: httpx.AsyncClient, session: SessionId, cursor: str
) -> None:
    reply = await http.get(f"/api/chat/sessions/{session}/messages", params={"cursor": cursor})
    assert_problem(reply, 422, "invalid_request", flaws=True)
    assert pointers(reply) == ["/cursor"]


# Sending


async def test_a_message_is_accepted_stored_and_queued(
    doors: Doors, http: httpx.AsyncClient, session: SessionId
) -> None:
    reply = await http.post(
        f"/api/chat/sessions/{session}/messages",
        json={"message": "  why?\n", "model_name": "other", "persona": "teacher", "file_ids": []},
        headers={"X-Request-ID": "request-42"},
    )
    assert reply.status_code == 202
    accepted = reply.json()
    assert accepted.keys() >= {"session_id", "message_id", "generation_id", "status"}
    assert (accepted["session_id"], accepted["status"]) == (session, "queued")
    (message,) = doors.database.state.messages
    assert (message.id, message.content) == (accepted["message_id"], "why?")
    (row,) = doors.database.state.rows.values()
    assert (row.generation.model_name, row.generation.persona) == ("other", "teacher")
    (hint,) = doors.queue.requests
    assert hint.generation_id == row.generation.id == accepted["generation_id"]
    assert hint.request_id == row.generation.request_id == "request-42"


async def test_the_same_message_twice_is_two_messages(
    doors: Doors, http: httpx.AsyncClient, session: SessionId
) -> None:
    first, second = (await send(http, session)).json(), (await send(http, session)).json()
    assert first["generation_id"] != second["generation_id"]
    assert len(doors.database.state.messages) == 2


async def test_a_repeat_under_the_same_key_gets_the_same_answer(
    doors: Doors, http: httpx.AsyncClient, session: SessionId
) -> None:
    first = await send(http, session, "key-1", persona="teacher")
    again = await send(http, session, "key-1", persona="teacher")
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.json() == first.json()
    await doors.answer(first.json()["generation_id"])
    late = await send(http, session, "key-1", persona="teacher")
    assert late.json()["generation_id"] == first.json()["generation_id"]
    assert late.json()["message_id"] == first.json()["message_id"]
    assert len(doors.database.state.messages) == 2
    assert len(doors.queue.requests) == 1


@pytest.mark.parametrize(
    "other", [{"message": "how?"}, {"persona": "teacher"}, {"model_name": "other"}]
)
async def test_another_message_under_the_same_key_is_a_conflict(
    doors: Doors, http: httpx.AsyncClient, session: SessionId, other: dict[str, str]
) -> None:
    await send(http, session, "key-1")
    assert_problem(await send(http, session, "key-1", **other), 422, "idempotency_conflict")
    assert len(doors.database.state.messages) == 1


async def test_the_same_key_in_another_session_is_a_conflict(
    doors: Doors, http: httpx.AsyncClient, session: SessionId
) -> None:
    other = await doors.session("session_2")
    await send(http, session, "key-1")
    assert_problem(await send(http, other, "key-1"), 422, "idempotency_conflict")


@pytest.mark.parametrize("key", ["!", "~" * 64])
async def test_a_key_is_one_to_sixty_four_visible_characters(
    http: httpx.AsyncClient, session: SessionId, key: str
) -> None:
    assert (await send(http, session, key)).status_code == 202


@pytest.mark.parametrize("key", [b"", b"a" * 65, b"a b", b"\xc3\xa9", b"a\tb"])
async def test_a_bad_key_is_refused(
    doors: Doors, http: httpx.AsyncClient, session: SessionId, key: bytes
) -> None:
    reply = await http.post(
        f"/api/chat/sessions/{session}/messages",
        json={"message": "why?"},
        headers=[(b"Idempotency-Key", key)],
    )
    assert_problem(reply, 422, "invalid_request", flaws=True)
    assert doors.database.state.messages == []


async def test_the_tenth_unanswered_message_is_refused_until_one_is_answered(
    doors: Doors, http: httpx.AsyncClient, session: SessionId
) -> None:
    sent = [await send(http, session, f"key-{number}") for number in range(MAX_WAITING + 1)]
    assert [reply.status_code for reply in sent] == [202] * 9
    assert_problem(await send(http, session, "key-9"), 409, "session_busy")
    repeated = await send(http, session, "key-8")
    assert repeated.json() == sent[8].json()
    await doors.answer(sent[0].json()["generation_id"])
    assert (await send(http, session, "key-9")).status_code == 202


async def test_a_message_to_an_unknown_model_or_persona_is_refused(
    doors: Doors, http: httpx.AsyncClient, session: SessionId
) -> None:
    assert_problem(await send(http, session, model_name="none"), 404, "model_not_found")
    assert_problem(await send(http, session, persona="none"), 404, "persona_not_found")
    assert_problem(await send(http, session, file_ids=[7]), 404, "file_not_found")
    assert doors.database.state.messages == []


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/message"),
        ({"message": None}, "/message"),
        ({"message": 7}, "/message"),
        ({"message": ["why?"]}, "/message"),
        ({"message": ""}, "/message"),
        ({"message": " \n\t\u00a0"}, "/message"),
        ({"message": "a" * (MAX_MESSAGE_CHARACTERS + 1)}, "/message"),
        ({"message": "a\x00b"}, "/message"),
        ({"message": "why?", "model_name": ""}, "/model_name"),
        ({"message": "why?", "model_name": "a\x00"}, "/model_name"),
        ({"message": "why?", "persona": 1}, "/persona"),
        ({"message": "why?", "file_ids": ["1"]}, "/file_ids/0"),
        ({"message": "why?", "file_ids": [1, True]}, "/file_ids/1"),
        ({"message": "why?", "file_ids": list(range(21))}, "/file_ids"),
        ({"message": "why?", "role": "system"}, "/role"),
        ({"message": "why?", "a/b~c": 1}, "/a~1b~0c"),
    ],
)
async def test_a_bad_message_is_pointed_at(
    doors: Doors,
    http: httpx.AsyncClient,
    session: SessionId,
    body: dict[str, object],
    pointer: str,
) -> None:
    reply = await http.post(f"/api/chat/sessions/{session}/messages", json=body)
    assert_problem(reply, 422, "invalid_request", flaws=True)
    assert pointers(reply) == [pointer]
    assert doors.database.state.messages == []


async def test_a_message_may_be_as_long_as_the_rule_says_after_trimming(
    doors: Doors, http: httpx.AsyncClient, session: SessionId
) -> None:
    longest = "é" * MAX_MESSAGE_CHARACTERS
    assert (await send(http, session, message=f" {longest} ")).status_code == 202
    assert doors.database.state.messages[0].content == longest


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"why?",
        b"[]",
        b"null",
        b'"why?"',
        b'{"message": "why?"} trailing',
        b'{"message": "why?",}',
        b'{"message": "\xff"}',
        b'{"message": "\\ud800"}',
        b'{"message": "\\udc00\\ud800"}',
        b'{"message": "\xed\xa0\x80"}',
        b"[" * 100_000,
    ],
)
async def test_a_body_that_is_no_json_object_is_refused(
    doors: Doors, http: httpx.AsyncClient, session: SessionId, body: bytes
) -> None:
    for path in (f"/api/chat/sessions/{session}/messages", "/api/chat/session"):
        reply = await http.post(path, content=body)
        assert_problem(reply, 422, "invalid_request", flaws=True)
    assert doors.database.state.messages == []


async def test_a_message_is_accepted_even_if_the_queue_is_away(
    doors: Doors, http: httpx.AsyncClient, session: SessionId
) -> None:
    doors.queue.full = True
    assert (await send(http, session)).status_code == 202
    assert len(doors.database.state.messages) == 1


async def test_nothing_is_accepted_while_the_database_is_away(
    doors: Doors, http: httpx.AsyncClient, session: SessionId
) -> None:
    doors.database.away = 1
    reply = await send(http, session)
    assert_problem(reply, 503, "database_unavailable")
    assert reply.headers["retry-after"]
    assert doors.database.state.messages == []
    assert doors.queue.requests == []


async def test_a_body_with_very_many_unknown_fields_is_refused_in_one_sentence(
    http: httpx.AsyncClient,
) -> None:
    reply = await http.post("/api/chat/session", json={f"k{n}": 1 for n in range(50_000)})
    assert_problem(reply, 422, "invalid_request", flaws=True)
    assert len(reply.json()["errors"]) == 1


async def test_of_very_many_flaws_the_first_are_told(
    http: httpx.AsyncClient, session: SessionId
) -> None:
    body = {f"k{n}": 1 for n in range(45)}
    reply = await http.post(f"/api/chat/sessions/{session}/messages", json=body)
    assert_problem(reply, 422, "invalid_request", flaws=True)
    assert len(reply.json()["errors"]) == 20
