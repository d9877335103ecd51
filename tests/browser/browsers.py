"""A browser that is installed already; the tests bring none."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from playwright.async_api import Browser, async_playwright

_NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MISSING: Final = "no browser is on PATH: install chromium, or name one of its kind in TEST_BROWSER"


def installed() -> str | None:
    """The program. One that is asked for by TEST_BROWSER must be there: it is not looked for."""
    return os.environ.get("TEST_BROWSER") or next(filter(None, map(shutil.which, _NAMES)), None)


@asynccontextmanager
async def browser(program: str) -> AsyncIterator[Browser]:
    """Without its sandbox, as root must have it: it sees no page but ours."""
    async with async_playwright() as playwright:
        made = await playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        try:
            yield made
        finally:
            await made.close()
