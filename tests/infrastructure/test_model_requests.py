"""What is sent to servers, and that it goes nowhere else: the key above all."""

import asyncio
import logging
import traceback
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from stamina import instrumentation

from domain.errors import ModelFailed
from domain.message import Role
from domain.prompt import FunctionCall, Options, Prompt, PromptMessage, ToolCall
from infrastructure.upstreams.limits import Limits
from tests.answers import HELLO, Heard, hear
from tests.builders import API_KEY
from tests.certificates import self_signed
from tests.infrastructure.conftest import PATIENT, MakeModel
from tests.upstream import Call, Script, Upstream, hello, upstream

# What is sent

HEADERS = {
    "accept": "application/json",
    "accept-encoding": "identity",
    "authorization": f"Bearer {API_KEY}",
    "content-type": "application/json",
    "user-agent": "llm-chat",
}


def sent(call: Call) -> dict[str, str]:
    """The headers that do not follow from the address and the body."""
    free = {"host", "content-length"}
    return {name: value for name, value in call.headers.items() if name not in free}


async def test_these_headers_are_sent_and_no_others(
    server: Upstream, make_model: MakeModel
) -> None:
    await hear(make_model())
    [call] = server.calls
    assert call.path == "/v1/chat/completions"
    assert sent(call) == HEADERS
    assert call.headers["host"] == f"127.0.0.1:{server.port}"


@pytest.mark.usefixtures("no_waiting")
async def test_nothing_of_the_environment_is_sent_or_obeyed(
    server: Upstream,
    make_model: MakeModel,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password from-the-netrc\n")
    async with upstream() as canary:
        environment = {
            "OPENAI_API_KEY": "sk-of-the-environment",
            "OPENAI_ADMIN_KEY": "sk-of-the-admin",
            "OPENAI_ORG_ID": "org-of-the-environment",
            "OPENAI_PROJECT_ID": "project-of-the-environment",
            "OPENAI_CUSTOM_HEADERS": "Authorization: Bearer custom\nAccept: custom\nX: custom",
            "OPENAI_BASE_URL": canary.base_url,
            "OPENAI_LOG": "debug",
            "NETRC": str(netrc),
        }
        for name in ("http_proxy", "https_proxy", "all_proxy", "ws_proxy"):
            environment[name] = environment[name.upper()] = f"http://127.0.0.1:{canary.port}"
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        await hear(make_model())
        await hear(make_model(key=None))
        await hear(make_model(base_url="http://no-such-host.invalid/v1", key=None))
        assert canary.connections == 0
    with_key, without_key = server.calls
    assert sent(with_key) == HEADERS
    assert sent(without_key) == {
        name: value for name, value in HEADERS.items() if name != "authorization"
    }


async def test_calls_know_nothing_of_each_other(server: Upstream, make_model: MakeModel) -> None:
    async def gives_cookies(call: Call) -> None:
        await call.begin(set_cookie="crumb=1; Path=/")
        await call.chunk("Hi")
        await call.done()

    server.answers(gives_cookies)
    base_url = f"http://localhost:{server.port}/v1"  # cookies stick to names, not to numbers
    await hear(make_model(base_url=base_url))
    await hear(make_model(base_url=base_url, key="another"))
    await hear(make_model(base_url=base_url, key=None))
    assert [call.headers.get("authorization") for call in server.calls] == [
        f"Bearer {API_KEY}",
        "Bearer another",
        None,
    ]
    assert not any("cookie" in call.headers for call in server.calls)


async def test_what_was_to_be_called_is_sent_as_it_was_said(
    server: Upstream, make_model: MakeModel
) -> None:
    call = FunctionCall("weather", '{"in": "Oslo"}')
    prompt = Prompt(
        (
            PromptMessage(Role.USER, "Well?"),
            PromptMessage(Role.ASSISTANT, "", tool_calls=(ToolCall("call_1", call),)),
            PromptMessage(Role.TOOL, "21 °C", tool_call_id="call_1"),
            PromptMessage(Role.ASSISTANT, "I look.", function_call=call),
            PromptMessage(Role.FUNCTION, "{}", name="weather"),
        )
    )
    await hear(make_model(), prompt)
    [asked] = server.calls
    function = {"name": "weather", "arguments": '{"in": "Oslo"}'}
    tool_calls = [{"id": "call_1", "type": "function", "function": function}]
    assert asked.body["messages"][1:4:2] == [
        {"role": "assistant", "content": None, "tool_calls": tool_calls},
        {"role": "assistant", "content": "I look.", "function_call": function},
    ]


async def test_options_are_sent_as_they_were_given_and_no_others(
    server: Upstream, make_model: MakeModel
) -> None:
    options = Options(temperature=0.0, max_completion_tokens=7, stop=("a", "b"), user="ada")
    await hear(make_model(), Prompt((PromptMessage(Role.USER, "Hi"),)))
    await hear(make_model(), Prompt((PromptMessage(Role.USER, "Hi"),), options=options))
    plain, wished = (dict(call.body) for call in server.calls)
    given = {"temperature": 0.0, "max_completion_tokens": 7, "stop": ["a", "b"], "user": "ada"}
    assert wished == plain | given
    assert not given.keys() & plain.keys()


async def test_all_roles_are_sent_with_whom_and_what_they_answer(
    server: Upstream, make_model: MakeModel
) -> None:
    prompt = Prompt(
        (
            PromptMessage(Role.SYSTEM, "Be brief."),
            PromptMessage(Role.DEVELOPER, "Be kind."),
            PromptMessage(Role.USER, "Grüße, 漢字 😀\x00", name="ada"),
            PromptMessage(Role.ASSISTANT, ""),
            PromptMessage(Role.TOOL, "21 °C", tool_call_id="call_1"),
            PromptMessage(Role.FUNCTION, "{}", name="weather"),
            PromptMessage(Role.USER, "Well?"),
        )
    )
    await hear(make_model(), prompt)
    assert server.calls[0].body == {
        "model": "gpt-9",
        "stream": True,
        "stream_options": {"include_usage": True},
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "developer", "content": "Be kind."},
            {"role": "user", "content": "Grüße, 漢字 😀\x00", "name": "ada"},
            {"role": "assistant", "content": ""},
            {"role": "tool", "content": "21 °C", "tool_call_id": "call_1"},
            {"role": "function", "content": "{}", "name": "weather"},
            {"role": "user", "content": "Well?"},
        ],
    }


