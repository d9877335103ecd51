"""Clients that are programs of their own, in languages and environments which are not ours."""

import asyncio
import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from tests.end_to_end.processes import PATIENCE, ROOT

HERE: Final = Path(__file__).parent
OPENAI_NODE: Final = "openai@^6.49.0"
_CLIENTS: Final = ROOT / ".venv-clients"


async def output(*command: str | Path, cwd: Path, **environment: str) -> str:
    """What a program prints, which must end well."""
    running = await asyncio.create_subprocess_exec(
        *command,
        cwd=cwd,
        env={"PATH": os.environ["PATH"], "HOME": str(cwd), **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(PATIENCE):
            said, complaints = await running.communicate()
    finally:
        if running.returncode is None:
            running.kill()
    assert running.returncode == 0, (said + complaints).decode()
    return said.decode()


def langchain() -> Path:
    """A Python that has it; skips the test if there is none."""
    if not (_CLIENTS / "installed").exists():
        pytest.skip("LangChain is not tried: `make .venv-clients/installed` installs it.")
    return _CLIENTS / "bin" / "python"


def program(name: str) -> str:
    """Its path; skips the test if it is missing."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is missing: install it to try what is written for it.")
    return found


def install_openai_for_node(folder: Path) -> Path:
    """The folder `node_modules` that has it; skips the test if it can't be had."""
    npm = program("npm")
    asked = (npm, "install", OPENAI_NODE, "--no-audit", "--no-fund", "--prefix", str(folder))
    try:
        made = subprocess.run(asked, check=False, capture_output=True, text=True, timeout=40)
        complaint = "" if made.returncode == 0 else made.stderr
    except subprocess.TimeoutExpired:
        complaint = "it takes too long"
    if complaint:
        pytest.skip(
            f"npm can't install {OPENAI_NODE}; name a folder that has it in TEST_NODE_MODULES."
            f" It says: {' '.join(complaint.split())[:200]}"
        )
    return folder / "node_modules"
