"""What it costs the page to show a long answer while it comes: `python -m bench.page`.

An answer of 10,000 words, mixed, in chunks of three words, each of which is rendered and laid out
at once: more often than the page does, which renders once a frame. Beside it the plain way: all of
the text rendered anew for each chunk, by the same code; only every 20th, or nobody would wait.
"""

import asyncio
import statistics
import sys
from pathlib import Path
from typing import Final

from tests.browser.markdown_bench import opened, served

WORDS: Final = 10_000
THOUSANDS: Final = 10
SCRIPT: Final = Path(__file__).with_name("page.js").read_text(encoding="utf-8")


async def measure() -> dict[str, list[list[float]]]:
    """Milliseconds of each chunk, of scripts and of layout, by thousand words and by way."""
    with served() as site:
        async with opened(site.address) as page:
            measured: dict[str, list[list[float]]] = await page.evaluate(SCRIPT, WORDS)
            return measured


def table(measured: dict[str, list[list[float]]]) -> str:
    lines = [
        "| words | grown: p50 | p99 | max | + layout: p50 | p99 | anew: p50 | + layout: p50 |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    names = ("grown", "grown_layout", "anew", "anew_layout")
    for thousand in range(THOUSANDS):
        grown, laid_out, anew, anew_laid_out = (measured[name][thousand] for name in names)
        figures = (
            *(statistics.median(grown), _p99(grown), max(grown)),
            *(statistics.median(laid_out), _p99(laid_out)),
            *(statistics.median(anew), statistics.median(anew_laid_out)),
        )
        row = " | ".join(f"{figure:.2f}" for figure in figures)
        lines.append(f"| {(thousand + 1) * 1000:,} | {row} |")
    every = [chunk for chunks in measured["grown"] for chunk in chunks]
    anew_every = [chunk for chunks in measured["anew"] for chunk in chunks]
    total = sum(anew_every) * len(every) / len(anew_every)
    (finish,), (whole,) = measured["finish"][0], measured["whole"][0]
    lines += [
        "",
        f"All {len(every):,} chunks: {sum(every):,.0f} ms grown, about {total:,.0f} ms anew. "
        f"Longest chunk: {max(every):.1f} ms grown, {max(anew_every):.1f} ms anew. "
        f"The end: {finish:.1f} ms. The whole text at once: {whole:.1f} ms.",
    ]
    return "\n".join(lines) + "\n"


def _p99(values: list[float]) -> float:
    return statistics.quantiles(values, n=100)[98]


if __name__ == "__main__":
    sys.stdout.write(table(asyncio.run(measure())))
