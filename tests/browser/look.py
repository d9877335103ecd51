"""Pictures of the page, for people: python -m tests.browser.look FOLDER"""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path
from typing import Literal

from playwright.async_api import Browser

from tests.browser import browsers
from tests.browser.chat import Chat, reached, server
from tests.browser.scenes import SCENES, SIZES, Scene, fill, sign_in
from tests.browser.visitor import at_page

COLOURS: tuple[Literal["light", "dark"], ...] = ("light", "dark")
SERVERS: dict[str, dict[str, Scene]] = {"open": SCENES, "required": {"sign-in": sign_in}}


async def take(browser: Browser, chat: Chat, scenes: dict[str, Scene], folder: Path) -> None:
    for size, viewport in SIZES.items():
        for colours in COLOURS:
            for name, scene in scenes.items():
                context = await browser.new_context(
                    viewport=viewport,
                    color_scheme=colours,
                    reduced_motion="reduce",
                    locale="en-GB",
                    device_scale_factor=2 if size == "phone" else 1,
                    has_touch=size == "phone",
                )
                ada = await at_page(context)
                await ada.page.goto(chat.url)
                await scene(ada, chat)
                path = folder / f"{name}-{size}-{colours}.png"
                await ada.page.screenshot(path=path, full_page=False)
                await context.close()


async def look(program: str, folder: Path) -> None:
    with tempfile.TemporaryDirectory() as made:
        async with browsers.browser(program) as browser:
            for mode, scenes in SERVERS.items():
                place = Path(made) / mode
                place.mkdir()
                async with (
                    server(place, AUTH_MODE=mode) as running,
                    reached(running) as chat,
                ):
                    if mode == "open":
                        await fill(chat)
                    await take(browser, chat, scenes, folder)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    program = browsers.installed()
    if program is None:
        sys.exit(browsers.MISSING)
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    asyncio.run(look(program, folder))
