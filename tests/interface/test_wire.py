import base64
import binascii
import json
import re
from collections.abc import Callable
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from application.accepting import Accepted
from application.events import (
    Chunk,
    Done,
    Entry,
    Failed,
    Reasoning,
    Reset,
    Snapshot,
    Start,
    Stopped,
    StreamEvent,
)
from domain.errors import ApiConfigNotFound, InvalidInput, SessionBusy
from domain.generation import Failure
from domain.identifiers import MessageId
from domain.message import Usage
from domain.position import Position
from interface.dialects.chat_body import ChatCompletionBody
from interface.dialects.response_body import ResponseBody
from interface.problems import problem_of
from interface.wire.events import sse_event, websocket_event
from interface.wire.frames import (
    FollowFrame,
    Frame,
    PingFrame,
    ResumeFrame,
    SendFrame,
    UnfollowFrame,
    parse_frame,
)
from interface.wire.outgoing import (
    accepted_frame,
    api_cursor,
    api_json,
    error_frame,
    gone_json,
    opened_frame,
    session_cursor,
)
from interface.wire.parameters import (
    parse_api_cursor,
    parse_api_id,
    parse_api_name,
    parse_key,
    parse_limit,
    parse_model_name,
    parse_number_cursor,
    parse_session_cursor,
)
from interface.wire.request_bodies import (
    Body,
    ChangeApiBody,
    CreateApiBody,
    CreateSessionBody,
    SendBody,
    parse_body,
)
from tests.builders import API_KEY, GENERATION, NOON, SESSION, a_session, an_api
from tests.interface.clients import Json, problem_keys

USAGE = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
ANSWER = MessageId(2)

PROTOCOL: list[tuple[StreamEvent, dict[str, Any]]] = [
    (
        Start(GENERATION, 1, "model", "why?"),
        {"type": "start", "attempt": 1, "model_name": "model", "message": "why?"},
    ),
    (
        Chunk(GENERATION, "some"),
        {"type": "chunk", "chunk": "some", "is_last": False},
    ),
    (
        Reasoning(GENERATION, "because"),
        {"type": "reasoning", "chunk": "because", "is_last": False},
    ),
    (
        Reset(GENERATION, 2, "model", "why?", "takeover"),
        {"type": "reset", "attempt": 2, "reason": "takeover"},
    ),
    (
        Snapshot(GENERATION, 1, "so far", "because"),
        {
            "type": "snapshot",
            "text": "so far",
            "reasoning": "because",
            "attempt": 1,
            "recovered": True,
        },
    ),
    (
        Snapshot(GENERATION, 2, "", recovered=False),
        {"type": "snapshot", "text": "", "attempt": 2, "recovered": False},
    ),
    (
        Done(GENERATION, ANSWER, "stop", Usage(3, 4), "A title"),
        {
            "type": "done",
            "chunk": "",
            "is_last": True,
            "message_id": 2,
            "finish_reason": "stop",
            "usage": USAGE,
            "title": "A title",
        },
    ),
    (
        Done(GENERATION, ANSWER, "length", None),
        {
            "type": "done",
            "chunk": "",
            "is_last": True,
            "message_id": 2,
            "finish_reason": "length",
            "usage": None,
        },
    ),
    (
        Stopped(GENERATION, ANSWER, Usage(3, 4)),
        {"type": "stopped", "chunk": "", "is_last": True, "message_id": 2, "usage": USAGE},
    ),
    (
        Stopped(GENERATION, None, None),
        {"type": "stopped", "chunk": "", "is_last": True},
    ),
    (
        Failed(GENERATION, ANSWER, Failure("upstream_error", "Overloaded."), "request-1"),
        {
            "type": "failed",
            "chunk": "",
            "is_last": True,
            "message_id": 2,
            "error": {
                "type": "urn:llm-chat:problem:upstream_error",
                "title": "Upstream error",
                "status": 502,
                "detail": "Overloaded.",
                "instance": f"/api/chat/generations/{GENERATION}",
                "code": "upstream_error",
                "request_id": "request-1",
            },
        },
    ),
    (
        Failed(GENERATION, None, Failure("worker_lost", "Lost."), None),
        {"type": "failed", "chunk": "", "is_last": True},
    ),
]


def entry(event: StreamEvent) -> Entry:
    return Entry(Position(3, 14), event)


def over_sse(event: StreamEvent) -> dict[str, Any]:
    number, data = sse_event(SESSION, entry(event)).decode().removesuffix("\n\n").split("\n")
    assert number == "id: 3-14"
    shown: dict[str, Any] = json.loads(data.removeprefix("data: "))
    return shown