@pytest.mark.parametrize("path", ["", "/v1", "/openai/v1/", "/a%20b/%2e%2e/v1", "/v1beta/openai"])
async def test_the_path_of_the_address_is_kept(
    server: Upstream, make_model: MakeModel, path: str
) -> None:
    await hear(make_model(base_url=f"http://127.0.0.1:{server.port}{path}"))
    assert server.calls[0].path == f"{path.rstrip('/')}/chat/completions"


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "Unrecognized request argument supplied: stream_options"}},
        {"detail": [{"loc": ["body", "stream_options"], "msg": "extra fields not permitted"}]},
    ],
)
@pytest.mark.parametrize("status", [400, 422])
async def test_a_server_that_does_not_count_is_asked_without(
    server: Upstream, make_model: MakeModel, status: int, body: object
) -> None:
    async def does_not_count(call: Call) -> None:
        await call.reply(status, body)

    server.answers(does_not_count, hello)
    assert (await hear(make_model())).text == "Hello"
    counted, uncounted = server.calls
    assert uncounted.body == {
        name: value for name, value in counted.body.items() if name != "stream_options"
    }


async def test_a_server_that_is_busy_is_not_asked_without_the_count(
    server: Upstream, make_model: MakeModel
) -> None:
    async def refuses(call: Call) -> None:
        await call.reply(402, {"error": {"message": "pay for stream_options"}})

    server.answers(refuses)
    assert (await hear(make_model())).code == "upstream_request_refused"
    assert len(server.calls) == 1


async def test_a_server_that_refuses_the_count_both_times_is_asked_twice(
    server: Upstream, make_model: MakeModel
) -> None:
    async def refuses(call: Call) -> None:
        await call.reply(400, {"error": {"message": "stream_options? messages? nothing is right"}})

    server.answers(refuses)
    assert (await hear(make_model())).code == "upstream_request_refused"
    assert len(server.calls) == 2


# How long is waited between two calls


@pytest.fixture
def waits() -> Iterator[asyncio.Queue[float]]:
    """The seconds until the next call, as soon as they are known."""
    planned: asyncio.Queue[float] = asyncio.Queue()
    instrumentation.set_on_retry_hooks([lambda details: planned.put_nowait(details.wait_for)])
    yield planned
    instrumentation.set_on_retry_hooks(())


