"""The log of real processes: a request is followed by its id, and each line is JSON."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.end_to_end.processes import PATIENCE, ROOT, hear, hear_until, process, say
from tests.end_to_end.test_garbage import answer_to

EVIL = '\x00\x1b[2J\x7f\x85\u2028\u2029\u202e"\\{}%s%(x)d\r\n{"event": "forged"}\n😀'
KEY = "sk-seeded-5e7d1c0a9b8f7e6d"


def about(told: list[dict[str, Any]], request_id: str) -> list[str]:
    return [each["event"] for each in told if each.get("request_id") == request_id]


async def test_a_request_is_followed_from_the_door_to_the_worker(
    tmp_path: Path, postgres_url: str, redis_url: str
) -> None:
    settings = {"DATABASE_URL": postgres_url, "REDIS_URL": redis_url, "SIMULATED_DELAY": "0"}
    for name in ("web", "worker"):
        (tmp_path / name).mkdir()
    async with (
        process(tmp_path / "web", "serve", **settings) as web,
        process(tmp_path / "worker", "work", **settings) as worker,
    ):
        async with web.http() as http:
            asked = {"message": "Hello" + EVIL[1:]}
            headers = {"X-Request-ID": "my-request-0001"}
            reply = await http.post("/api/chat/message", json=asked, headers=headers)
            assert reply.status_code == 200, reply.text
            generation_id = reply.json()["generation_id"]
            await http.get("/api/chat/sessions", headers={"X-Request-ID": "my-request-0002"})
        async with web.websocket() as socket:
            await hear(socket)
            await say(socket, type="send", message="Hello again")
            await hear_until(socket, "done")
        assert await worker.terminate() == 0
        assert await web.terminate() == 0
    assert about(web.told(), "my-request-0001")[-1].startswith("POST '/api/chat/message' 200")
    assert any(line.startswith("MessageAccepted") for line in about(web.told(), "my-request-0001"))
    (other,) = about(web.told(), "my-request-0002")
    assert other.startswith("GET '/api/chat/sessions' 200")

    in_worker = about(worker.told(), "my-request-0001")
    assert f"answering {generation_id}, attempt 1, request my-request-0001" in in_worker
    assert any(line.startswith("GenerationCompleted") for line in in_worker)
    for told in worker.told():
        if told.get("request_id") == "my-request-0001":
            assert (told["generation_id"], told["attempt"]) == (generation_id, 1)

    opened = next(told for told in web.told() if told.get("path") == "/ws")
    assert (opened["method"], opened["status"]) == ("WEBSOCKET", 101)
    over_socket = f"{opened['request_id']}.1"
    assert any(line.startswith("MessageAccepted") for line in about(web.told(), over_socket))
    assert any(line.startswith("answering") for line in about(worker.told(), over_socket))


async def test_nothing_that_is_thrown_at_it_ends_a_line_or_leaves_a_secret(tmp_path: Path) -> None:
    async with process(tmp_path, SIMULATED_DELAY="0", LOG_LEVEL="DEBUG") as server:
        evil = quote(EVIL)
        long = "/" + "x" * 60_000
        async with server.http() as http:
            for path in (f"/{evil}", f"/api/chat/sessions/{evil}", f"/sse/{evil}", long):
                assert (await http.get(path)).status_code == 404
            for body in ({"title": EVIL}, {"title": 5, EVIL: EVIL}, {"title": EVIL * 1_000}):
                await http.post("/api/chat/session", json=body)
            credentials = {"username": EVIL, "password": KEY}
            await http.post("/api/auth/login", json=credentials)
            for header in (KEY, f"Bearer {KEY}", f"Basic {KEY}"):
                reply = await http.get("/api/chat/sessions", headers={"Authorization": header})
                assert reply.status_code == 401
            await http.get(f"/{KEY}", params={"ticket": KEY, "access_token": KEY})
        for value in (b"a\x01b", b"\xff\xfe", b"\xe2\x80\xa8", b"x" * 50_000):
            await answer_to(
                server,
                b"GET /nowhere HTTP/1.1\r\nHost: chat\r\nConnection: close\r\n"
                b"X-Request-ID: %b\r\nUser-Agent: %b\r\nOrigin: %b\r\n\r\n" % ((value,) * 3),
            )
        await answer_to(server, b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\nHost: chat\r\n\r\n")
        assert await server.terminate() == 0
    told = server.told()
    assert not [each for each in told if each["event"] == "forged"]
    assert f"/{EVIL}" in [each.get("path") for each in told]
    assert max(len(line) for line in server.log.split("\n")) < 64 * 1024
    assert KEY not in server.log
    assert "/[redacted]" in [each.get("path") for each in told]


@pytest.mark.parametrize("said", ["", "json"])
def test_on_a_terminal_it_is_for_people_unless_told_otherwise(tmp_path: Path, said: str) -> None:
    ours, its = pty.openpty()
    database = f"sqlite:///{tmp_path / 'chat.db'}"
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        environment = {"PATH": os.environ["PATH"], "DATABASE_URL": database, "LOG_FORMAT": said}
        program = [sys.executable, str(ROOT / "main.py"), "migrate"]
        subprocess.run(
            program, cwd=tmp_path, env=environment, stderr=its, timeout=PATIENCE, check=True
        )
        os.close(its)
        written = terminal.read(100_000).decode()
    assert "the database is up to date" in written
    assert ("\x1b[" in written) is (said == "")
    assert written.startswith("{") is (said == "json")


def test_a_process_that_ends_by_a_fault_says_so_in_one_line_and_so_do_warnings(
    tmp_path: Path,
) -> None:
    program = """
import sys, warnings, main
async def fail(settings):
    warnings.warn("it is\\nold")
    raise ZeroDivisionError("of\\ntwo lines")
main.COMMANDS["dev"] = fail
sys.exit(main.main([]))
"""
    ended = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert ended.returncode == 1
    warned, failed = (json.loads(line) for line in ended.stderr.splitlines())
    assert "it is\nold" in warned["event"]
    assert failed["exception"].startswith("Traceback")
    assert failed["exception"].endswith("ZeroDivisionError: of\ntwo lines")


async def test_in_a_file_it_may_be_for_people_too(tmp_path: Path) -> None:
    async with process(tmp_path, LOG_FORMAT="console") as server, server.http() as http:
        await http.get("/%0aforged%e2%80%a8", headers={"X-Request-ID": "my-request-0001"})
        await server.says("my-request-0001")
    (line,) = [line for line in server.log.splitlines() if "forged" in line]
    assert "request_id=my-request-0001" in line
    assert "\x1b" not in server.log
