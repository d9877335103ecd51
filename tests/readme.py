"""What README and the other documents show to be run."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.end_to_end.processes import ROOT

ADDRESS: Final = "http://127.0.0.1:8080"
"""Where the server is that README speaks of."""

_README: Final = (ROOT / "README.md").read_text(encoding="utf-8")
_BLOCK: Final = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    language: str
    text: str

    def at(self, url: str) -> str:
        """As it is for a server at another address."""
        return self.text.replace(ADDRESS, url)


def blocks_of(title: str) -> list[Block]:
    """Of one section, in order."""
    section = _README.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    return [Block(language, text) for language, text in _BLOCK.findall(section)]


def commands_in(title: str) -> Sequence[str]:
    """Those for a shell in one section of README, as they stand there."""
    return _commands([each.text for each in blocks_of(title) if each.language == "sh"])


def commands_of(path: Path) -> Sequence[str]:
    """Those for a shell in a document; what is to be put in, as `<session_id>`, is ID."""
    text = re.sub(r"<[\w ]+>", "ID", path.read_text(encoding="utf-8"))
    return _commands(
        [said for language, said in _BLOCK.findall(text) if language in ("sh", "bash")]
    )


def _commands(blocks: Sequence[str]) -> Sequence[str]:
    """One by one. What is said to a program at its prompt is none of them."""
    said = re.sub(r"^> .*\n", "", "".join(blocks), flags=re.MULTILINE).replace("\\\n", " ")
    commands: list[str] = []
    for line in said.splitlines():
        if commands and commands[-1].count("'") % 2:  # what is quoted goes on
            commands[-1] += f"\n{line}"
        elif line.strip():
            commands.append(line)
    return commands