def over_websocket(event: StreamEvent) -> dict[str, Any]:
    shown: dict[str, Any] = json.loads(websocket_event(SESSION, entry(event)))
    return shown


# Events


@pytest.mark.parametrize(("event", "wanted"), PROTOCOL)
def test_an_event_has_the_fields_of_the_protocol(
    event: StreamEvent, wanted: dict[str, Any]
) -> None:
    shown = over_sse(event)
    place = {"session_id": SESSION, "generation_id": GENERATION}
    assert shown == {**shown, **wanted, **place}
    assert over_websocket(event) == {"id": "3-14", **shown}


@pytest.mark.parametrize(("event", "wanted"), PROTOCOL)
def test_an_event_has_a_text_to_append_only_if_it_says_whether_it_is_the_last(
    event: StreamEvent, wanted: dict[str, Any]
) -> None:
    """A client that reads only `chunk` and `is_last` works."""
    shown = over_sse(event)
    assert ("chunk" in shown) == ("is_last" in shown)
    assert shown.get("is_last", False) == (shown["type"] in ("done", "stopped", "failed"))


def test_reasoning_and_title_are_left_out_where_there_are_none() -> None:
    assert "reasoning" not in over_sse(Snapshot(GENERATION, 1, "so far"))
    assert "title" not in over_sse(Done(GENERATION, ANSWER, "stop", None))


def test_a_failure_of_an_unknown_kind_is_a_whole_problem() -> None:
    shown = over_sse(Failed(GENERATION, None, Failure("unheard_of", "Oh."), "request-1"))
    assert shown["error"].keys() == problem_keys()
    assert shown["error"]["status"] == 500


def test_gone_names_its_session() -> None:
    shown = gone_json(SESSION)
    assert (shown["type"], shown["session_id"]) == ("gone", SESSION)


@given(st.text())
def test_an_event_is_one_line_whatever_its_text(text: str) -> None:
    told = sse_event(SESSION, entry(Chunk(GENERATION, text))).decode()
    assert len(re.split(r"\r\n|\r|\n", told)) == 4
    assert over_sse(Chunk(GENERATION, text))["chunk"] == text
    assert over_websocket(Chunk(GENERATION, text))["chunk"] == text


def test_an_event_is_encoded_once_for_all_subscribers() -> None:
    shared = entry(Chunk(GENERATION, "some"))
    assert sse_event(SESSION, shared) is sse_event(SESSION, shared)
    assert websocket_event(SESSION, shared) is websocket_event(SESSION, shared)


# Frames out


def test_frames_have_the_fields_of_the_protocol() -> None:
    assert opened_frame("session", SESSION, Position(3, 14)) == {
        "type": "session",
        "session_id": SESSION,
        "last_event_id": "3-14",
    }
    accepted = Accepted(SESSION, MessageId(1), GENERATION)
    wanted = {
        "type": "accepted",
        "client_message_id": "m-1",
        "message_id": 1,
        "generation_id": GENERATION,
    }
    assert wanted.items() <= accepted_frame(accepted, "m-1").items()
    refused = problem_of(SessionBusy("Eight wait."), "/ws", "request-1")
    assert error_frame(refused) == {"type": "error", "error": refused}
    assert error_frame(refused, "m-1") == {**error_frame(refused), "client_message_id": "m-1"}


# Frames in


@pytest.mark.parametrize(
    ("text", "frame"),
    [
        ("why?", SendFrame(type="send", message="why?")),
        (" why? ", SendFrame(type="send", message=" why? ")),
        ("", SendFrame(type="send", message="")),
        ("{}", SendFrame(type="send", message="{}")),
        ('{"Type": "ping"}', SendFrame(type="send", message='{"Type": "ping"}')),
        ('{"type": "ping"', SendFrame(type="send", message='{"type": "ping"')),
        ('[{"type": "ping"}]', SendFrame(type="send", message='[{"type": "ping"}]')),
        ('{"type": "ping"}', PingFrame(type="ping")),
        (' \r\n\t{"type": "ping"} ', PingFrame(type="ping")),
        (
            '{"type": "send", "message": "why?", "client_message_id": "m-1", "file_ids": [1]}',
            SendFrame(type="send", message="why?", client_message_id="m-1", file_ids=[1]),
        ),
        (
            '{"type": "resume", "last_event_id": "1-2"}',
            ResumeFrame(type="resume", last_event_id="1-2"),
        ),
        (
            '{"type": "follow", "session_id": "s", "last_event_id": null}',
            FollowFrame(type="follow", session_id="s"),
        ),
        (
            '{"type": "unfollow", "session_id": "s"}',
            UnfollowFrame(type="unfollow", session_id="s"),
        ),
    ],
)
def test_a_text_is_read_as_the_protocol_has_it(text: str, frame: Frame) -> None:
    assert parse_frame(text) == frame


