"""LangChain's ChatOpenAI, in an environment of its own."""

import json
from pathlib import Path

import pytest

from tests.browser.chat import Chat
from tests.clients.asked import MODEL, TEXT, whole
from tests.clients.programs import HERE, langchain, output
from tests.upstream import Upstream

pytestmark = pytest.mark.asyncio(loop_scope="package")


async def test_it_is_answered_and_streamed_to(chat: Chat, model: Upstream, tmp_path: Path) -> None:
    model.answers(whole)
    printed = await output(langchain(), HERE / "langchain_client.py", chat.url, cwd=tmp_path)
    said = json.loads(printed)
    refused = said.pop("refused")
    for name, message in said.items():
        assert (message["text"], message["finish"], message["model"]) == (TEXT, "stop", MODEL), name
    counted = {name for name, message in said.items() if message["usage"] is not None}
    assert counted == {"invoked", "counted"}
    assert {said[name]["usage"]["total_tokens"] for name in counted} == {8}
    assert "temperature" in refused["said"]
    assert len(model.calls) == 4
    for call in model.calls:
        roles = [each["role"] for each in call.body["messages"]]
        assert roles == ["system", "user", "assistant", "tool", "user"]
        [made] = call.body["messages"][2]["tool_calls"]
        assert made["function"] == {"name": "add", "arguments": '{"a": 1}'}
        assert call.body["messages"][3]["tool_call_id"] == made["id"]
        assert call.body["messages"][4]["content"] == "Hello, LLM!"
        assert call.body["temperature"] == 0.5
