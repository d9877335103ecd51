"""What keeps people out, as far as a program can tell."""

from pathlib import Path
from typing import Any, Final

from playwright.async_api import Page

_AXE: Final = (Path(__file__).parent / "vendor/axe-core/axe.min.js").read_text("utf-8")
_RULES: Final = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
_GRAVE: Final = ("serious", "critical")


async def barriers(page: Page) -> list[str]:
    """The serious and critical ones of WCAG 2.2 AA, one line each."""
    await page.evaluate(f"{_AXE}\n;0")
    found: dict[str, Any] = await page.evaluate(
        "(rules) => axe.run(document, {runOnly: {type: 'tag', values: rules}})", _RULES
    )
    assert found["passes"]
    return [
        f"{each['id']} ({each['impact']}): {node['target']} {node['html'][:120]}"
        f" {node.get('failureSummary', '')}"
        for each in found["violations"]
        if each["impact"] in _GRAVE
        for node in each["nodes"]
    ]
