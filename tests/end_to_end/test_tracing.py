"""What an OpenTelemetry collector is told, and that nothing depends on it: real processes, a real
socket for the spans."""

import asyncio
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import pytest

from tests import servers
from tests.collector import Collector, collector
from tests.end_to_end.processes import (
    PATIENCE,
    ROOT,
    Process,
    hear,
    hear_until,
    process,
    say,
    text_of,
)
from tests.upstream import Call, Upstream, upstream

TRACE: Final = "0af7651916cd43dd8448eb211c80319c"
CALLER: Final = "b7ad6b7169203331"
QUESTION: Final = "whisper-of-mine"
KEY: Final = "sk-nobody-may-see-it"
COLLECTORS_KEY: Final = "Bearer of-the-collector"
END_SECONDS: Final = 20.0
"""The SDK itself would wait for 30 for a collector that says nothing, and we for 2."""

WITHOUT_THE_EXTRA: Final = "import sys; sys.modules['opentelemetry'] = None; import main; "


def traced(url: str) -> dict[str, str]:
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": url,
        "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20of-the-collector",
    }


@pytest.fixture
def collected() -> Iterator[Collector]:
    with collector() as made:
        yield made


async def migrated(folder: Path, environment: dict[str, str]) -> None:
    ended = await asyncio.create_subprocess_exec(
        sys.executable,
        str(ROOT / "main.py"),
        "migrate",
        cwd=folder,
        env={"PATH": os.environ["PATH"], **environment},
    )
    assert await ended.wait() == 0


def nothing_private_in(collected: Collector, *more: str) -> None:
    said = b"".join(collected.bodies)
    for word in (QUESTION, KEY, "127.0.0.1", "Hel", "local", *more):
        assert word.encode() not in said, word


async def test_a_message_is_one_trace_through_the_queue_to_the_model(
    tmp_path: Path, redis_server: servers.Redis, collected: Collector
) -> None:
    async with upstream() as model:
        shared = {
            **traced(collected.url),
            "REDIS_URL": redis_server.url,
            "OPENAI_BASE_URL": model.base_url,
            "OPENAI_API_KEY": KEY,
            "OPENAI_MODEL": "gpt-real",
        }
        await migrated(tmp_path, shared)
        async with AsyncExitStack() as closing:
            places = [process(tmp_path, command, **shared) for command in ("serve", "work")]
            started = [closing.enter_async_context(place) for place in places]
            doors, worker = await asyncio.gather(*started)
            async with doors.http() as http:
                reply = await http.post(
                    "/api/chat/message",
                    json={"message": QUESTION},
                    headers={"traceparent": f"00-{TRACE}-{CALLER}-01"},
                )
                answered = reply.json()
                # What stores no message is no span.
                for path in ("/healthz", "/readyz", "/api/chat/sessions"):
                    assert (await http.get(path)).status_code == 200
            assert reply.status_code == 200
            assert not any(await asyncio.gather(doors.terminate(), worker.terminate()))
    accept, answer, chat = (collected.named(name) for name in ("accept", "answer", "chat"))
    assert len(collected.spans) == 3
    assert {span.trace for span in (accept, answer, chat)} == {TRACE}
    assert (accept.parent, answer.parent, chat.parent) == (CALLER, accept.id, answer.id)
    assert (accept.kind, answer.kind, chat.kind) == ("server", "consumer", "client")
    assert {span.failed for span in collected.spans} == {None}
    assert {span.service for span in collected.spans} == {"llm-chat"}
    [call] = model.calls
    assert call.headers["traceparent"] == f"00-{TRACE}-{chat.id}-01"
    which = {
        "llm_chat.session_id": answered["session_id"],
        "llm_chat.generation_id": answered["generation_id"],
    }
    assert accept.attributes == which
    outcome = {"llm_chat.attempt": 1, "llm_chat.outcome": "completed"}
    assert answer.attributes == {**which, **outcome}
    assert chat.attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-real",
        "gen_ai.usage.input_tokens": 3,
        "gen_ai.usage.output_tokens": 2,
    }
    assert (collected.paths, collected.keys) == ({"/v1/traces"}, {COLLECTORS_KEY})
    nothing_private_in(collected)


