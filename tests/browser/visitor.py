"""Somebody at a page: what they do there, what they see, and what went wrong behind their back."""

import re
from dataclasses import dataclass, field
from typing import Final

from playwright.async_api import (
    BrowserContext,
    ConsoleMessage,
    Error,
    Locator,
    Page,
    WebSocket,
    expect,
)

PATIENCE: Final = 20_000.0
"""Milliseconds after which a test gives up; nothing asserts a shorter time."""
CUT: Final = (r"net::ERR_", r"WebSocket connection to .* failed")
"""What a browser says by itself when the network is away."""
TELL_VIOLATIONS: Final = """
document.addEventListener("securitypolicyviolation", (event) =>
  console.error(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
"""

expect.set_options(timeout=PATIENCE)


@dataclass(eq=False)
class Visitor:
    page: Page
    errors: list[str] = field(default_factory=list)
    """Of the page and in its console."""
    expected: list[str] = field(default_factory=list)
    """Patterns of errors that belong to the test."""
    sockets: list[WebSocket] = field(default_factory=list)
    """All that were opened."""

    def __post_init__(self) -> None:
        self.page.on("console", self._note)
        self.page.on("pageerror", self._note_error)
        self.page.on("websocket", lambda made: self.sockets.append(made))

    def _note(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(f"{message.text} ({message.location.get('url', '')})")

    def _note_error(self, error: Error) -> None:
        self.errors.append(f"uncaught: {error.stack or error}")

    def expects(self, *patterns: str) -> None:
        self.expected += patterns

    @property
    def unexpected(self) -> list[str]:
        known = self.expected
        return [said for said in self.errors if not any(re.search(each, said) for each in known)]

    # What is on the page

    @property
    def box(self) -> Locator:
        return self.page.get_by_role("textbox", name="Message", exact=True)

    @property
    def side(self) -> Locator:
        return self.page.get_by_role("navigation", name="Conversations")

    @property
    def links(self) -> Locator:
        """To sessions."""
        return self.side.locator('a[href^="#/session_"]')

    @property
    def title(self) -> Locator:
        return self.page.get_by_role("main").get_by_role("heading", level=1)

    @property
    def log(self) -> Locator:
        return self.page.get_by_role("log", name="Messages")

    @property
    def questions(self) -> Locator:
        return self.log.locator('article[data-role="user"]')

    @property
    def answers(self) -> Locator:
        return self.log.locator('article[data-role="assistant"]')

    @property
    def answer(self) -> Locator:
        """The last one."""
        return self.answers.last

    @property
    def text(self) -> Locator:
        """Of the last answer."""
        return self.answer.locator(".text")

    @property
    def connection(self) -> Locator:
        """What is wrong with it; empty if nothing is."""
        return self.page.locator("#connection")

    @property
    def notice(self) -> Locator:
        return self.page.locator("#notices").get_by_role("alert")

    @property
    def dialog(self) -> Locator:
        return self.page.get_by_role("dialog")

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    def link(self, title: str) -> Locator:
        return self.side.get_by_role("link", name=title)

    def item(self, title: str) -> Locator:
        """The session's in the list."""
        return self.side.get_by_role("listitem").filter(has_text=title)

    # What people do

    async def ask(self, question: str) -> None:
        await self.box.fill(question)
        await self.box.press("Enter")

    async def choose(self, title: str, option: str) -> None:
        """From the menu of a session."""
        await self.item(title).hover()
        await self.button(f"Options for {title}").click()
        await self.page.get_by_role("menuitem", name=option).click()

    async def open_settings(self) -> Locator:
        await self.button("Settings").click()
        dialog = self.page.get_by_role("dialog", name="Settings")
        await expect(dialog).to_be_visible()
        return dialog

    async def session_id(self) -> str:
        """Of the session that is open, which the address tells."""
        await expect(self.page).to_have_url(re.compile(r"#/session_\w+"))
        return self.page.url.rpartition("#/")[2]

    # What they see

    async def reads(self, text: str, state: str = "completed") -> None:
        """As the last answer, which is in that state; to the letter, if it is plain text."""
        await expect(self.answer).to_have_attribute("data-state", state)
        await expect(self.text).to_have_text(text)
        assert (await self.text.inner_text()).strip() == text.strip()


async def at_page(context: BrowserContext) -> Visitor:
    """In a new tab, which is empty yet."""
    return Visitor(await context.new_page())
