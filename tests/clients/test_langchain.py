"""LangChain's ChatOpenAI, in an environment of its own."""

import json
from pathlib import Path

import pytest

from tests.browser.chat import Chat
from tests.clients.asked import MODEL, TEXT, whole
from tests.clients.programs import HERE, langchain, output
from tests.end_to_end.processes import Json
from tests.upstream import Upstream

pytestmark = pytest.mark.asyncio(loop_scope="package")


async def said_by_it(chat: Chat, folder: Path, *dialect: str) -> tuple[Json, Json]:
    """Of its messages, and what it was refused."""
    script = HERE / "langchain_client.py"
    said: Json = json.loads(await output(langchain(), script, chat.url, *dialect, cwd=folder))
    return said, said.pop("refused")


def told(model: Upstream) -> list[Json]:
    """What the model was sent, which is the same four times."""
    first, *others = [call.body for call in model.calls]
    assert len(others) == 3
    for each in others:
        assert each["messages"] == first["messages"]
        assert each["temperature"] == first["temperature"] == 0.5
    messages: list[Json] = first["messages"]
    return messages


def assert_all_was_told(messages: list[Json]) -> None:
    assert [each["role"] for each in messages] == ["system", "user", "assistant", "tool", "user"]
    [made] = messages[2]["tool_calls"]
    assert made["function"] == {"name": "add", "arguments": '{"a": 1}'}
    assert messages[3]["tool_call_id"] == made["id"]
    assert messages[4]["content"] == "Hello, LLM!"


async def test_it_is_answered_and_streamed_to(chat: Chat, model: Upstream, tmp_path: Path) -> None:
    model.answers(whole)
    said, refused = await said_by_it(chat, tmp_path)
    for name, message in said.items():
        assert (message["text"], message["finish"], message["model"]) == (TEXT, "stop", MODEL), name
    counted = {name for name, message in said.items() if message["usage"] is not None}
    assert counted == {"invoked", "counted"}
    assert {said[name]["usage"]["total_tokens"] for name in counted} == {8}
    assert "temperature" in refused["said"]
    assert_all_was_told(told(model))


async def test_it_has_responses_too(chat: Chat, model: Upstream, tmp_path: Path) -> None:
    model.answers(whole)
    said, refused = await said_by_it(chat, tmp_path, "responses")
    for name, message in said.items():
        found = message["text"], message["finish"], message["model"]
        assert found == (TEXT, "completed", MODEL), name
        assert message["usage"]["total_tokens"] == 8
        assert message["id"].startswith("resp_")
    assert "temperature" in refused["said"]
    assert_all_was_told(told(model))
