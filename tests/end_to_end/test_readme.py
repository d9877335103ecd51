"""README's commands of a shell, one after the other and as they stand there, against a real
process. What is to be put into one comes from the replies to those before it."""

import asyncio
import json
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

from tests.documents import a_pdf
from tests.end_to_end.processes import PATIENCE, Process, process, sse, sse_until_last
from tests.readme import ADDRESS, commands_in
from tests.upstream import Upstream, upstream

GOES_ON: Final = re.compile(r"curl -N .*/sse/")
"""What is followed for as long as one stays."""
MODEL: Final = "http://127.0.0.1:11434"
"""Where a model's server is that README speaks of."""


@dataclass
class Visitor:
    """Does what README says."""

    server: Process
    folder: Path
    model: Upstream
    known: dict[str, str] = field(default_factory=dict)
    """What may be put in, by what it is called."""

    async def does(self, section: str) -> list[str]:
        """What each `curl` of this section prints."""
        commands = [each for each in commands_in(section) if re.match("curl|TOKEN=", each)]
        return [await self._run(command) for command in commands]

    async def _run(self, command: str) -> str:
        if "<session_id>" in command and "session_id" not in self.known:
            await self._open_session()
        if re.search("system_prompt|-X DELETE", command) and "generation_id" in self.known:
            await self._wait_for(self.known.pop("generation_id"))  # else it would be refused
        for name, value in self.known.items():
            command = command.replace(f"<{name}>", value).replace(f"${name}", value)
        assert not re.search(r"<\w+>|\$", command), command
        if command.startswith("TOKEN="):
            self.known["TOKEN"] = command.removeprefix("TOKEN=")
            return ""
        command = command.replace(ADDRESS, f"http://{self.server.address}")
        command = command.replace(f"{MODEL}/v1", self.model.base_url)
        goes_on = GOES_ON.match(command) is not None
        command = command.replace("curl ", f"curl -sS --fail {'--max-time 1 ' * goes_on}", 1)
        running = await asyncio.create_subprocess_exec(
            "bash", "-euc", command, cwd=self.folder,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        async with asyncio.timeout(PATIENCE):
            out, err = await running.communicate()
        assert running.returncode == (28 if goes_on else 0), (command, err)
        self._learn(out.decode())
        return out.decode()

    async def _open_session(self) -> None:
        """Whose id `/ws` would tell, for which a shell needs Node."""
        async with self.server.http(self.known.get("access_token")) as http:
            self._learn((await http.post("/api/chat/session")).text)

    async def _wait_for(self, generation_id: str) -> None:
        token = self.known.get("access_token")
        path = f"/api/chat/generations/{generation_id}/stream"
        async with aclosing(sse(self.server, path, token=token)) as events:
            await sse_until_last(events)

    def _learn(self, said: str) -> None:
        """From an answer that is one object, or from the first event of a stream."""
        found = re.search(r"^(?:data: )?(\{.*\})$", said, re.MULTILINE)
        shown = json.loads(found[1]) if found else {}
        names = ("session_id", "generation_id", "access_token", "refresh_token", "id")
        self.known.update({name: str(shown[name]) for name in names if name in shown})
        if ids := re.findall(r"^id: (\S+)$", said, re.MULTILINE):
            self.known["id"] = ids[-1]


@pytest.fixture
async def visitor(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Visitor]:
    if not (shutil.which("curl") and shutil.which("bash")):
        pytest.skip("curl or bash is missing")
    settings: dict[str, str] = getattr(request, "param", {})
    settings = {"SIMULATED_DELAY": "0.01", "SIMULATED_CHUNKS": "50", **settings}
    async with process(tmp_path, **settings) as server, upstream() as model:
        yield Visitor(server, tmp_path, model)


async def test_what_readme_says_of_a_conversation_is_so(visitor: Visitor) -> None:
    """The first minute, coming back, a conversation, files, and a model of one's own."""
    followed, whole, streamed = await visitor.does("The first minute")
    assert followed.startswith("retry: ")
    answer = "".join(f"chunk {number}: Hello, LLM!" for number in range(1, 6))
    assert json.loads(whole)["message"]["content"] == answer
    assert '"type":"done"' in streamed
    (rest,) = await visitor.does("Coming back")
    assert rest.startswith("retry: ")
    talk = await visitor.does("A conversation")
    assert "chunk 1: And then?" in talk[0]
    assert "And then?" in talk[1]
    (visitor.folder / "report.pdf").write_bytes(a_pdf("Ada was here."))
    uploaded, asked, listed, *_ = await visitor.does("Files")
    assert json.loads(uploaded)["is_processed"] is True
    assert "What does it say?" in json.loads(asked)["message"]["content"]
    assert json.loads(listed)["items"][0]["file_name"] == "report.pdf"
    copy = (visitor.folder / "copy.pdf").read_bytes()
    assert copy == (visitor.folder / "report.pdf").read_bytes()
    made, tried, _ = await visitor.does("Models")
    assert json.loads(made)["name"] == "local"
    assert json.loads(tried)["ok"] is True


@pytest.mark.parametrize("visitor", [{"AUTH_MODE": "required"}], indirect=True)
async def test_what_readme_says_of_accounts_is_so(visitor: Visitor) -> None:
    said = await visitor.does("Accounts")
    assert json.loads(said[0])["user"]["username"] == "ada"
    assert json.loads(said[-1])["token"].startswith("sk-")
