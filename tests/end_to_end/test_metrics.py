"""What is measured of a real process, as whoever watches over it scrapes it."""

import asyncio
from pathlib import Path

from tests.end_to_end.processes import hear_until, process
from tests.scraping import scrape, scraped_until
from tests.upstream import Call, hello, upstream

HELLO = {"message": "Hello, LLM!"}


async def test_a_message_its_answer_and_a_failure_are_counted(tmp_path: Path) -> None:
    async def break_off(call: Call) -> None:
        await call.begin()
        await call.chunk("Hel")
        call.cut()

    async def refuse(call: Call) -> None:
        await call.reply(500, {})

    async with (
        upstream() as model,
        process(tmp_path, OPENAI_MODEL="m", OPENAI_BASE_URL=model.base_url) as server,
        server.http() as http,
    ):
        model.answers(hello, break_off)
        assert (await http.post("/api/chat/message", json=HELLO)).status_code == 200
        counted = {
            'llm_chat_accepted_total{kind="message"}': 1.0,
            "llm_chat_claims_total": 1.0,
            "llm_chat_takeovers_total": 0.0,
            "llm_chat_first_chunk_seconds_count": 1.0,
            "llm_chat_chunks_total": 2.0,
            'llm_chat_tokens_total{kind="input"}': 3.0,
            'llm_chat_tokens_total{kind="output"}': 2.0,
            'llm_chat_generations_total{outcome="completed"}': 1.0,
            'llm_chat_generations_total{outcome="failed"}': 0.0,
            'llm_chat_healthy{part="database"}': 1.0,
            'llm_chat_healthy{part="queue"}': 1.0,
            "llm_chat_waiting": 0.0,
        }
        samples = await scraped_until(server, counted)
        assert 0 < samples["llm_chat_first_chunk_seconds_sum"] < 60
        assert samples["process_resident_memory_bytes"] > 2**20
        await http.post("/api/chat/message", json=HELLO)
        failed = {
            'llm_chat_accepted_total{kind="message"}': 2.0,
            "llm_chat_claims_total": 2.0,
            "llm_chat_first_chunk_seconds_count": 2.0,
            "llm_chat_chunks_total": 3.0,
            'llm_chat_generations_total{outcome="failed"}': 1.0,
            'llm_chat_failures_total{code="upstream_truncated"}': 1.0,
        }
        await scraped_until(server, counted | failed)
        model.answers(refuse)  # so often in a row that the server is left alone, for a while
        await asyncio.gather(*(http.post("/api/chat/message", json=HELLO) for _ in range(5)))
        samples = await scraped_until(server, {'llm_chat_generations_total{outcome="failed"}': 6.0})
        states = [samples[f'llm_chat_breakers{{state="{each}"}}'] for each in ("open", "half_open")]
        assert sorted(states) == [0, 1]


async def test_who_is_there_and_what_waits_is_shown_for_as_long_as_it_does(
    tmp_path: Path,
) -> None:
    def connections(sse: float, websocket: float, waiting: float) -> dict[str, float]:
        each = {"sse": sse, "websocket": websocket, "waiting": waiting}
        return {f'llm_chat_connections{{transport="{name}"}}': each[name] for name in each}

    async with (
        process(tmp_path, WORKER_CONCURRENCY="1", SIMULATED_DELAY="60") as server,
        server.http() as http,
    ):
        await scraped_until(server, connections(0, 0, 0))
        session_id = (await http.post("/api/chat/session")).json()["session_id"]
        async with (
            http.stream("GET", f"/sse/{session_id}") as stream,
            http.stream("POST", "/v1/chat/completions", json=CALL | {"stream": True}) as call,
            server.websocket() as socket,
        ):
            assert (stream.status_code, call.status_code) == (200, 200)
            await hear_until(socket, "session")
            waiting = [
                asyncio.create_task(http.post("/api/chat/message", json=HELLO)),
                asyncio.create_task(http.post("/v1/chat/completions", json=CALL)),
            ]
            found = await scraped_until(
                server,
                connections(2, 1, 2)
                | {"llm_chat_answers": 1, "llm_chat_answers_limit": 1, "llm_chat_waiting": 2},
            )
            assert found["llm_chat_waiting_oldest_seconds"] > 0
            for task in waiting:
                task.cancel()
            await scraped_until(server, connections(2, 1, 0))
        await scraped_until(server, connections(0, 0, 0))


CALL = {"model": "simulated", "messages": [{"role": "user", "content": "Hello"}]}


async def test_behind_a_proxy_there_is_no_such_page(tmp_path: Path) -> None:
    async with process(tmp_path) as server, server.http() as http:
        for header in ("Forwarded", "X-Forwarded-For", "X-Real-IP"):
            reply = await http.get("/metrics", headers={header: "198.51.100.7"})
            assert (reply.status_code, reply.json()["code"]) == (404, "not_found")
        assert "llm_chat_claims_total 0.0" in await scrape(server)
