"""What docs/extending.md shows keeps its promises: the suites that it names run over it here."""

import asyncio
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from starlette.routing import BaseRoute

import wiring.web
from application.announce import AnnounceTo
from application.ports import ChatModel, FileStore, RequestQueue
from domain.events import SessionDeleted
from domain.identifiers import SessionId, UserId
from infrastructure.audit_log import write_audit_line
from infrastructure.disk_file_store import DiskFileStore
from infrastructure.prometheus_metrics import PrometheusMetrics
from infrastructure.upstreams.model_server import ModelServer
from interface.asker import Asker
from tests.contracts.conftest import server  # noqa: F401 - a fixture of the suite
from tests.contracts.test_chat_model import *  # noqa: F403
from tests.contracts.test_file_store import *  # noqa: F403
from tests.contracts.test_request_queue import *  # noqa: F403
from tests.end_to_end.processes import ROOT
from tests.interface.conftest import client_of
from tests.interface.doors import Doors
from wiring.behind import Behind
from wiring.doors import persona_routes
from wiring.given import Ports

_DOCUMENT: Final = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
_BLOCK: Final = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(title: str) -> list[str]:
    """Of one section: the file, the line of its wiring, and perhaps that of its suite."""
    section = _DOCUMENT.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    return _BLOCK.findall(section)


def wired(title: str, **names: object) -> Any:
    """What the line of the wiring makes of the file."""
    file, line = blocks(title)[:2]
    assert file.startswith("# ")
    module: dict[str, Any] = {"__name__": file.split()[1]}
    exec(compile(file, file.split()[1], "exec"), module)
    line = line.strip().removeprefix("queue = ").removesuffix(",")
    around = "{%s}" if line.startswith('"') else "[%s]" if line.startswith("*") else "(%s)"
    return eval(around % line, {**module, **names})


@pytest.fixture
def model() -> ChatModel:
    speak = wired("A provider of models")["echo"]
    made: ChatModel = speak(ModelServer("http://127.0.0.1", None, trusted=True), "echo")
    return made


@pytest.fixture
async def queue() -> RequestQueue:
    made: RequestQueue = wired("A queue")
    return made


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    class settings:  # noqa: N801 - as the line calls it
        upload_folder = tmp_path

    made: FileStore = wired("A store for files", DiskFileStore=DiskFileStore, settings=settings)
    return made


async def test_the_dialect_is_answered_through_the_real_wiring(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    usual = persona_routes

    def with_one_more(ports: Ports, who: Asker, behind: Behind) -> Sequence[BaseRoute]:
        more = wired("A dialect", who=who, behind=behind)
        return [*usual(ports, who, behind), *more]

    monkeypatch.setattr(wiring.web, "persona_routes", with_one_more)
    monkeypatch.setattr(wiring.web, "openapi_routes", lambda _: [])  # it is not described
    doors = Doors()
    async with client_of(doors) as client:
        asking = asyncio.create_task(client.post("/text", content="Why?"))
        await doors.answer(await doors.queue.heard())
        reply: httpx.Response = await asking
        assert (reply.status_code, reply.text) == (200, "Hello there")
        assert (await client.post("/text", content="")).json()["code"] == "invalid_request"
    doors.stream.close()


def test_the_listener_hears_what_happens() -> None:
    listeners = wired("A listener", write_audit_line=write_audit_line, metrics=PrometheusMetrics())
    AnnounceTo(listeners)(SessionDeleted(UserId(1), SessionId("session_1")))
    assert listeners[-1].counts == {"SessionDeleted": 1}


@pytest.mark.parametrize("folder_and_file", re.findall(r"`((?:\w+/)+\w+\.\w+)`", _DOCUMENT))
def test_what_is_referred_to_is_there(folder_and_file: str) -> None:
    assert (ROOT / folder_and_file).is_file()
