"""Prints the table and writes it to docs/benchmarks.md."""

import sys
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from statistics import median
from typing import Final

import uvloop

from bench.pace import CHUNKS, PAUSE_SECONDS, STREAMS
from bench.reading import RUNS, measure, ratio

_PAGE: Final = Path(__file__).parent.parent / "docs" / "benchmarks.md"
_VERSIONS: Final = ("openai", "httpx2", "aiohttp", "msgspec", "uvloop")


def main() -> None:
    theirs, ours = uvloop.run(measure())
    reached = ratio(theirs, ours)
    versions = ", ".join(f"{name} {version(name)}" for name in _VERSIONS)
    page = f"""\
# Benchmarks

Written by `make bench`. All figures of a table are from one run on one machine; compare the
ratios, not the microseconds.

## Reading a chunk of a model's stream
CPU time of the reading process, transport included: {STREAMS} streams at once, {CHUNKS} chunks
each, one every {PAUSE_SECONDS * 1000:.0f} ms; medians of {RUNS} runs, taken in turn. What a request
costs is not in it.

| way | µs a chunk | runs |
| --- | --- | --- |
| `AsyncOpenAI`, iterated as documented | {median(theirs):.0f} | {_listed(theirs)} |
| `OpenAICompatibleModel` | {median(ours):.0f} | {_listed(ours)} |
| ratio, to be ≤ 0.20 | **{reached:.2f}** | |

Python {python_version()}, {versions}; both on uvloop.
"""
    _PAGE.write_text(page, encoding="utf-8")
    sys.stdout.write(page)


def _listed(runs: list[float]) -> str:
    return ", ".join(f"{run:.0f}" for run in runs)


if __name__ == "__main__":
    main()
