"""What README shows to be run."""

import re
from dataclasses import dataclass
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
