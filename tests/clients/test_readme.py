"""What README says of OpenAI's clients runs as it stands there."""

import re
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.browser.chat import Chat
from tests.clients.programs import langchain, output, program
from tests.end_to_end.processes import ROOT

pytestmark = pytest.mark.asyncio(loop_scope="package")

README: Final = (ROOT / "README.md").read_text(encoding="utf-8")
SECTION: Final = README.partition("\n## With an OpenAI SDK\n")[2].partition("\n## ")[0]
BLOCKS: Final = re.findall(r"^```(\w+)\n(.*?)^```$", SECTION, re.MULTILINE | re.DOTALL)
ADDRESS: Final = "http://127.0.0.1:8080"
ANSWER: Final = "".join(f"chunk {number}: Hello, LLM!" for number in range(1, 6))


def block(language: str, mark: str) -> str:
    """The one of this language with this mark in it."""
    [found] = [text for each, text in BLOCKS if each == language and mark in text]
    assert ADDRESS in found
    return str(found)


async def test_all_of_them_are_run() -> None:
    assert [language for language, _ in BLOCKS] == ["python", "js", "python", "sh"]


async def test_python(chat: Chat, tmp_path: Path) -> None:
    said = block("python", "import OpenAI").replace(ADDRESS, chat.url)
    assert await output(sys.executable, "-c", said, cwd=tmp_path) == f"{ANSWER}\n{ANSWER}"


async def test_javascript(chat: Chat, beside_node_modules: Path) -> None:
    script = beside_node_modules / "readme.mjs"
    script.write_text(block("js", "import OpenAI").replace(ADDRESS, chat.url), encoding="utf-8")
    assert await output(program("node"), script, cwd=beside_node_modules) == ANSWER


async def test_langchain(chat: Chat, tmp_path: Path) -> None:
    said = block("python", "ChatOpenAI").replace(ADDRESS, chat.url)
    assert await output(langchain(), "-c", said, cwd=tmp_path) == ANSWER


async def test_by_hand(chat: Chat, tmp_path: Path) -> None:
    program("curl")
    said = block("sh", "curl").replace(ADDRESS, chat.url).replace("curl ", "curl -sS --fail ")
    printed = await output(program("bash"), "-euc", said, cwd=tmp_path)
    assert '"id":"simulated"' in printed
    assert re.search(r"(?i)^x-generation-id: gen_\w+\r?$", printed, re.MULTILINE)
    assert re.search(r"^id: \S+$", printed, re.MULTILINE)
    assert printed.endswith("data: [DONE]\n\n")
