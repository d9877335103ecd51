"""Whatever a model says, the page runs nothing of it, fetches nothing for it and leads nowhere."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.async_api import Dialog, Page

from interface.web_page import CONTENT_SECURITY_POLICY
from tests.browser.hostile_markdown import CATEGORIES, PAYLOADS
from tests.browser.markdown_bench import Site, opened, served

CHECKS: Final = Path(__file__).with_name("hostile_checks.js").read_text(encoding="utf-8")
CONTEXTS: Final = (
    "- {}\n- next",
    "> {}",
    "# {}",
    "a\n{}\nb",
    "| a | b |\n|---|---|\n| {} | x |",
    "[{}](http://a.b)",
    "![{}](http://a.b)",
    "[x](http://a.b '{}')",
    "**{}**",
    "`{}`",
    "```{}\nx\n```",
    "```html\n{}\n```",
    "[a]: http://a.b '{}'\n\n[a]",
    "<p title='{}'>",
)
SHORT: Final = [payload for payload in PAYLOADS if len(payload) < 200]


@dataclass
class Hostile:
    """A page, and all that has happened on it since it loaded."""

    page: Page
    site: Site
    happened: list[str] = field(default_factory=list)

    async def show(self, texts: list[str], **how: Any) -> list[Any]:
        """What was wrong in the document, by text."""
        texts = [text.replace("LEAK", f"{self.site.address}leak") for text in texts]
        options = {"seed": 0, "largest": 0, "by": "the page"} | how
        found: list[Any] = await self.page.evaluate(
            "([texts, options]) => window.hostile(texts, options)", [texts, options]
        )
        self.happened += await self.page.evaluate("window.violations.splice(0)")
        return found

    @property
    def leaked(self) -> list[str]:
        return [path for path in self.site.asked if not path.startswith("/page/")]


@asynccontextmanager
async def hostile(policy: str | None = CONTENT_SECURITY_POLICY) -> AsyncIterator[Hostile]:
    with served(policy) as site:
        async with opened(site.address) as page:
            await page.evaluate(f"{CHECKS}\nundefined")  # a function would be called
            # Coloured once, so that all files of the page are there.
            await page.evaluate("window.hostile(['```js\\nlet x\\n```'], {})")
            shown = Hostile(page, site)
            site.asked.clear()

            async def dismiss(dialog: Dialog) -> None:
                shown.happened.append(f"dialog {dialog.message}")
                await dialog.dismiss()

            note = shown.happened.append
            page.on("dialog", dismiss)
            page.on("request", lambda request: note(f"request {request.url}"))
            page.on("console", lambda message: note(f"console {message.text}"))
            page.on("pageerror", lambda error: note(f"error {error}"))
            page.on("framenavigated", lambda frame: note(f"navigated {frame.url}"))
            page.on("frameattached", lambda frame: note(f"frame {frame.url}"))
            page.on("popup", lambda popup: note(f"popup {popup.url}"))
            page.on("download", lambda download: note(f"download {download.url}"))
            yield shown


def test_there_are_hundred_and_more_of_them() -> None:
    assert len(set(PAYLOADS)) == len(PAYLOADS) >= 100
    assert len(CATEGORIES) >= 15


async def test_t58_a_hostile_text_shown_whole_does_nothing() -> None:
    async with hostile() as shown:
        assert await shown.show(PAYLOADS) == []
        assert shown.happened == []
        assert shown.site.asked == []


async def test_t58_a_hostile_text_in_any_place_of_a_text_does_nothing() -> None:
    texts = [context.format(payload) for context in CONTEXTS for payload in SHORT]
    async with hostile() as shown:
        assert await shown.show(texts) == []
        assert shown.happened == []
        assert shown.site.asked == []


@pytest.mark.parametrize("seed", [1, 2])
async def test_t58_a_hostile_text_does_nothing_however_it_is_cut_into_chunks(seed: int) -> None:
    async with hostile() as shown:
        assert await shown.show(SHORT, seed=seed, largest=12) == []
        assert await shown.show(PAYLOADS, seed=seed, largest=400) == []
        assert shown.happened == []
        assert shown.site.asked == []


async def test_t58_a_hostile_text_that_comes_by_single_characters_does_nothing() -> None:
    async with hostile() as shown:
        assert await shown.show(SHORT, largest=1) == []
        assert shown.happened == []
        assert shown.site.asked == []


async def test_t58_hostile_texts_after_each_other_do_nothing_together() -> None:
    mixed = random.Random(58)
    texts = [mixed.choice(["\n", "\n\n", " "]).join(mixed.sample(SHORT, 12)) for _ in range(40)]
    async with hostile() as shown:
        assert await shown.show(texts) == []
        assert await shown.show(texts, seed=58, largest=40) == []
        assert shown.happened == []
        assert shown.site.asked == []


async def test_t58_the_second_wall_would_do_alone() -> None:
    """With the policy: the browser holds it against what is parsed before it is thrown away, and
    says so. Of `<track>` it would even fetch the source."""
    async with hostile() as shown:
        found = await shown.show(PAYLOADS, by="marked and the second wall")
        passed = {what for _, problems in found for what in problems}
        assert {what for what in passed if not what.endswith("is not where ours is")} == set()
        refusals = ("script-src-attr", "style-src", "media-src", "base-uri", "console")
        assert [what for what in shown.happened if not what.startswith(refusals)] == []
        assert shown.site.asked == []


async def test_t58_the_first_wall_would_do_alone() -> None:
    """It shows what was written: there is nothing left in it for the second one."""
    async with hostile() as shown:
        written = [
            text
            for text in (*CATEGORIES["svg and math"], *CATEGORIES["frames and objects"])
            if "\n" not in text and "&" not in text
        ]
        seen = await shown.page.evaluate(
            """async (texts) => {
              const { renderMarkdown } = await import("/page/markdown.js");
              return texts.map((text) => {
                const place = document.createElement("section");
                renderMarkdown(place, text);
                return place.textContent;
              });
            }""",
            written,
        )
        assert seen == written


async def test_the_same_look_finds_all_of_it_where_texts_are_shown_as_marked_has_them() -> None:
    calm = [payload for payload in PAYLOADS if "refresh" not in payload and len(payload) < 2000]
    async with hostile(policy=None) as shown:
        found = await shown.show(calm, by="marked alone")
        named = "\n".join(problem for _, problems in found for problem in problems)
        assert len({text for text, _ in found}) > len(calm) // 2
        for problem in (
            "<IMG>",
            "<SVG>",
            "<IFRAME>",
            "<STYLE>",
            "onerror=",
            "canary",
            "javascript:",
        ):
            assert problem in named
        assert any(what.startswith("dialog") for what in shown.happened)
        assert any(what.startswith("request") for what in shown.happened)
        assert any(what.startswith("frame") for what in shown.happened)
        assert any(path.startswith("/leak/") for path in shown.leaked)


async def test_what_the_policy_refuses_is_seen() -> None:
    async with hostile() as shown:
        # As a text would do it that had got through.
        await shown.page.evaluate(
            """() => {
              const script = document.createElement("img");
              script.src = "http://127.0.0.1:9/";
              document.body.append(script);
            }"""
        )
        await shown.show(["text"])
        assert any(what.startswith("img-src") for what in shown.happened)