@pytest.mark.parametrize(
    ("retry_after", "least", "most"),
    [
        ("7", 7, 7),
        ("20", 20, 20),
        ("0", 0, 0),
        (" 7 ", 7, 7),
        (None, 0.5, 1),
        ("soon", 0.5, 1),
        ("-5", 0.5, 1),
        ("1.5", 0.5, 1),
        ("", 0.5, 1),
        ("Fri, 21 Nov 2025 12:00:00 GMT", 0, 0),
        ("Fri, 21 Nov 2025 12:00:00 -0000", 0.5, 1),
        ("Thu, 01 Jan 2026 00:00:00 +99999999999999999999", 0.5, 1),
    ],
)
async def test_a_server_that_says_when_to_come_back_is_obeyed(
    server: Upstream,
    make_model: MakeModel,
    waits: "asyncio.Queue[float]",
    retry_after: str | None,
    least: float,
    most: float,
) -> None:
    async def is_busy(call: Call) -> None:
        headers = {} if retry_after is None else {"retry_after": retry_after}
        await call.reply(429, **headers)

    server.answers(is_busy)
    asking = asyncio.create_task(hear(make_model()))
    assert least <= await waits.get() <= most
    asking.cancel()
    await asyncio.wait([asking])


async def test_a_date_is_waited_for(
    server: Upstream, make_model: MakeModel, waits: "asyncio.Queue[float]"
) -> None:
    async def is_busy(call: Call) -> None:
        when = datetime.now(UTC) + timedelta(seconds=15)
        await call.reply(429, retry_after=format_datetime(when, usegmt=True))

    server.answers(is_busy)
    asking = asyncio.create_task(hear(make_model()))
    assert 10 < await waits.get() <= 15
    asking.cancel()
    await asyncio.wait([asking])


@pytest.mark.parametrize("retry_after", ["21", "3600", "9" * 400, "Fri, 21 Nov 2087 12:00:00 GMT"])
async def test_a_server_that_says_to_come_back_late_is_not_called_again(
    server: Upstream, make_model: MakeModel, retry_after: str
) -> None:
    async def is_busy(call: Call) -> None:
        await call.reply(429, retry_after=retry_after)

    server.answers(is_busy)
    heard = await hear(make_model())
    assert heard.code == "upstream_rate_limited"
    assert len(server.calls) == 1


async def test_each_failure_is_followed_by_a_longer_wait(
    server: Upstream, make_model: MakeModel, waits: "asyncio.Queue[float]"
) -> None:
    async def fails(call: Call) -> None:
        await call.reply(500)

    server.answers(fails)
    asking = asyncio.create_task(hear(make_model()))
    assert 0.5 <= await waits.get() <= 1
    assert 1 <= await waits.get() <= 1.5
    asking.cancel()
    await asyncio.wait([asking])


# Where it does not go


@pytest.fixture
async def canary() -> AsyncIterator[Upstream]:
    async with upstream() as made:
        yield made


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
@pytest.mark.parametrize("header", ["location", "refresh", "content_location", "alt_svc"])
async def test_redirects_are_not_followed(
    server: Upstream, canary: Upstream, make_model: MakeModel, status: int, header: str
) -> None:
    async def sends_elsewhere(call: Call) -> None:
        await call.reply(status, **{header: f"{canary.base_url}/elsewhere"})

    server.answers(sends_elsewhere)
    heard = await hear(make_model())
    assert (heard.pieces, heard.code) == ([], "upstream_request_refused")
    assert "elsewhere" in str(heard.failure)
    assert len(server.calls) == 1
    assert canary.connections == 0


@pytest.mark.usefixtures("no_waiting")
async def test_a_server_with_a_bad_certificate_is_told_nothing(make_model: MakeModel) -> None:
    async with upstream(tls=self_signed()) as unknown:
        for trusted in (True, False):
            heard = await hear(
                make_model(base_url=f"https://127.0.0.1:{unknown.port}/v1", trusted=trusted)
            )
            assert heard.failure is not None
        assert unknown.calls == []


# What is told of it


async def reflects_in_the_body(call: Call) -> None:
    await call.reply(400, {"error": {"message": f"bad key {call.headers['authorization']}"}})


async def reflects_in_plain_text(call: Call) -> None:
    await call.reply(401, call.headers["authorization"].encode(), content_type="text/plain")


async def reflects_in_code_and_type(call: Call) -> None:
    key = call.headers["authorization"]
    await call.reply(500, {"error": {"message": key, "code": key, "type": key, "param": key}})


async def reflects_in_a_header(call: Call) -> None:
    key = call.headers["authorization"]
    names = ("x_request_id", "x_key", "www_authenticate", "location", "set_cookie", "retry_after")
    await call.reply(429, **dict.fromkeys(names, key))


async def reflects_in_a_redirect(call: Call) -> None:
    await call.reply(307, location=f"http://127.0.0.1:1/{API_KEY}")


async def reflects_in_the_content_type(call: Call) -> None:
    await call.reply(200, content_type=API_KEY)