def test_an_object_with_a_type_is_not_taken_for_a_message_because_of_half_a_character() -> None:
    """So JavaScript writes a text that was cut within an emoji; JSON allows it."""
    with pytest.raises(InvalidInput):
        parse_frame(r'{"type": "send", "message": "half a face: \ud83d"}')


def test_a_refused_frame_does_not_repeat_what_was_sent() -> None:
    for text in ('{"type": "my secret"}', '{"type": "send", "message": ["my secret"]}'):
        with pytest.raises(InvalidInput) as refused:
            parse_frame(text)
        assert "secret" not in str(refused.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
FIELDS = st.sampled_from(
    ["message", "client_message_id", "session_id", "last_event_id", "file_ids", "persona", "type"]
)
KINDS = st.sampled_from(["send", "resume", "follow", "unfollow", "ping", "none"])
FRAMES = st.builds(
    lambda fields, kind: json.dumps({**fields, "type": kind}),
    st.dictionaries(FIELDS | st.text(), JSON),
    KINDS | JSON,
)
ANY_TEXT = st.text() | st.text(st.characters()) | JSON.map(json.dumps) | FRAMES


def pointers(read: Callable[[], object]) -> list[str] | None:
    """Where it was refused; None if it was read. Any other error is a fault."""
    try:
        read()
    except InvalidInput as refused:
        return [flaw.pointer for flaw in refused.flaws]
    return None


@given(ANY_TEXT)
def test_any_text_is_a_frame_or_is_refused(text: str) -> None:
    assert pointers(lambda: parse_frame(text)) != []


@given(ANY_TEXT, st.integers(0, 200))
def test_any_piece_of_a_frame_is_a_frame_or_is_refused(text: str, length: int) -> None:
    assert pointers(lambda: parse_frame(text[:length])) != []


@given(st.text().filter(lambda text: not text.lstrip().startswith("{")))
def test_a_text_that_is_no_object_is_a_message_as_it_is(text: str) -> None:
    assert parse_frame(text) == SendFrame(type="send", message=text)


@given(st.text(), st.none() | st.text("abc-", min_size=1, max_size=64))
def test_a_sent_message_is_read_as_it_was_written(text: str, key: str | None) -> None:
    said = json.dumps({"type": "send", "message": text, "client_message_id": key})
    assert parse_frame(said) == SendFrame(type="send", message=text, client_message_id=key)


# Bodies, keys, limits and cursors


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_body_is_read_or_is_refused(body: bytes) -> None:
    assert pointers(lambda: parse_body(SendBody, body)) != []
    assert pointers(lambda: parse_body(CreateSessionBody, body)) != []
    assert pointers(lambda: parse_body(CreateApiBody, body)) != []
    assert pointers(lambda: parse_body(ChangeApiBody, body)) != []


@given(st.text() | st.integers().map(str))
def test_any_limit_is_within_bounds_or_is_refused(text: str) -> None:
    allowed = {str(limit).zfill(length) for limit in range(1, 101) for length in (1, 2, 3)}
    assert pointers(lambda: parse_limit(text)) == (None if text in allowed else ["/limit"])


@pytest.mark.parametrize(("text", "limit"), [(None, 50), ("1", 1), ("100", 100)])
def test_a_limit_is_fifty_unless_told_otherwise(text: str | None, limit: int) -> None:
    assert parse_limit(text) == limit


@given(st.text() | st.text(st.characters(max_codepoint=127)))
def test_a_key_is_visible_ascii_or_is_refused(text: str) -> None:
    visible = 1 <= len(text) <= 64 and all("!" <= character <= "~" for character in text)
    assert (pointers(lambda: parse_key(text)) is None) == visible


def _encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


@given(
    st.text() | st.binary().map(lambda raw: binascii.b2a_base64(raw).decode()) | JSON.map(_encoded)
)
def test_any_cursor_is_read_or_is_refused(text: str) -> None:
    assert pointers(lambda: parse_session_cursor(text)) in (None, ["/cursor"])
    assert pointers(lambda: parse_number_cursor(text)) in (None, ["/cursor"])
    assert pointers(lambda: parse_api_cursor(text)) in (None, ["/cursor"])


def test_no_cursor_is_the_beginning() -> None:
    assert parse_session_cursor(None) is None
    assert parse_number_cursor(None) is None
    assert parse_api_cursor(None) is None


def test_a_cursor_of_sessions_is_read_as_it_was_written() -> None:
    after = parse_session_cursor(session_cursor(a_session()))
    assert after == (NOON, SESSION)


def test_a_cursor_of_configurations_is_read_as_it_was_written() -> None:
    assert parse_api_cursor(api_cursor(an_api())) == an_api().id


def test_a_cursor_can_stand_in_an_address_as_it_is() -> None:
    assert re.fullmatch(r"[A-Za-z0-9_=-]+", session_cursor(a_session()))


def test_a_frame_with_very_many_fields_is_refused_in_one_sentence() -> None:
    frame = {"type": "send", "message": "hello", **{f"k{number}": 1 for number in range(20_000)}}
    with pytest.raises(InvalidInput) as refused:
        parse_frame(json.dumps(frame))
    assert len(refused.value.flaws) == 1


def test_a_frame_with_a_very_long_number_is_a_bad_frame_and_no_message() -> None:
    with pytest.raises(InvalidInput):
        parse_frame('{"type": "ping", "n": ' + "9" * 5_000 + "}")


# Model configurations


def test_a_configuration_shows_all_but_its_key() -> None:
    shown = api_json(an_api())
    assert shown == {
        "id": 7,
        "name": "mine",
        "model_name": "gpt-9",
        "base_url": "https://api.example.com/v1",
        "provider": "openai",
        "key_hint": "9f3A",
        "created_at": NOON,
        "updated_at": NOON,
    }


@pytest.mark.parametrize("kind", [CreateApiBody, ChangeApiBody])
def test_a_body_does_not_show_its_key(kind: type[CreateApiBody] | type[ChangeApiBody]) -> None:
    said = {"name": "a", "model_name": "b", "base_url": "http://c", "api_key": API_KEY}
    body = parse_body(kind, json.dumps(said).encode())
    assert body.api_key is not None
    assert body.api_key.get_secret_value() == API_KEY
    assert API_KEY not in repr(body)
    assert API_KEY not in str(body)
    assert API_KEY not in body.model_dump_json()


@given(st.dictionaries(st.sampled_from(["name", "base_url", "api_key", "provider"]), JSON))
def test_no_refusal_of_a_configuration_repeats_what_was_sent(fields: dict[str, Any]) -> None:
    marked = json.dumps({name: [value, API_KEY] for name, value in fields.items()})
    with pytest.raises(InvalidInput) as refused:
        parse_body(CreateApiBody, marked.encode())
    assert API_KEY not in f"{refused.value} {refused.value.flaws}"
    assert refused.value.__cause__ is None


@given(st.text() | st.integers().map(str))
def test_any_id_of_a_configuration_is_one_that_the_database_can_hold_or_is_not_found(
    text: str,
) -> None:
    try:
        found = parse_api_id(text)
    except ApiConfigNotFound:
        return
    assert 0 < found < 2**63
    assert str(found) == text


@pytest.mark.parametrize(("text", "ok"), [("1", True), (str(2**63 - 1), True), (str(2**63), False)])
def test_an_id_is_at_most_what_the_database_can_hold(text: str, ok: bool) -> None:
    try:
        assert parse_api_id(text) == int(text)
    except ApiConfigNotFound:
        assert not ok
    else:
        assert ok


@given(st.text(st.sampled_from("a/\x00é")))
def test_any_name_of_a_configuration_can_be_looked_for_or_is_not_found(text: str) -> None:
    if text and "\x00" not in text:
        assert parse_api_name(text) == text
        return
    with pytest.raises(ApiConfigNotFound):
        parse_api_name(text)


@given(st.text())
def test_any_model_to_filter_by_is_read_or_refused(text: str) -> None:
    fine = 0 < len(text) <= 200 and "\x00" not in text
    assert pointers(lambda: parse_model_name(text)) == (None if fine else ["/model_name"])
    assert parse_model_name(None) is None


MANY: Final = 5_000


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (ChatCompletionBody, {"messages": [{"role": "user", "content": [1] * 50}] * 100}),
        (ChatCompletionBody, {"messages": [], "modalities": [1] * MANY}),
        (ResponseBody, {"input": [{"role": "user", "content": [1] * 50}] * 100}),
        (ResponseBody, {"input": [1] * MANY}),
        (ResponseBody, {"input": [{"type": "function_call_output", "output": [1] * MANY}]}),
    ],
)
def test_what_is_wrong_many_times_is_not_complained_of_each_time(
    kind: type[Body], body: Json
) -> None:
    """Half a million complaints would take half a gigabyte, and a second of everybody's."""
    with pytest.raises(ValidationError) as refused:
        kind.model_validate_json(json.dumps(body))
    assert refused.value.error_count() <= 100
