"""The page's Markdown alone in a browser: an empty page, from a server of its own with the policy
of the real one, which keeps what it was asked for."""

import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.async_api import Page

from interface.web_page import CONTENT_SECURITY_POLICY
from tests.browser import browsers

PAGE: Final = Path(__file__).parents[2] / "interface" / "page"
EMPTY: Final = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>Markdown</title>'
    '<meta http-equiv="x-dns-prefetch-control" content="off"><link rel="icon" href="data:,">'
    '<link rel="stylesheet" href="/page/code.css"><main id="text"></main></html>'
)


@dataclass
class Site:
    address: str
    asked: list[str] = field(default_factory=list)


@contextmanager
def served(policy: str | None = CONTENT_SECURITY_POLICY) -> Iterator[Site]:
    class Handler(SimpleHTTPRequestHandler):
        extensions_map = {".js": "text/javascript", ".css": "text/css", "": "text/plain"}  # noqa: RUF012

        def do_GET(self) -> None:
            site.asked.append(self.path)
            if self.path == "/":
                self.send_response(200)
                self.send_header("content-type", "text/html; charset=utf-8")
                self.end_headers()
                self.wfile.write(EMPTY.encode())
            else:
                super().do_GET()

        def translate_path(self, path: str) -> str:
            return str(PAGE / Path(path.removeprefix("/page/")))

        def end_headers(self) -> None:
            if policy:
                self.send_header("content-security-policy", policy)
            super().end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    site = Site(f"http://127.0.0.1:{server.server_address[1]}/")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@asynccontextmanager
async def opened(address: str) -> AsyncIterator[Page]:
    program = browsers.installed()
    if program is None:
        pytest.skip(browsers.MISSING)
    async with browsers.browser(program) as browser:
        page = await browser.new_page()
        await page.goto(address)
        yield page
