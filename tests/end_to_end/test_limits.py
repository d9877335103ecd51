"""How much one may ask for at a time."""

from pathlib import Path

import httpx

from tests.end_to_end.processes import hear_until, process, say


async def test_a_user_waits_for_so_many_answers_at_a_time(tmp_path: Path) -> None:
    async with (
        process(tmp_path, ANSWERS_PER_USER="2", SIMULATED_DELAY="60") as server,
        server.http() as http,
        server.websocket() as socket,
    ):
        session_id = (await http.post("/api/chat/session")).json()["session_id"]

        async def send(key: str) -> httpx.Response:
            path = f"/api/chat/sessions/{session_id}/messages"
            return await http.post(path, json={"message": key}, headers={"Idempotency-Key": key})

        accepted = await send("key-1")
        assert (accepted.status_code, (await send("key-2")).status_code) == (202, 202)
        refused = await send("key-3")
        problem = refused.json()
        assert (refused.status_code, problem["code"]) == (429, "too_many_answers")
        assert int(refused.headers["retry-after"]) == problem["retry_after"] >= 1
        await say(socket, type="send", message="Hello")
        told = (await hear_until(socket, "error"))[-1]["error"]
        assert (told["code"], told["status"]) == ("too_many_answers", 429)
        call = {"model": "simulated", "messages": [{"role": "user", "content": "Hello"}]}
        called = await http.post("/v1/chat/completions", json=call)
        assert (called.status_code, called.json()["error"]["type"]) == (429, "rate_limit_error")
        # What was accepted before is answered as it was.
        assert (await send("key-1")).json() == accepted.json()
        for repeated in (await send("key-1"), await send("key-2")):
            await http.post(f"/api/chat/generations/{repeated.json()['generation_id']}/cancel")
