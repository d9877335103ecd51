"""A real process does as its description says, whatever is asked of it (T59).

Schemathesis reads `/openapi.json` and asks at every operation: the examples, what is at the edges
of each schema and just beyond them, what it makes up, and sequences, where one answer names what
the next request is about. No answer may be a 5xx, or of a status, content type, shape or error code
that is not described. What it makes up is the same each time.
"""

import asyncio
import os
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.end_to_end.processes import ROOT, Process, process
from tests.upstream import upstream

SECONDS: Final = 170.0
CONFIG: Final = Path(__file__).with_name("schemathesis.toml")
PASSWORD: Final = "correct-horse-battery"


async def token_of(server: Process, username: str) -> str:
    async with server.http() as http:
        credentials = {"username": username, "password": PASSWORD}
        reply = await http.post("/api/auth/register", json=credentials)
    token: str = reply.json()["access_token"]
    return token


async def run_schemathesis(folder: Path, server: Process, *options: str, **environment: str) -> str:
    """What it says; fails if it has found anything."""
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIG), "run"),
        *(f"http://{server.address}/openapi.json", "--no-color", *options),
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(SECONDS):
            said, _ = await running.communicate()
    finally:
        if running.returncode is None:
            running.kill()
            await running.wait()
    assert running.returncode == 0, said.decode()
    return said.decode()


NO_LIMITS: Final = {
    "LOG_IN_FAILURES": "0",
    "REGISTRATIONS": "0",
    "REQUESTS_PER_USER": "0",
    "REQUESTS_PER_ADDRESS": "0",
}
"""Else most of what is asked here would not come to where it is answered."""


@pytest.mark.timeout(SECONDS + 60)
@pytest.mark.parametrize("mode", ["open", "required"])
async def test_every_operation_answers_as_it_is_described(tmp_path: Path, mode: str) -> None:
    async with (
        upstream() as models,
        process(
            tmp_path,
            AUTH_MODE=mode,
            SIMULATED_DELAY="0",
            SYNC_TIMEOUT="60",
            UPSTREAM_ALLOWLIST="127.0.0.1",
            **NO_LIMITS,
        ) as server,
    ):
        options = []
        if mode == "required":
            options += ["--header", f"Authorization: Bearer {await token_of(server, 'ada')}"]
        said = await run_schemathesis(
            tmp_path,
            server,
            *options,
            MODEL_SERVER=models.base_url,
            TOKEN_TO_END=await token_of(server, "bob"),
        )
        assert models.calls
    described = said.partition("Operations:")[2].split()
    selected, total = int(described[0]), int(described[3])
    assert selected == total - 1  # `/sse/{session_id}`, which has no end, is the next test's
    assert f"Tested: {selected}" in said


async def test_the_stream_that_has_no_end_begins_as_it_is_described(tmp_path: Path) -> None:
    async with process(tmp_path) as server, server.http() as http:
        document = (await http.get("/openapi.json")).json()
        made = await http.post("/api/chat/session", json={})
        answers = document["paths"]["/sse/{session_id}"]["get"]["responses"]
        async with http.stream("GET", f"/sse/{made.json()['session_id']}") as reply:
            assert str(reply.status_code) in answers
            (media_type,) = answers[str(reply.status_code)]["content"]
            assert reply.headers["content-type"].split(";")[0] == media_type
            assert await anext(reply.aiter_lines())
        missing = await http.get("/sse/none")
        assert missing.status_code == 404
        assert "404" in answers
