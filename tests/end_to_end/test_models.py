"""Models of real servers, asked over `/ws` by a real process. The server is scripted; who follows
sees what the database keeps, whatever it does."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.processes import (
    Json,
    Process,
    hear,
    hear_until,
    process,
    say,
    sse,
    sse_until_last,
    text_of,
)
from tests.upstream import Call, Script, Upstream, hello, upstream

KEY = "sk-seeded-5e7d1c0a9b8f7e6d"
TERMINAL = ("done", "failed", "stopped")


@dataclass
class Heard:
    """One answer, as its asker heard it."""

    session_id: str
    generation_id: str
    events: list[Json]

    @property
    def last(self) -> Json:
        return self.events[-1]

    @property
    def text(self) -> str:
        return text_of(self.events)

    @property
    def code(self) -> str | None:
        return self.last["error"]["code"] if self.last["type"] == "failed" else None


async def ask(chat: Process, text: str = "Who are you?", **wishes: Any) -> Heard:
    """A message over a new socket; returns when its answer has ended, whichever way, and has
    checked that all who look see the same."""
    async with chat.websocket() as socket:
        session_id = (await hear(socket))["session_id"]
        await say(socket, type="send", message=text, **wishes)
        heard = await hear_until(socket, "error", *TERMINAL)
    assert heard[-1]["type"] in TERMINAL, heard[-1]
    accepted, *events = heard
    answer = Heard(session_id, accepted["generation_id"], events)
    await check(chat, answer)
    return answer


async def check(chat: Process, answer: Heard) -> None:
    """The oracle: one terminal event, ids that rise, and one text for live readers, late readers
    and the database."""
    ids = [tuple(map(int, event["id"].split("-"))) for event in answer.events]
    assert ids == sorted(set(ids))
    assert [event["type"] in TERMINAL for event in answer.events].count(True) == 1
    path = f"/api/chat/generations/{answer.generation_id}"
    async with asyncio.timeout(30):
        late = await sse_until_last(sse(chat, f"{path}/stream"))
    assert late[-1] == {name: said for name, said in answer.last.items() if name != "title"}
    async with chat.http() as http:
        generation = (await http.get(path)).json()
        messages = (await http.get(f"/api/chat/sessions/{answer.session_id}/messages")).json()
    stored = [item["content"] for item in messages["items"] if item["role"] == "assistant"]
    completed = answer.last["type"] == "done"
    assert generation["status"] == ("completed" if completed else "failed")
    assert answer.text == text_of(late) == generation["text"] == "".join(stored)
    assert len(stored) == (1 if completed or answer.text else 0)


@pytest.fixture
async def server() -> AsyncIterator[Upstream]:
    async with upstream() as made:
        yield made


def of_server(server: Upstream, **more: str) -> dict[str, str]:
    return {
        "OPENAI_API_KEY": KEY,
        "OPENAI_BASE_URL": server.base_url,
        "OPENAI_MODEL": "gpt-real",
        **more,
    }


async def test_an_answer_of_the_server_s_own_model(tmp_path: Path, server: Upstream) -> None:
    async with process(tmp_path, **of_server(server)) as chat:
        answer = await ask(chat)
        async with chat.http() as http:
            models = (await http.get("/api/models")).json()
    assert answer.text == "Hello"
    assert answer.last["finish_reason"] == "stop"
    assert answer.last["usage"] == {
        "prompt_tokens": 3,
        "completion_tokens": 2,
        "total_tokens": 5,
    }
    assert models["default"] == "gpt-real"
    assert models["models"][0] == {
        "model_name": "gpt-real",
        "provider": "openai",
        "source": "server",
    }
    [call] = server.calls
    assert call.path == "/v1/chat/completions"
    assert call.headers["authorization"] == f"Bearer {KEY}"
    assert (call.body["model"], call.body["stream"]) == ("gpt-real", True)
    assert call.body["messages"][-1] == {"role": "user", "content": "Who are you?"}
    assert KEY not in chat.log


async def test_an_answer_that_is_asked_for_as_a_whole(tmp_path: Path, server: Upstream) -> None:
    async def whole(call: Call) -> None:
        message = {"role": "assistant", "content": "Hello", "reasoning_content": "Hm."}
        choice = {"index": 0, "message": message, "finish_reason": "length"}
        await call.reply(200, {"choices": [choice], "usage": None})

    server.answers(whole)
    async with process(tmp_path, **of_server(server, OPENAI_STREAM="false")) as chat:
        answer = await ask(chat)
    assert [event["type"] for event in answer.events] == ["start", "reasoning", "chunk", "done"]
    assert (answer.text, answer.last["finish_reason"]) == ("Hello", "length")
    assert not server.calls[0].body["stream"]


async def test_the_model_is_told_what_was_said_before(tmp_path: Path, server: Upstream) -> None:
    async with (
        process(tmp_path, **of_server(server, CONTEXT_MESSAGES="4")) as chat,
        chat.websocket() as socket,
    ):
        for text in ("My name is Ada.", "two", "three"):
            await say(socket, type="send", message=text)
            await hear_until(socket, "done")
    system, *said = server.calls[-1].body["messages"]
    assert system["role"] == "system"
    assert [(each["role"], each["content"]) for each in said] == [
        ("user", "two"),
        ("assistant", "Hello"),
        ("user", "three"),
    ]
    assert {"role": "user", "content": "My name is Ada."} in server.calls[1].body["messages"]


async def before_the_head(call: Call) -> None:
    await call.hang()


async def before_the_first_chunk(call: Call) -> None:
    await call.begin()
    await call.hang()


async def between_chunks(call: Call) -> None:
    await call.begin()
    await call.chunk("so far")
    await call.hang()


async def comments_for_ever(call: Call) -> None:
    await call.begin()
    await call.chunk("so far")
    while True:
        await call.write(b": still here\n\n")
        await asyncio.sleep(0.01)  # its pace, not a wait for anything


@pytest.mark.parametrize(
    ("script", "kept"),
    [
        (before_the_head, ""),
        (before_the_first_chunk, ""),
        (between_chunks, "so far"),
        (comments_for_ever, "so far"),
    ],
)
async def test_a_server_that_hangs_is_left_at_the_limit(
    tmp_path: Path, server: Upstream, script: Script, kept: str
) -> None:
    server.answers(script)
    limits = {"UPSTREAM_FIRST_EVENT_SECONDS": "0.5", "UPSTREAM_GAP_SECONDS": "0.5"}
    async with process(tmp_path, **of_server(server, **limits)) as chat:
        answer = await ask(chat)
        await server.calls[0].left.wait()
    assert (answer.code, answer.text) == ("upstream_timeout", kept)
    assert len(server.calls) == 1


async def test_a_server_that_is_busy_or_fails_is_called_again(
    tmp_path: Path, server: Upstream
) -> None:
    async def busy(call: Call) -> None:
        await call.reply(429, {"error": {"message": KEY}}, retry_after="1")

    async def broken(call: Call) -> None:
        await call.reply(500, {"error": {"message": KEY}})

    async with process(tmp_path, **of_server(server)) as chat:
        for scripts in ([busy, hello], [broken, broken, hello]):
            server.calls.clear()
            server.answers(*scripts)
            answer = await ask(chat)
            assert (answer.text, len(server.calls)) == ("Hello", len(scripts))
        server.calls.clear()
        server.answers(broken)
        answer = await ask(chat)
        assert (answer.code, len(server.calls)) == ("upstream_error", 3)
    assert KEY not in chat.log


def wrong(data: bytes) -> Script:
    """An answer that begins well, goes on with `data`, and ends."""

    async def script(call: Call) -> None:
        await call.begin()
        await call.chunk("so far")
        await call.write(data)
        await call.end()

    return script


async def web_page(call: Call) -> None:
    await call.reply(200, b"<!doctype html><title>Sign in</title>", "text/html; charset=utf-8")


async def cut_off(call: Call) -> None:
    await call.begin()
    await call.chunk("so far")
    call.cut()


async def reset(call: Call) -> None:
    await call.begin()
    await call.chunk("so far")
    call.reset()


WRONG: dict[str, tuple[Script, str, str]] = {
    "clean end": (wrong(b": the end\n\n"), "so far", "upstream_truncated"),
    "half an event": (
        wrong(b'data: {"choices":[{"index":0,"delta":{"content":"more"},"finish_reason":"stop"}'),
        "so far",
        "upstream_truncated",
    ),
    "cut off": (cut_off, "so far", "upstream_truncated"),
    "web page": (web_page, "", "upstream_malformed"),
    "error object": (
        wrong(b'data: {"error":{"message":"no","code":"500"}}\n\n'),
        "so far",
        "upstream_error",
    ),
    "error event": (wrong(b"event: error\ndata: no\n\n"), "so far", "upstream_error"),
    "bad JSON": (wrong(b"data: {choices\n\n"), "so far", "upstream_malformed"),
    "null": (wrong(b"data: null\n\n"), "so far", "upstream_malformed"),
    "wrong types": (
        wrong(b'data: {"choices":[{"delta":{"content":7}}]}\n\n'),
        "so far",
        "upstream_malformed",
    ),
}


async def test_a_broken_answer_is_never_a_success_and_harms_nobody(
    tmp_path: Path, server: Upstream
) -> None:
    async with process(tmp_path, **of_server(server)) as chat:
        for name, (script, kept, code) in WRONG.items():
            server.answers(script)
            answer = await ask(chat)
            assert (name, answer.code, answer.text) == (name, code, kept)
            server.answers(hello)
            assert (await ask(chat)).text == "Hello", name
        server.answers(reset)
        answer = await ask(chat)
        # What was received and not yet read goes with a reset: the text may be empty.
        assert answer.code == "upstream_truncated"


async def test_a_flood_is_cut_or_exact_and_memory_stays_flat(
    tmp_path: Path, server: Upstream
) -> None:
    async def one_line_of_200_mb(call: Call) -> None:
        await call.begin()
        await call.write(b"data: ")
        for _ in range(200):
            await call.write(b"x" * 1024 * 1024)

    async def more_than_is_kept(call: Call) -> None:
        await call.begin()
        while True:
            await call.chunk("y" * 10_000)

    async def many_small_chunks(call: Call) -> None:
        await call.begin()
        for number in range(100_000):
            await call.chunk("0123456789"[number % 10])
        await call.finish()
        await call.done()

    async def split_characters(call: Call) -> None:
        await call.begin()
        said = {"choices": [{"index": 0, "delta": {"content": "naïve 😀\x00"}}]}
        for byte in b"data: " + json.dumps(said, ensure_ascii=False).encode() + b"\n\n":
            await call.write(bytes((byte,)))
        await call.finish()
        await call.done()

    async def bomb(call: Call) -> None:
        await call.begin(content_encoding="gzip")
        await call.write(b"\x1f\x8b" + b"\x00" * 1000)
        await call.end()

    async with process(tmp_path, **of_server(server)) as chat:
        await ask(chat)
        before = peak_memory(chat)
        server.answers(one_line_of_200_mb)
        assert (await ask(chat)).code == "upstream_malformed"
        server.answers(bomb)
        assert (await ask(chat)).code == "upstream_malformed"
        server.answers(split_characters)
        assert (await ask(chat)).text == "naïve 😀\ufffd"
        server.answers(many_small_chunks)
        assert (await ask(chat)).text == "0123456789" * 10_000
        server.answers(more_than_is_kept)
        answer = await ask(chat)
        assert answer.code == "upstream_overflow"
        assert len(answer.text) == 1024 * 1024 // 10_000 * 10_000
        assert peak_memory(chat) - before < 100 * 1024 * 1024


def peak_memory(chat: Process) -> int:
    """Bytes."""
    assert chat.running is not None
    status = Path(f"/proc/{chat.running.pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


async def add_api(chat: Process, name: str, base_url: str, **more: str) -> Json:
    said = {"name": name, "model_name": name, "base_url": base_url, "api_key": KEY, **more}
    async with chat.http() as http:
        reply = await http.post("/api/user/apis", json=said)
    assert reply.status_code == 201, reply.text
    made: Json = reply.json()
    return made


async def test_one_user_s_broken_server_leaves_the_others_alone(
    tmp_path: Path, server: Upstream
) -> None:
    async with upstream() as broken, process(tmp_path) as chat:

        async def fail(call: Call) -> None:
            await call.reply(500)

        broken.answers(fail)
        await add_api(chat, "broken", broken.base_url)
        await add_api(chat, "sound", server.base_url)
        first, second = await ask(chat, model_name="broken"), await ask(chat, model_name="broken")
        assert (first.code, second.code) == ("upstream_error", "upstream_suspended")
        calls = len(broken.calls)
        third, other = await asyncio.gather(
            ask(chat, model_name="broken"), ask(chat, model_name="sound")
        )
    assert (third.code, other.text) == ("upstream_suspended", "Hello")
    assert len(broken.calls) == calls == 5


async def test_a_user_s_configuration_goes_before_the_server_s_models(
    tmp_path: Path, server: Upstream
) -> None:
    async with upstream() as own, process(tmp_path, **of_server(server)) as chat:
        assert (await ask(chat)).events[0]["model_name"] == "gpt-real"
        made = await add_api(chat, "mine", own.base_url)
        answer = await ask(chat)
        assert answer.events[0]["model_name"] == "mine"
        assert (await ask(chat, model_name="gpt-real")).text == "Hello"
        assert (await ask(chat, model_name="simulated")).text.startswith("chunk 1: Who are you?")
        assert (len(own.calls), len(server.calls)) == (1, 2)
        async with chat.http() as http:
            tried = (await http.post(f"/api/user/apis/{made['id']}/test")).json()
            assert (await http.delete(f"/api/user/apis/{made['id']}")).status_code == 204
        assert tried["ok"] is True
        assert (await ask(chat)).events[0]["model_name"] == "gpt-real"


async def test_users_addresses_that_aim_inside_hit_nothing(
    tmp_path: Path, server: Upstream
) -> None:
    """The server's own model is at the same address, and may be; its idle connection is not
    lent to users either."""
    inside = [
        server.base_url,
        f"http://localhost:{server.port}/v1",
        f"http://127.1:{server.port}/v1",
        f"http://2130706433:{server.port}/v1",
        f"http://0x7f000001:{server.port}/v1",
        f"http://0.0.0.0:{server.port}/v1",
        f"http://[::1]:{server.port}/v1",
        f"http://[::ffff:127.0.0.1]:{server.port}/v1",
        f"http://[::ffff:7f00:1]:{server.port}/v1",
        "http://169.254.169.254/latest",
    ]
    async with process(tmp_path, **of_server(server, UPSTREAM_PRIVATE="refused")) as chat:
        assert (await ask(chat)).text == "Hello"
        server.calls.clear()
        for number, base_url in enumerate(inside):
            await add_api(chat, f"inside-{number}", base_url)
            answer = await ask(chat, model_name=f"inside-{number}")
            assert answer.code in ("upstream_address_refused", "upstream_unreachable"), base_url
        assert server.calls == []
        assert (await ask(chat, model_name="gpt-real")).text == "Hello"


async def test_a_host_on_the_list_may_be_reached_but_redirects_lead_nowhere(
    tmp_path: Path, server: Upstream
) -> None:
    async with upstream() as canary:

        async def elsewhere(call: Call) -> None:
            await call.reply(307, location=f"{canary.base_url}/chat/completions")

        allowed = {
            "UPSTREAM_PRIVATE": "refused",
            "UPSTREAM_ALLOWLIST": f"localhost, 127.0.0.1:{server.port}",
        }
        async with process(tmp_path, **allowed) as chat:
            await add_api(chat, "listed", server.base_url)
            assert (await ask(chat)).text == "Hello"
            server.answers(elsewhere)
            assert (await ask(chat)).code == "upstream_request_refused"
    assert canary.calls == []


async def test_no_key_is_ever_shown(tmp_path: Path, server: Upstream) -> None:
    """Not even where the server repeats it in all that it says."""
    seen: list[str] = []

    async def repeat_it(call: Call) -> None:
        key = call.headers["authorization"]
        await call.begin(401, "application/json", www_authenticate=key)
        await call.write(json.dumps({"error": {"message": key, "code": key}}).encode())
        await call.end()

    async def repeat_it_in_an_event(call: Call) -> None:
        await call.begin()
        key = call.headers["authorization"]
        await call.say(error={"message": key, "code": key, "type": key})
        await call.end()

    environment = of_server(server, LOG_LEVEL="DEBUG")
    async with process(tmp_path, **environment) as chat:
        made = await add_api(chat, "mine", server.base_url)
        seen.append(json.dumps(made))
        for script in (repeat_it, repeat_it_in_an_event):
            server.answers(script)
            for model_name in ("mine", "gpt-real"):
                seen += map(json.dumps, (await ask(chat, model_name=model_name)).events)
        async with chat.http() as http:
            api = f"/api/user/apis/{made['id']}"
            replies = [
                await http.get("/api/user/apis"),
                await http.get("/api/user/apis/first"),
                await http.get("/api/user/apis/mine"),
                await http.get("/api/models"),
                await http.post(f"{api}/test"),
                await http.put(api, json={"api_key": KEY, "unknown": KEY}),
                await http.put(api, json={"api_key": [KEY]}),
                await http.put(api, json={"base_url": f"http://{KEY}@host/v1"}),
                await http.post("/api/user/apis", json={"name": "mine", "api_key": KEY * 99}),
                await http.post("/api/user/apis", content=f'{{"api_key": "{KEY}"'),
            ]
            seen += [f"{reply.headers} {reply.text}" for reply in replies]
    assert made["key_hint"] == KEY[-4:]
    assert [text for text in (*seen, chat.log) if KEY in text] == []
    assert files_with(KEY, tmp_path) == []
    assert files_with("gpt-real", tmp_path) != []


def files_with(text: str, folder: Path) -> list[str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return [path.name for path in files if text.encode() in path.read_bytes()]
