"""What is measured of a real process, as whoever watches over it scrapes it."""

import asyncio
import socket
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlsplit

from tests.end_to_end.processes import KEYS, hear_until, process
from tests.end_to_end.test_start import start
from tests.faults.fault_proxy import fault_proxy
from tests.observability import expressions, names_in, samples_in
from tests.scraping import read_names, read_samples, scrape, scraped_until
from tests.servers import free_port
from tests.upstream import Call, hello, upstream

HELLO = {"message": "Hello, LLM!"}


async def test_a_message_its_answer_and_failures_are_counted_past_the_proxy(
    tmp_path: Path,
) -> None:
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
        for header in ("Forwarded", "X-Forwarded-For", "X-Real-IP"):
            reply = await http.get("/metrics", headers={header: "198.51.100.7"})
            assert (reply.status_code, reply.json()["code"]) == (404, "not_found")


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


async def test_a_worker_shows_what_it_did_at_a_door_of_its_own_and_has_no_other(
    tmp_path: Path,
) -> None:
    assert start(tmp_path, "migrate")[0] == 0
    port = free_port()
    address = f"127.0.0.1:{port}"
    async with (
        process(tmp_path, "serve") as web,
        web.http() as http,
        process(tmp_path, "work", SIMULATED_DELAY="0", METRICS_PORT=str(port)) as worker,
    ):
        assert (await http.post("/api/chat/message", json=HELLO)).status_code == 200
        await scraped_until(web, {'llm_chat_accepted_total{kind="message"}': 1.0})
        done = {"llm_chat_claims_total": 1.0, "llm_chat_chunks_total": 5.0}
        samples = await scraped_until(web, done, address)
        assert samples['llm_chat_accepted_total{kind="message"}'] == 0
        assert "llm_chat_event_loop_lag_seconds" in samples
        # All that the dashboard and the alerts ask for is shown by one or the other.
        shown = [await scrape(web), await scrape(web, address)]
        names = {name for text in shown for name in read_names(text)}
        series = {name for text in shown for name in read_samples(text)}
        for expression in expressions():
            assert names_in(expression) <= names, expression
            assert samples_in(expression) <= series, expression
        assert (await http.get(f"http://{address}/healthz")).json() == {"status": "ok"}
        for path in ("/readyz", "/", "/api/models", "/docs"):
            assert (await http.get(f"http://{address}{path}")).status_code == 404
        proxied = await http.get(f"http://{address}/metrics", headers={"X-Forwarded-For": "::1"})
        assert proxied.status_code == 404
        assert await worker.terminate() == 0


def test_a_port_that_is_taken_is_a_clear_error(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, said = start(tmp_path, "work", METRICS_PORT=str(port), **KEYS)
    assert (code, len(said)) == (2, 1)
    assert said[0].startswith(f"llm-chat: METRICS_PORT: can't listen on 127.0.0.1:{port}: ")


async def test_while_database_and_redis_hang_the_scrape_answers_and_says_so(
    tmp_path: Path, postgres_url: str, redis_url: str
) -> None:
    def parts(database: float, redis: float) -> dict[str, float]:
        # The queue is put into when there is something: until then a web does not know of it.
        each = {"database": database, "stream": redis}
        return {f'llm_chat_healthy{{part="{part}"}}': value for part, value in each.items()}

    async with AsyncExitStack() as closing:
        urls, proxies = [], []
        for url in map(urlsplit, (postgres_url, redis_url)):
            proxies.append(await closing.enter_async_context(fault_proxy(url.port or 0)))
            before = url.netloc.removesuffix(f":{url.port}")
            urls.append(url._replace(netloc=f"{before}:{proxies[-1].port}").geturl())
        settings = {"DATABASE_URL": urls[0], "REDIS_URL": urls[1]}
        server = await closing.enter_async_context(process(tmp_path, "serve", **settings))
        assert "llm_chat_waiting" in await scraped_until(server, parts(1, 1))
        for proxy in proxies:
            proxy.hang()
        assert "llm_chat_waiting" not in await scraped_until(server, parts(0, 0))
        for proxy in proxies:
            proxy.heal()
        assert "llm_chat_waiting" in await scraped_until(server, parts(1, 1))
