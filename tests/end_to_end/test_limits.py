"""How much one may ask for at a time."""

from pathlib import Path

import httpx

from tests import servers
from tests.end_to_end.processes import SECRET_KEY, hear_until, process, say
from tests.upstream import upstream


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


async def test_a_user_follows_so_many_streams_at_a_time(tmp_path: Path) -> None:
    async with (
        process(tmp_path, STREAMS_PER_USER="2", SIMULATED_DELAY="0") as server,
        server.http() as http,
    ):
        session_id = (await http.post("/api/chat/session")).json()["session_id"]
        async with http.stream("GET", f"/sse/{session_id}") as stream:
            assert stream.status_code == 200
            async with server.websocket() as socket:
                await hear_until(socket, "session")
                refused = await http.get(f"/sse/{session_id}")
                assert (refused.status_code, refused.json()["code"]) == (429, "too_many_streams")
                assert int(refused.headers["retry-after"]) == refused.json()["retry_after"] >= 1
                sent = await http.post("/api/chat/message/stream", json={"message": "Hello"})
                assert sent.status_code == 429
                asked = await http.post("/api/chat/message", json={"message": "Hello"})
                assert asked.status_code == 429
                call = {"model": "simulated", "messages": [{"role": "user", "content": "Hello"}]}
                called = await http.post("/v1/chat/completions", json=call)
                assert called.json()["error"]["code"] == "too_many_streams"
                responded = await http.post("/v1/responses", json={"input": "Hello"})
                assert responded.json()["error"]["code"] == "too_many_streams"
                assert (await http.get("/chat/stream?message=Hello")).status_code == 429
                async with server.websocket() as third:
                    told = (await hear_until(third, "error"))[-1]["error"]
                    assert (told["code"], told["status"]) == ("too_many_streams", 429)
                    await third.wait_closed()
                    assert third.close_code == 1013
                # Nothing of what was refused was accepted.
                sessions = (await http.get("/api/chat/sessions")).json()["items"]
                assert [each["message_count"] for each in sessions] == [0] * len(sessions)
            # Its place is free as soon as the server has seen that it is gone.
            told = "error"
            while told == "error":
                async with server.websocket() as socket:
                    told = (await hear_until(socket, "session", "error"))[-1]["type"]


async def test_what_is_asked_over_a_socket_is_counted_too(tmp_path: Path) -> None:
    async with (
        process(tmp_path, REQUESTS_PER_ADDRESS="4", SIMULATED_DELAY="60") as server,
        server.websocket() as socket,
    ):
        session = (await hear_until(socket, "session"))[-1]["session_id"]
        for key in ("key-1", "key-2"):
            await say(socket, type="send", message="Hello", client_message_id=key)
            await hear_until(socket, "accepted")
        await say(socket, type="nonsense")
        assert (await hear_until(socket, "error"))[-1]["error"]["code"] == "invalid_request"
        for _ in range(5):
            await say(socket, type="ping")
            await hear_until(socket, "pong")
        await say(socket, type="send", message="Hello", client_message_id="key-3")
        told = (await hear_until(socket, "error"))[-1]
        assert told["client_message_id"] == "key-3"
        assert (told["error"]["code"], told["error"]["status"]) == ("rate_limited", 429)
        assert 1 <= told["error"]["retry_after"] <= 60
        await say(socket, type="nonsense")
        assert (await hear_until(socket, "error"))[-1]["error"]["code"] == "rate_limited"
        # Of those that were accepted each is answered as it was.
        await say(socket, type="send", message="Hello", client_message_id="key-1")
        assert (await hear_until(socket, "accepted"))[-1]["session_id"] == session
        async with server.websocket() as other:
            told = (await hear_until(other, "error"))[-1]["error"]
            await other.wait_closed()
            assert (told["code"], other.close_code) == ("rate_limited", 1013)


async def test_two_processes_limit_together_and_each_by_itself_while_redis_is_out(
    tmp_path: Path, postgres_url: str, redis_server: servers.Redis
) -> None:
    """T37, T46."""
    shared = {
        "AUTH_MODE": "required",
        "DATABASE_URL": postgres_url,
        "REDIS_URL": redis_server.url,
        "STREAMS_PER_USER": "2",
        "REQUESTS_PER_USER": "12",
        "SECRET_KEY": SECRET_KEY,
    }
    async with (
        process(tmp_path, "serve", **shared) as one,
        process(tmp_path, "serve", **shared) as two,
    ):
        doors = (one, two)

        async def token_of(name: str) -> str:
            async with one.http() as http:
                body = {"username": name, "password": "correct-horse-battery"}
                token: str = (await http.post("/api/auth/register", json=body)).json()[
                    "access_token"
                ]
            return token

        async def passed(token: str, asked: int) -> int:
            """How many requests do, of so many that take turns."""
            statuses = []
            for turn in range(asked):
                async with doors[turn % 2].http(token) as http:
                    statuses.append((await http.get("/api/auth/me")).status_code)
            assert set(statuses) <= {200, 429}
            return statuses.count(200)

        ada = await token_of("ada")
        async with one.http(ada) as http, two.http(ada) as other:
            session_id = (await http.post("/api/chat/session")).json()["session_id"]
            async with (
                http.stream("GET", f"/sse/{session_id}") as first,
                other.stream("GET", f"/sse/{session_id}") as second,
            ):
                assert (first.status_code, second.status_code) == (200, 200)
                for each in (http, other):
                    third = await each.get(f"/sse/{session_id}")
                    assert (third.status_code, third.json()["code"]) == (429, "too_many_streams")
        assert await passed(await token_of("bob"), 16) == 12
        redis_server.kill()
        assert await passed(await token_of("eve"), 40) == 24


async def test_a_user_has_so_many_tokens_a_day_of_the_servers_own_models(tmp_path: Path) -> None:
    """What was taken stays taken: of calls, of sessions that are deleted, of answers that were
    stopped. A repeat is answered, and so is whoever asks a model of one's own."""
    async with (
        upstream() as model,
        process(tmp_path, TOKENS_PER_DAY="60", SIMULATED_DELAY="0") as server,
        server.http() as http,
    ):
        own = {"name": "mine", "base_url": model.base_url, "model_name": "mine"}
        assert (await http.post("/api/user/apis", json={**own, "api_key": "sk-1"})).is_success

        async def ask(key: str, name: str = "simulated") -> httpx.Response:
            body = {"message": "Hello", "model_name": name}
            return await http.post("/api/chat/message", json=body, headers={"Idempotency-Key": key})

        first = await ask("key-1")
        assert first.status_code == 200
        taken = first.json()["usage"]["prompt_tokens"] + first.json()["usage"]["completion_tokens"]
        assert (await http.delete(f"/api/chat/sessions/{first.json()['session_id']}")).is_success
        answered = [await ask(f"again-{number}") for number in range(60 // taken + 1)]
        refused = answered[-1]
        assert [each.status_code for each in answered[:-1]] == [200] * (60 // taken)
        assert (refused.status_code, refused.json()["code"]) == (429, "token_budget_spent")
        assert 1 <= int(refused.headers["retry-after"]) <= 86_400
        call = {"model": "simulated", "messages": [{"role": "user", "content": "Hello"}]}
        called = await http.post("/v1/chat/completions", json=call)
        assert (called.status_code, called.json()["error"]["type"]) == (429, "insufficient_quota")
        assert called.headers["x-should-retry"] == "false"
        assert (await ask("again-0")).json() == answered[0].json()
        assert (await ask("key-2", "mine")).status_code == 200
