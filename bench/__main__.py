"""Prints the table and writes it to docs/benchmarks.md."""

import sys
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from statistics import median
from typing import Final

import uvloop

from bench import capacity
from bench.pace import CHUNKS, PAUSE_SECONDS, STREAMS
from bench.reading import RUNS, measure, ratio

_PAGE: Final = Path(__file__).parent.parent / "docs" / "benchmarks.md"
_VERSIONS: Final = ("openai", "httpx2", "aiohttp", "msgspec", "uvloop")


def main() -> None:
    figures = uvloop.run(capacity.measure())
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

## What a connection, a chunk and a message cost
One `serve` and one `work` over Redis and Postgres, once, all on the machine that also asks.
{capacity.ANSWERS} answers at once of {capacity.CHUNKS} chunks each, one every \
{capacity.PAUSE_SECONDS * 1000:.0f} ms, of the simulated model, and one reader each.

| | |
| --- | --- |
{_rows(figures)}
"""
    _PAGE.write_text(page, encoding="utf-8")
    sys.stdout.write(page)


def _rows(figures: capacity.Figures) -> str:
    rows = {
        "KiB of `serve` for an idle WebSocket": f"{figures.kib_a_socket:.0f}",
        "KiB of `serve` for an idle SSE stream": f"{figures.kib_a_stream:.0f}",
        **{f"µs of CPU a chunk, {role}": f"{us:.0f}" for role, us in figures.chunk_us.items()},
        "commits of Postgres a message": f"{figures.transactions:.1f}",
        "KiB that Postgres writes ahead a message": f"{figures.wal_kib:.0f}",
        "ms from a message to its first chunk, p50 / p99": _both(figures.first_ms),
        f"likewise beside {capacity.STALLED} SSE and {capacity.STALLED} WebSocket readers who never"
        " read": _both(figures.first_ms_stalled),
    }
    return "\n".join(f"| {what} | {figure} |" for what, figure in rows.items())


def _both(milliseconds: tuple[float, float]) -> str:
    return f"{milliseconds[0]:.0f} / {milliseconds[1]:.0f}"


def _listed(runs: list[float]) -> str:
    return ", ".join(f"{run:.0f}" for run in runs)


if __name__ == "__main__":
    main()
