"""The quick-start routes as a browser's EventSource asks at them: it comes back to the same address
with the last id that it has seen, and nothing is lost, told twice or asked twice."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

import httpx
import msgspec
import pytest

from tests.end_to_end.kept import Kept
from tests.end_to_end.processes import PATIENCE, Json, Process, process

FIVE_CHUNKS = "".join(f"chunk {number}: Hello" for number in range(1, 6))
QUICK = {"LEASE_SECONDS": "3", "SWEEP_SECONDS": "0.5", "WATCHDOG_SECONDS": "0.5"}


@dataclass
class EventSource:
    """What a browser keeps of one, over all its connections."""

    query: str
    text: str = ""
    last_event_id: str = ""
    ended: bool = False
    errors: list[Json] = field(default_factory=list)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    async def listen(self, server: Process, most: int | None = None) -> int:
        """One connection, until it ends, or is cut when so many pieces have come; the status."""
        cursor = {"Last-Event-ID": self.last_event_id} if self.last_event_id else {}
        path, pieces, read = f"/chat/stream?{self.query}", 0, ""
        async with (
            asyncio.timeout(PATIENCE),
            server.http() as http,
            http.stream("GET", path, headers=cursor) as reply,
        ):
            if reply.status_code == 200 and pieces != most:
                with suppress(httpx.TransportError):  # the server is gone
                    async for text in reply.aiter_text():
                        *blocks, read = (read + text).split("\n\n")
                        for block in blocks:
                            pieces += self._hear(block)
                            if pieces == most:
                                return reply.status_code
            return reply.status_code

    async def hears(self) -> None:
        """Waits for the next piece."""
        self._news.clear()
        async with asyncio.timeout(PATIENCE):
            await self._news.wait()

    def _hear(self, block: str) -> bool:
        fields = dict(
            line.split(": ", 1) for line in block.splitlines() if not line.startswith(":")
        )
        self.last_event_id = fields.get("id", self.last_event_id)
        if "data" not in fields:
            return False
        said = msgspec.json.decode(fields["data"])
        self.text += said.get("content", "")
        if "error" in said:
            self.errors.append(said["error"])
        self.ended = said.get("done", False)
        self._news.set()
        return True


async def started(http: httpx.AsyncClient, user_id: str = "ada") -> str:
    reply = await http.post("/chat/start", params={"user_id": user_id})
    assert reply.status_code == 200, reply.text
    session_id: str = reply.json()["session_id"]
    return session_id


async def history(http: httpx.AsyncClient, session_id: str, user_id: str = "ada") -> list[str]:
    params = {"user_id": user_id, "session_id": session_id}
    reply = await http.get("/chat/history", params=params)
    assert reply.status_code == 200, reply.text
    return [message["content"] for message in reply.json()["messages"]]


def asking(session_id: str, message: str = "Hello", **more: str) -> EventSource:
    query = {"user_id": "ada", "session_id": session_id, "message": message, **more}
    return EventSource(urlencode(query))


async def test_a_stranger_starts_asks_reads_and_clears(tmp_path: Path, kept: Kept) -> None:
    env = {"SIMULATED_DELAY": "0.01", **kept.settings}
    async with process(tmp_path, **env) as server, server.http() as http:
        roles = (await http.get("/roles")).json()
        assert roles["default_role"] == "assistant"
        assert {"assistant", "teacher", "programmer"} <= roles["roles"].keys()
        session_id = await started(http)
        source = asking(session_id, role="teacher")
        assert await source.listen(server) == 200
        assert (source.text, source.ended, source.errors) == (FIVE_CHUNKS, True, [])
        assert await source.listen(server) == 204
        assert await history(http, session_id) == ["Hello", FIVE_CHUNKS]
        longest = "a" * 44
        assert await history(http, await started(http, longest), longest) == []
        cleared = await http.delete(f"/chat/history/{session_id}", params={"user_id": "ada"})
        assert cleared.json().keys() == {"message"}
        assert await history(http, session_id) == []


async def test_who_is_cut_off_again_and_again_hears_each_piece_once(
    tmp_path: Path, kept: Kept
) -> None:
    """After each piece, and before the first; each time at another process."""
    env = {"SIMULATED_DELAY": "0.1", **QUICK, **kept.settings}
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    async with (
        process(tmp_path / "one", **env) as one,
        process(tmp_path / "two", "serve", AUTH_MODE="open", **env) as two,
        one.http() as http,
    ):
        session_id = await started(http)
        source = asking(session_id, idempotency_key="once")
        await source.listen(one, most=0)  # so it has seen nothing, and no id
        assert source.last_event_id == ""
        for turn in range(20):
            await source.listen([two, one][turn % 2], most=1)
            if source.ended:
                break
        assert (source.text, source.ended, source.errors) == (FIVE_CHUNKS, True, [])
        assert await source.listen(two) == 204
        assert await history(http, session_id) == ["Hello", FIVE_CHUNKS]


async def test_a_crash_in_mid_answer_is_only_a_pause_for_who_reads(tmp_path: Path) -> None:
    """kill -9, with the stream in memory only and the database a file."""
    async with process(tmp_path, SIMULATED_DELAY="0.2", **QUICK) as server:
        async with server.http() as http:
            session_id = await started(http)
        source = asking(session_id)
        await source.listen(server, most=2)
        listening = asyncio.create_task(source.listen(server))
        await source.hears()
        await server.kill()
        await listening
        heard = source.text
        assert FIVE_CHUNKS.startswith(heard)
        assert 0 < len(heard) < len(FIVE_CHUNKS)
        await server.start()
        while not source.ended:
            assert await source.listen(server) == 200
        assert "attempt 2" in server.log
        assert (source.text, source.errors) == (FIVE_CHUNKS, [])
        assert await source.listen(server) == 204
        async with server.http() as http:
            assert await history(http, session_id) == ["Hello", FIVE_CHUNKS]


@pytest.mark.parametrize("method", ["HEAD", "GET"])
async def test_looking_sends_nothing(tmp_path: Path, method: str) -> None:
    async with process(tmp_path) as server, server.http() as http:
        session_id = await started(http)
        query = {"user_id": "ada", "session_id": session_id, "message": "Hello"}
        headers = {} if method == "HEAD" else {"Last-Event-ID": "gen_none:end"}
        reply = await http.request(method, "/chat/stream", params=query, headers=headers)
        assert reply.status_code == (200 if method == "HEAD" else 404)
        assert await history(http, session_id) == []


async def test_the_longest_question_fits_into_an_address(tmp_path: Path) -> None:
    async with process(tmp_path, SIMULATED_DELAY="0") as server, server.http() as http:
        session_id = await started(http)
        assert await asking(session_id, "a" * 32_001).listen(server) == 422
        assert await asking(session_id, "a" * 32_000).listen(server) == 200
        assert len(await history(http, session_id)) == 2