async def reflects_in_the_encoding(call: Call) -> None:
    await call.reply(200, content_encoding=API_KEY)


async def reflects_in_the_reason(call: Call) -> None:
    await call.begin(403, reason=call.headers["authorization"])
    await call.end()


async def reflects_in_a_bad_status(call: Call) -> None:
    await call.send(f"HTTP/1.1 {API_KEY}\r\n\r\n".encode())
    call.cut()


async def reflects_in_a_bad_header(call: Call) -> None:
    await call.send(f"HTTP/1.1 200 OK\r\n{API_KEY}\r\nX\x00: {API_KEY}\r\n\r\n".encode())
    call.cut()


async def reflects_in_a_bad_chunk(call: Call) -> None:
    await call.begin()
    await call.chunk("Hi")
    await call.send(f"{API_KEY}\r\n".encode())
    call.cut()


async def reflects_in_the_stream(call: Call) -> None:
    await call.begin()
    await call.say(error={"message": API_KEY, "code": API_KEY, "type": API_KEY})
    await call.end()


async def reflects_in_a_bad_event(call: Call) -> None:
    await call.begin()
    await call.say(choices=API_KEY)
    await call.end()


async def reflects_in_bad_json(call: Call) -> None:
    await call.begin()
    await call.write(b'data: {"%b\n\n' % API_KEY.encode())
    await call.end()


async def reflects_in_an_error_event(call: Call) -> None:
    await call.begin()
    await call.write(b"event: error\ndata: %b\n\n" % API_KEY.encode())
    await call.end()


async def cuts(call: Call) -> None:
    call.cut()


async def hangs(call: Call) -> None:
    await call.hang()


REFLECTIONS: list[Script] = [
    *(reflects_in_the_body, reflects_in_plain_text, reflects_in_code_and_type),
    *(reflects_in_a_header, reflects_in_a_redirect, reflects_in_the_content_type),
    *(reflects_in_the_encoding, reflects_in_the_reason, reflects_in_a_bad_status),
    *(reflects_in_a_bad_header, reflects_in_a_bad_chunk, reflects_in_the_stream),
    *(reflects_in_a_bad_event, reflects_in_bad_json, reflects_in_an_error_event, cuts, hangs),
]


def all_of(error: BaseException | None, seen: set[int]) -> Iterator[BaseException]:
    """An error, and whatever it came from."""
    if error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        yield from all_of(error.__cause__, seen)
        yield from all_of(error.__context__, seen)


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize("script", REFLECTIONS)
@pytest.mark.parametrize("streams", [True, False])
async def test_a_server_that_repeats_the_key_cannot_have_it_told(
    server: Upstream,
    make_model: MakeModel,
    caplog: pytest.LogCaptureFixture,
    script: Script,
    streams: bool,
) -> None:
    server.answers(script)
    with caplog.at_level(logging.DEBUG):
        for name in ("openai", "httpx2", "httpcore2", "aiohttp", "stamina", "asyncio"):
            caplog.set_level(logging.DEBUG, logger=name)
        model = make_model(
            streams=streams,
            limits=Limits(first_event=0.3, gap=0.3, total=0.3 if not streams else 9),
        )
        heard = await hear(model)
    assert isinstance(heard.failure, ModelFailed)
    told = [
        *(f"{error!s} {error!r}" for error in all_of(heard.failure, set())),
        *traceback.format_exception(heard.failure),
        *(f"{record.getMessage()} {record.__dict__}" for record in caplog.records),
        repr(model),
    ]
    assert API_KEY[5:] not in "\n".join(told)


async def test_the_log_of_an_answer_holds_neither_key_nor_text(
    server: Upstream, make_model: MakeModel, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        for name in ("openai", "httpx2", "httpcore2", "aiohttp", "asyncio"):
            caplog.set_level(logging.DEBUG, logger=name)
        await hear(make_model(), Prompt((PromptMessage(Role.USER, "a-private-question"),)))
    told = "\n".join(f"{record.getMessage()} {record.__dict__}" for record in caplog.records)
    assert API_KEY[5:] not in told
    assert "a-private-question" not in told


async def test_a_reason_to_end_is_told_but_not_at_length(
    server: Upstream, make_model: MakeModel
) -> None:
    async def ends(call: Call) -> None:
        await call.begin()
        await call.finish("stop " + "x" * 1_000)
        await call.done()

    server.answers(ends)
    async with aclosing(make_model(limits=PATIENT).stream(HELLO)) as pieces:
        heard = await Heard().all_of(pieces)
    assert heard.finish is not None
    assert heard.finish.reason is not None
    assert len(heard.finish.reason) == 40
