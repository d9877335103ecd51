"""OpenAI's own client for JavaScript, in node."""

import json
import shutil
from pathlib import Path

import pytest

from tests.browser.chat import Chat
from tests.clients.asked import MODEL, PIECES, TEXT, broken, whole
from tests.clients.programs import HERE, output, program
from tests.end_to_end.processes import Json
from tests.upstream import Upstream

pytestmark = pytest.mark.asyncio(loop_scope="package")


async def said_by_node(folder: Path, chat: Chat) -> Json:
    shutil.copy(HERE / "openai_node.mjs", folder)
    printed = await output(program("node"), "openai_node.mjs", chat.url, cwd=folder)
    said: Json = json.loads(printed)
    return said


async def test_it_is_answered_streamed_to_and_refused_as_openai_does(
    chat: Chat, model: Upstream, beside_node_modules: Path
) -> None:
    model.answers(whole, whole, whole, broken)
    said = await said_by_node(beside_node_modules, chat)
    usage = {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}
    completion = said["whole"]
    assert completion["choices"][0]["message"]["content"] == TEXT
    assert (completion["model"], completion["usage"]) == (MODEL, usage)
    assert completion["id"] == "chatcmpl-" + said["generation"].removeprefix("gen_")
    assert said["repeated"] == completion["id"]
    assert said["streamed"] == {"text": TEXT, "finish": "stop", "usage": usage, "error": None}
    assert said["helped"] == TEXT
    assert said["broken"]["text"] == "".join(PIECES[:2])
    told = said["broken"]["error"]
    assert (told["class"], told["code"], told["type"]) == (
        "APIError", "upstream_truncated", "server_error",
    )  # fmt: skip
    assert MODEL in said["names"]
    assert said["model"]["id"] == MODEL
    assert len(model.calls) == 4
    refusals = {name: said[name] for name in ("tooHot", "unknown", "unknownToModels")}
    assert {
        name: (each["class"], each["code"], each["param"]) for name, each in refusals.items()
    } == {
        "tooHot": ("BadRequestError", "invalid_request", "temperature"),
        "unknown": ("NotFoundError", "model_not_found", "model"),
        "unknownToModels": ("NotFoundError", "model_not_found", "model"),
    }
