import logging

import httpx
import pytest

from tests.interface.clients import assert_problem
from tests.interface.doors import Doors


async def test_the_process_is_healthy_whatever_the_database_does(
    doors: Doors, http: httpx.AsyncClient
) -> None:
    doors.database.away = 9
    assert (await http.get("/healthz")).status_code == 200


async def test_it_is_ready_while_the_database_answers(
    doors: Doors, http: httpx.AsyncClient
) -> None:
    assert (await http.get("/readyz")).status_code == 200
    doors.database.away = 1
    assert_problem(await http.get("/readyz"), 503, "database_unavailable")


@pytest.mark.parametrize("what", ["queue", "stream"])
async def test_without_queue_or_stream_it_is_ready_but_slower(
    doors: Doors, http: httpx.AsyncClient, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = await http.get("/readyz")
    assert ready.json() == {"status": "ready", "database": "ok", "queue": "ok"}
    if what == "queue":
        doors.queue.away = True
    else:
        monkeypatch.setattr(type(doors.stream), "away", True)
    reply = await http.get("/readyz")
    assert reply.status_code == 200
    assert reply.json() == {"status": "degraded", "database": "ok", "queue": "away"}
    doors.database.away = 1
    assert_problem(await http.get("/readyz"), 503, "database_unavailable")


async def test_it_is_not_ready_while_it_drains(doors: Doors, http: httpx.AsyncClient) -> None:
    doors.health.draining = True
    reply = await http.get("/readyz")
    assert_problem(reply, 503, "restarting")
    assert int(reply.headers["retry-after"]) > 0
    assert (await http.get("/healthz")).status_code == 200


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_only_what_is_not_well_is_told_to_whoever_reads_the_log(
    doors: Doors, http: httpx.AsyncClient, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "llm_chat.access")
    await http.get(path)
    assert not caplog.records
    await http.post(path)
    assert f"POST '{path}' 405" in caplog.text
