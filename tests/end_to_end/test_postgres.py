"""The same product over a Postgres server: real processes, real sockets."""

import os
import subprocess
import sys
from contextlib import aclosing
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests import servers
from tests.end_to_end.processes import (
    PATIENCE,
    ROOT,
    Json,
    Process,
    hear,
    hear_until,
    process,
    sse,
    sse_until_last,
    text_of,
)

QUICK = {"LEASE_SECONDS": "3", "SWEEP_SECONDS": "0.5"}
ANSWER = "".join(f"chunk {number}: Hello, LLM!" for number in range(1, 6))


async def history(server: Process, session_id: str) -> list[tuple[str, str]]:
    async with server.http() as http:
        reply = await http.get(f"/api/chat/sessions/{session_id}/messages")
    return [(item["role"], item["content"]) for item in reply.json()["items"]]


def files(folder: Path) -> list[str]:
    return sorted(str(entry.relative_to(folder)) for entry in folder.rglob("*"))


def start(folder: Path, command: str, url: str) -> tuple[int, list[str]]:
    ended = subprocess.run(
        [sys.executable, str(ROOT / "main.py"), command],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PORT": "0", "DATABASE_URL": url},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    return ended.returncode, ended.stderr.splitlines()


async def test_a_question_is_answered_and_both_are_kept(tmp_path: Path, postgres_url: str) -> None:
    settings = {"DATABASE_URL": postgres_url, "SIMULATED_DELAY": "0.01"}
    async with process(tmp_path, **settings) as server:
        async with server.websocket() as socket:
            session_id = (await hear(socket))["session_id"]
            await socket.send("Hello, LLM!")
            frames = await hear_until(socket, "done")
        assert await server.terminate() == 0
        await server.start()
        kept = await history(server, session_id)
    assert [frame["type"] for frame in frames] == ["accepted", "start", *["chunk"] * 5, "done"]
    assert kept == [("user", "Hello, LLM!"), ("assistant", ANSWER)]
    assert files(tmp_path) == ["data", "data/encryption.key", "data/secret.key", "data/uploads"]
    assert (urlsplit(postgres_url).password or "no password") not in server.log


async def test_after_a_crash_in_mid_answer_the_next_start_completes_it(
    tmp_path: Path, postgres_url: str
) -> None:
    settings = {"DATABASE_URL": postgres_url, "SIMULATED_DELAY": "0.2", **QUICK}
    async with process(tmp_path, **settings) as server:
        async with server.websocket() as socket:
            session_id = (await hear(socket))["session_id"]
            await socket.send("Hello, LLM!")
            seen = (await hear_until(socket, "chunk"))[1:]
            await server.kill()
        await server.start()
        cursor = seen[-1]["id"]
        async with server.websocket(f"?session_id={session_id}&last_event_id={cursor}") as socket:
            await hear(socket)
            seen += await hear_until(socket, "done")
        kept = await history(server, session_id)
    assert [event["type"] for event in seen].count("reset") == 1
    assert [event["type"] for event in seen].count("done") == 1
    assert text_of(seen) == ANSWER
    assert kept == [("user", "Hello, LLM!"), ("assistant", ANSWER)]


async def test_doors_and_worker_in_two_processes_meet_in_the_database(
    tmp_path: Path, postgres_url: str
) -> None:
    (doors_folder := tmp_path / "doors").mkdir()
    (worker_folder := tmp_path / "worker").mkdir()
    settings = {"DATABASE_URL": postgres_url, "SIMULATED_DELAY": "0.05", **QUICK}
    async with (
        process(doors_folder, "serve", WATCHDOG_SECONDS="0.5", **settings) as doors,
        process(worker_folder, "work", **settings),
        doors.websocket() as socket,
    ):
        await hear(socket)
        await socket.send("Hello, LLM!")
        frames = await hear_until(socket, "done")
    assert frames[-2]["type"] == "snapshot"
    assert text_of(frames) == ANSWER


async def test_when_the_server_comes_back_answers_go_on(tmp_path: Path, postgres_url: str) -> None:
    """Every connection is lost while a question is being answered."""
    settings = {"DATABASE_URL": postgres_url, "SIMULATED_DELAY": "0.2", **QUICK}
    async with process(tmp_path, **settings) as server:
        async with server.websocket() as socket:
            await hear(socket)
            await socket.send("Hello, LLM!")
            seen: list[Json] = await hear_until(socket, "chunk")
            await servers.execute(
                postgres_url,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid != pg_backend_pid()",
            )
            seen += await hear_until(socket, "done")
        path = f"/api/chat/generations/{seen[0]['generation_id']}"
        async with aclosing(sse(server, f"{path}/stream")) as events:
            await sse_until_last(events)
        async with server.http() as http:
            generation = (await http.get(path)).json()
    assert (generation["status"], generation["text"]) == ("completed", ANSWER)
    assert text_of(seen[1:]) == ANSWER


@pytest.mark.parametrize("command", ["dev", "migrate"])
def test_a_server_that_is_away_is_a_clear_error_without_the_password(
    tmp_path: Path, unused_tcp_port: int, command: str
) -> None:
    url = f"postgres://ada:secret@127.0.0.1:{unused_tcp_port}/chat"
    code, said = start(tmp_path, command, url)
    assert (code, len(said)) == (2, 1)
    assert said[0].startswith("llm-chat: The database does not answer. (")
    assert "secret" not in said[0]


def test_who_is_not_let_in_is_told_why_without_the_password(
    tmp_path: Path, postgres_url: str
) -> None:
    code, said = start(tmp_path, "dev", servers.as_user(postgres_url, "nobody", "secret"))
    assert (code, len(said)) == (2, 1)
    assert said[0].endswith('(password authentication failed for user "nobody")')
    assert "secret" not in said[0]


@pytest.mark.parametrize("command", ["serve", "work"])
async def test_without_its_tables_only_dev_and_migrate_start(
    tmp_path: Path, postgres_server: servers.Postgres, command: str
) -> None:
    async with postgres_server.database("template0") as url:
        code, said = start(tmp_path, command, url)
        assert (code, len(said)) == (2, 1)
        assert "python main.py migrate" in said[0]
        assert start(tmp_path, "migrate", url)[0] == 0
