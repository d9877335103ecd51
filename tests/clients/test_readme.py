"""What README says of other clients runs as it stands there."""

import json
import re
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.browser.chat import Chat
from tests.clients.programs import langchain, output, program
from tests.readme import Block, blocks_of

pytestmark = pytest.mark.asyncio(loop_scope="package")

SDK: Final = blocks_of("With an OpenAI SDK")
RESPONSES: Final = blocks_of("OpenAI's Responses")
BY_ADDRESS: Final = blocks_of("By address alone")
ANSWER: Final = "".join(f"chunk {number}: Hello, LLM!" for number in range(1, 6))


def block(language: str, mark: str) -> Block:
    """Of an SDK: the one of this language with this mark in it."""
    [found] = [each for each in SDK if each.language == language and mark in each.text]
    return found


async def test_all_of_them_are_run() -> None:
    assert [each.language for each in SDK] == ["python", "js", "python", "sh"]
    assert [each.language for each in RESPONSES] == ["python", "python"]
    assert [each.language for each in BY_ADDRESS] == ["sh"]


async def test_python(chat: Chat, tmp_path: Path) -> None:
    said = block("python", "import OpenAI").at(chat.url)
    assert await output(sys.executable, "-c", said, cwd=tmp_path) == f"{ANSWER}\n{ANSWER}"


async def test_javascript(chat: Chat, beside_node_modules: Path) -> None:
    script = beside_node_modules / "readme.mjs"
    script.write_text(block("js", "import OpenAI").at(chat.url), encoding="utf-8")
    assert await output(program("node"), script, cwd=beside_node_modules) == ANSWER


async def test_langchain(chat: Chat, tmp_path: Path) -> None:
    said = block("python", "ChatOpenAI").at(chat.url)
    assert await output(langchain(), "-c", said, cwd=tmp_path) == ANSWER


async def test_by_hand(chat: Chat, tmp_path: Path) -> None:
    printed = await run(block("sh", "curl"), chat, tmp_path)
    assert '"id":"simulated"' in printed
    assert re.search(r"(?i)^x-generation-id: gen_\w+\r?$", printed, re.MULTILINE)
    assert re.search(r"^id: \S+$", printed, re.MULTILINE)
    assert printed.endswith("data: [DONE]\n\n")


async def test_responses(chat: Chat, tmp_path: Path) -> None:
    """One after the other, as the second needs the client of the first."""
    tell_name = "print(); print(name)"
    said = "\n".join([*(each.at(chat.url) for each in RESPONSES), tell_name])
    printed = await output(sys.executable, "-c", said, cwd=tmp_path)
    again, _, rest = printed.partition("\n")
    assert again == "".join(f"chunk {number}: Who am I?" for number in range(1, 6))
    text, name = rest.rstrip("\n").rsplit("\n", 1)
    generation = await chat.get(f"/api/chat/generations/{name.replace('resp_', 'gen_')}")
    assert generation["text"] == text
    assert text.startswith("# Tell me more")


async def test_by_address_alone(chat: Chat, tmp_path: Path) -> None:
    start, *others = [Block("sh", line) for line in BY_ADDRESS[0].text.splitlines()]
    session_id = json.loads(await run(start, chat, tmp_path))["session_id"]
    told = [await run(each, chat, tmp_path, session_id) for each in others]
    streamed, history, cleared, roles = told
    pieces = [json.loads(data) for data in re.findall(r"^data: (.*)$", streamed, re.MULTILINE)]
    text = "".join(piece["content"] for piece in pieces)
    assert pieces[-1]["done"]
    asked, answered = json.loads(history)["messages"]
    assert (asked["role"], asked["content"]) == ("user", "Hello")
    assert (answered["role"], answered["content"]) == ("assistant", text)
    assert json.loads(cleared)["message"]
    assert "teacher" in json.loads(roles)["roles"]


async def run(commands: Block, chat: Chat, folder: Path, session_id: str = "") -> str:
    """All of which must succeed."""
    program("curl")
    said = commands.at(chat.url).replace("curl ", "curl -sS --fail ")
    said = said.replace("<session_id>", session_id)
    return await output(program("bash"), "-euc", said, cwd=folder)