async def test_a_users_own_server_learns_of_no_trace_and_a_failure_is_told_by_its_code(
    tmp_path: Path, collected: Collector
) -> None:
    async def refuse(call: Call) -> None:
        await call.reply(401, {"error": {"message": f"{KEY} is bad, {QUESTION}"}})

    async with upstream() as model:
        model.answers(refuse)
        settings = {**traced(collected.url), "OTEL_SERVICE_NAME": "my-chat"}
        async with process(tmp_path, **settings) as server:
            await add_own_model(server, model)
            async with server.websocket() as socket:
                await hear(socket)
                for _ in range(2):
                    await say(socket, type="send", message=QUESTION, model_name="my-secret-model")
                    await hear_until(socket, "failed")
            assert await server.terminate() == 0
    assert [call.headers.get("traceparent") for call in model.calls] == [None, None]
    spans = collected.spans
    assert len(spans) == 6
    assert len({span.trace for span in spans}) == 2  # each frame is a trace of its own
    assert {span.service for span in spans} == {"my-chat"}
    for span in spans:
        assert (span.parent == "") is (span.name == "accept")
        assert span.failed == (None if span.name == "accept" else "upstream_key_refused")
        assert span.events == 0
    nothing_private_in(collected, "my-secret-model")


async def add_own_model(server: Process, model: Upstream) -> None:
    api = {
        "name": "mine",
        "base_url": model.base_url,
        "model_name": "my-secret-model",
        "api_key": KEY,
    }
    async with server.http() as http:
        assert (await http.post("/api/user/apis", json=api)).status_code == 201


@pytest.mark.parametrize("takes_calls", [False, True], ids=["refuses", "says nothing"])
async def test_a_dead_collector_costs_neither_answers_nor_the_end_in_order(
    tmp_path: Path, takes_calls: bool
) -> None:
    settings = {"SIMULATED_DELAY": "0", "OTEL_BSP_SCHEDULE_DELAY": "10", "LOG_LEVEL": "DEBUG"}
    if not takes_calls:
        settings["OTEL_EXPORTER_OTLP_TIMEOUT"] = "0.1"
    with socket.socket() as dead:
        dead.bind(("127.0.0.1", 0))
        if takes_calls:
            dead.listen()
        url = f"http://ada:secret@127.0.0.1:{dead.getsockname()[1]}"
        async with process(tmp_path, **settings, **traced(url)) as server:
            async with server.websocket() as chat:
                await hear(chat)
                for _ in range(3):
                    await chat.send("Hello, LLM!")
                    frames = await hear_until(chat, "done")
                    assert text_of(frames).count("chunk") == 5
                    if not takes_calls:
                        await server.says("the collector takes no spans")
            async with asyncio.timeout(END_SECONDS):
                assert await server.terminate() == 0
    assert server.log.count("collector") == (0 if takes_calls else 1)
    assert "secret" not in server.log
    assert not re.search("opentelemetry|urllib3", server.log)


async def test_who_names_no_collector_needs_nothing_for_it(tmp_path: Path) -> None:
    program = ("-c", f"{WITHOUT_THE_EXTRA} sys.exit(main.main())")
    server = Process(tmp_path, "dev", {"PYTHONPATH": str(ROOT), "SIMULATED_DELAY": "0"}, program)
    await server.start()
    try:
        async with server.http() as http:
            reply = await http.post("/api/chat/message", json={"message": "Hello, LLM!"})
    finally:
        await server.kill()
    assert reply.status_code == 200


def test_a_collector_without_the_extra_is_a_clear_error(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", f"{WITHOUT_THE_EXTRA} sys.exit(main.main(['dev']))"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PORT": "0", **traced("http://127.0.0.1:4318")},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    [said] = ended.stderr.splitlines()
    assert ended.returncode == 2
    assert said.startswith("llm-chat: OTEL_EXPORTER_OTLP_ENDPOINT: ")
    assert "-r requirements-tracing.lock" in said
