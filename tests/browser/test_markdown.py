"""Markdown while it grows: what is seen of it, and that it ends as if it had come at once."""

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.async_api import Page

from tests.browser.markdown_bench import PAGE, Site, opened, served

CORPUS: Final = Path(__file__).with_name("markdown_corpus.js").read_text(encoding="utf-8")
PRELUDE: Final = """
  const { MarkdownView, renderMarkdown, highlighted } = await import("/page/markdown.js");
  const root = document.getElementById("text");
  const place = () => root.appendChild(document.createElement("section"));
  const whole = (text) => { const made = place(); renderMarkdown(made, text); return made; };
"""


class Bench:
    def __init__(self, page: Page, site: Site) -> None:
        self.page = page
        self.site = site
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda message: self.errors.append(message.text))

    async def run(self, script: str, given: Any = None) -> Any:
        """What the body of a function returns that has `given`."""
        result = await self.page.evaluate(f"async (given) => {{{PRELUDE}{script}}}", given)
        assert self.errors == []
        return result

    async def shown(self, text: str) -> str:
        shown: str = await self.run("return whole(given).innerHTML", text)
        return re.sub(r"<button.*?</button>", "", shown)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    with served() as site:
        async with opened(site.address) as page:
            await page.evaluate(f"{CORPUS}\nundefined")
            yield Bench(page, site)


GROWN: Final = """
  const wrong = [];
  for (let seed = given.seed; seed < given.seed + given.count; seed++) {
    const random = window.randomOf(seed);
    const text = window.randomText(random, given.definitions);
    const grown = place();
    const view = new MarkdownView(grown);
    const largest = random.pick([1, 3, 8, 40]);
    for (let end = 0; end < text.length; ) {
      const begin = end;
      end += 1 + random.below(largest);
      view.append(text.slice(begin, end));
      if (random.random() < 0.8) view.render();
    }
    view.finish();
    const expected = whole(text);
    if (grown.innerHTML !== expected.innerHTML) {
      wrong.push([text, grown.innerHTML, expected.innerHTML]);
    }
    document.getElementById("text").replaceChildren();
  }
  return wrong;
"""


@pytest.mark.parametrize("definitions", [False, True])
async def test_a_finished_text_is_what_it_would_be_had_it_come_at_once(
    bench: Bench, definitions: bool
) -> None:
    given = {"seed": 1, "count": 250, "definitions": definitions}
    assert await bench.run(GROWN, given) == []


async def test_words_that_were_shown_stay_while_the_text_grows(bench: Bench) -> None:
    text = (
        "# Title\n\nSome **bold words** here\nand *more*\n\n- one\n- two\n  - inner\n\n"
        "1. first\n2. second\n3. third\n4. fourth\n\nhead | other\n--- | ---\na | b\nc | d\ne | f\n"
        "\n```\nlines of\n\ncode\n```\n\n> quoted\n> again\n\nSetext\n===\n\nlast `code` ~~gone~~\n"
    )
    lost = await bench.run(
        """
        const made = place();
        const view = new MarkdownView(made);
        const lost = [];
        let before = "";
        for (const character of given) {
          view.append(character);
          view.render();
          const now = made.textContent.replace(/[^a-z0-9]/gi, "").replace("Copycode", "");
          if (!now.startsWith(before)) lost.push([before, now]);
          before = now;
        }
        return lost;
        """,
        text,
    )
    assert lost == []


TOUCHED: Final = """
  const made = place();
  const view = new MarkdownView(made);
  view.append(given.begin);
  for (let piece = 0; piece < given.many; piece++) view.append(given.repeated);
  view.render();
  const old = new Set([...made.querySelectorAll("*")].slice(0, given.kept));
  const touched = [];
  const observer = new MutationObserver((changes) => {
    for (const { target, removedNodes } of changes) {
      const { nodeName } = target;
      if (old.has(target) && !given.growing.includes(nodeName)) touched.push(nodeName);
      for (const removed of removedNodes) if (old.has(removed)) touched.push("removed");
    }
  });
  observer.observe(made, { subtree: true, childList: true, characterData: true, attributes: true });
  for (let piece = 0; piece < 20; piece++) {
    for (const character of given.repeated) {
      view.append(character);
      view.render();
    }
  }
  await new Promise((resolve) => setTimeout(resolve));
  return [old.size, touched];
"""


ENDED: Final[list[tuple[str, str, list[str]]]] = [
    ("", "Some *words* of it.\n\n", []),
    ("", "- an *item*\n", ["UL"]),
    ("Before:\n\n", "- an *item*\n\n", ["UL"]),
    ("", "7. an *item*\n   of two lines\n", ["OL"]),
    ("| a | b |\n|---|---|\n", "| *c* | d |\n", ["TBODY"]),
    ("", "```\ncode\n```\n", []),
    ("", "> *quoted*\n\nand not\n\n", []),
]


async def test_what_has_ended_is_never_touched_again(bench: Bench) -> None:
    for begin, repeated, growing in ENDED:
        given = {"begin": begin, "repeated": repeated, "growing": growing, "many": 30, "kept": 40}
        kept, touched = await bench.run(TOUCHED, given)
        assert kept == 40
        assert touched == [], repeated


async def test_a_list_that_begins_is_no_heading_before(bench: Bench) -> None:
    seen = await bench.run(
        """
        const made = place();
        const view = new MarkdownView(made);
        return [...given].map((character) => {
          view.append(character);
          view.render();
          return [...made.children].map(({ nodeName }) => nodeName).join(" ");
        });
        """,
        "Of it:\n- one",
    )
    assert set(seen) == {"P", "P UL"}


async def test_code_that_grows_is_added_to_and_not_made_anew(bench: Bench) -> None:
    same, text = await bench.run(
        """
        const made = place();
        const view = new MarkdownView(made);
        view.append("```\\nfirst\\n");
        view.render();
        const [code] = made.querySelectorAll("code");
        const node = code.firstChild;
        for (const chunk of ["sec", "ond\\n", "``", "` not yet\\n", "   ", " x\\n`"]) {
          view.append(chunk);
          view.render();
        }
        return [code.isConnected && code.firstChild === node, code.textContent];
        """
    )
    assert same
    assert text == "first\nsecond\n``` not yet\n    x"


async def test_what_is_selected_stays_selected_while_the_text_grows(bench: Bench) -> None:
    selected = await bench.run(
        """
        const made = place();
        const view = new MarkdownView(made);
        view.append("One.\\n\\n```js\\nlet two;\\n```\\n\\nThree.\\n\\nFour.\\n\\n");
        view.render();
        const range = document.createRange();
        range.setStart(made.querySelector("p").firstChild, 1);
        range.setEnd(made.querySelector("code").firstChild, 3);
        document.getSelection().addRange(range);
        for (let piece = 0; piece < 50; piece++) {
          view.append("More *of* it.\\n\\n");
          view.render();
        }
        view.finish();
        await highlighted();
        const coloured = made.querySelectorAll("code span").length;
        const selected = document.getSelection().toString();
        document.getSelection().removeAllRanges();
        await new Promise((resolve) => document.addEventListener("selectionchange", resolve));
        await highlighted();
        const later = made.querySelectorAll("code span").length;
        return [selected.replace(/\\s+/g, " "), coloured, later];
        """
    )
    assert selected[0].startswith("ne. ")
    assert selected[0].endswith("let")
    assert selected[1] == 0
    assert selected[2] > 0


async def test_chunks_of_one_frame_are_rendered_together(bench: Bench) -> None:
    counts = await bench.run(
        """
        let grown = 0;
        const made = place();
        const view = new MarkdownView(made, { onGrow: () => grown++ });
        const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
        for (let chunk = 0; chunk < 100; chunk++) view.append("word ");
        const before = [grown, made.textContent];
        await frame();
        await frame();
        return [before, grown, made.textContent.trim().split(" ").length];
        """
    )
    assert counts == [[0, ""], 1, 100]


async def test_nothing_is_rendered_after_the_view_was_given_up(bench: Bench) -> None:
    text = await bench.run(
        """
        const made = place();
        const view = new MarkdownView(made);
        view.append("word");
        view.dispose();
        await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
        return made.textContent;
        """
    )
    assert text == ""


async def test_a_snapshot_keeps_what_it_shares_with_what_is_shown(bench: Bench) -> None:
    result = await bench.run(
        """
        const made = place();
        const view = new MarkdownView(made);
        view.append("One.\\r\\n\\r\\nTwo.\\n\\nThree.\\n\\nFo");
        view.render();
        const first = made.firstChild;
        view.replace("One.\\r\\n\\r\\nTwo.\\n\\nThree.\\n\\nFour.");
        view.render();
        const kept = made.firstChild === first;
        const longer = made.textContent;
        view.replace("Else.");
        view.finish();
        const other = made.textContent;
        view.replace("");
        view.finish();
        return [kept, longer, other, made.textContent];
        """
    )
    assert result == [True, "One.Two.Three.Four.", "Else.", ""]


async def test_a_definition_at_the_end_makes_links_and_leaves_all_else_in_place(
    bench: Bench,
) -> None:
    result = await bench.run(
        """
        const made = place();
        const view = new MarkdownView(made);
        view.append("One.\\n\\n```\\ncode\\n```\\n\\nSee [1].\\n\\nTwo.\\n\\nThree.\\n\\nFour.\\n");
        view.render();
        const before = [...made.children];
        view.append("\\n[1]: https://a.b/\\n");
        view.finish();
        const same = [...made.children].map((node, index) => node === before[index]);
        return [same, made.querySelector("a").href];
        """
    )
    assert result == [[True, True, False, True, True, True], "https://a.b/"]


LINK: Final = 'target="_blank" rel="noopener noreferrer nofollow"'


MEANT: Final = [
    ("# a\n## b\n###### c", "<h3>a</h3><h4>b</h4><h6>c</h6>"),
    ("a\nb", "<p>a<br>b</p>"),
    (
        "~~a~~ **b** *c* `d<e`",
        "<p><del>a</del> <strong>b</strong> <em>c</em> <code>d&lt;e</code></p>",
    ),
    ("- [x] a\n- [ ] b", "<ul><li>☑ a</li><li>☐ b</li></ul>"),
    ("3. a\n   - b", '<ol start="3"><li>a<ul><li>b</li></ul></li></ol>'),
    ("- a\n\n- b", "<ul><li>a</li><li>b</li></ul>"),
    ("- a\n\n  b", "<ul><li><p>a</p><p>b</p></li></ul>"),
    ("http://a.b/c", f'<p><a href="http://a.b/c" {LINK}>http://a.b/c</a></p>'),
    ("[a](mailto:b@c.d)", f'<p><a href="mailto:b@c.d" {LINK}>a</a></p>'),
    ("![a](http://b/c)", f'<p><a href="http://b/c" {LINK}>a</a></p>'),
    ("![](http://b/c)", f'<p><a href="http://b/c" {LINK}>http://b/c</a></p>'),
    ("[a](javascript:b) [c](/d)", "<p>a c</p>"),
    ("<b>a</b> <i", "<p>&lt;b&gt;a&lt;/b&gt; &lt;i</p>"),
    ("<div>\n**a**\n</div>", "<p>&lt;div&gt;<br><strong>a</strong><br>&lt;/div&gt;</p>"),
    ("a&copy;b &amp; &lt; &nosuch; \\&lt;", "<p>a©b &amp; &lt; &amp;nosuch; &amp;lt;</p>"),
    (
        "|a|b|\n|:-|-:|\n|c<br>d|e\\|f|",
        '<div class="table" tabindex="0" role="group" aria-label="Table"><table><thead><tr>'
        '<th align="left">a</th><th align="right">b</th></tr></thead><tbody><tr>'
        '<td align="left">c<br>d</td><td align="right">e|f</td></tr></tbody></table></div>',
    ),
    (
        "```c++ x=y\n<a>\n```",
        '<figure class="code"><figcaption><span class="lang">c++</span></figcaption>'
        '<pre tabindex="0"><code class="hljs language-c++">&lt;a&gt;</code></pre></figure>',
    ),
    (
        "    a\n\n    b",
        '<figure class="code"><figcaption><span class="lang"></span></figcaption>'
        '<pre tabindex="0"><code class="hljs">a\n\nb</code></pre></figure>',
    ),
    ("a\0b", "<p>a\ufffdb</p>"),
]


async def test_each_kind_of_markdown_is_what_it_means(bench: Bench) -> None:
    for text, expected in MEANT:
        assert await bench.shown(text) == expected


COLOURED: Final = """
  const made = whole(given);
  await highlighted();
  return [made.querySelectorAll("code span").length, made.querySelector("code").textContent];
"""


async def test_code_in_a_known_language_is_coloured_and_no_other(bench: Bench) -> None:
    spans, code = await bench.run(COLOURED, "```python\ndef f(): return '<b>'\n```")
    assert spans >= 3
    assert code == "def f(): return '<b>'"
    for text in ("```\ndef f(): pass\n```", "```klingon\ndef f(): pass\n```"):
        assert (await bench.run(COLOURED, text))[0] == 0


async def test_code_beyond_50_kb_is_not_coloured(bench: Bench) -> None:
    assert (await bench.run(COLOURED, f"```js\n{'let x;' * 8_000}\n```"))[0] > 0
    assert (await bench.run(COLOURED, f"```js\n{'let x;' * 9_000}\n```"))[0] == 0


async def test_colours_are_fetched_when_the_first_code_needs_them(bench: Bench) -> None:
    library = "/page/vendor/highlight/highlight.min.js"
    await bench.run(COLOURED, "```\nlet x;\n```")
    assert library not in bench.site.asked
    await bench.run(COLOURED, "```js\nlet x;\n```")
    await bench.run(COLOURED, "```js\nlet y;\n```")
    assert bench.site.asked.count(library) == 1


async def test_code_is_copied_and_the_button_says_so_for_a_while(bench: Bench) -> None:
    await bench.page.clock.install()
    await bench.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await bench.run("whole(given)", "```js\nlet x = '<b>';\n```")
    await bench.page.get_by_role("button", name="Copy code").click()
    copied = bench.page.get_by_role("button", name="Copied")
    await copied.wait_for()
    assert await bench.run("return navigator.clipboard.readText()") == "let x = '<b>';"
    await bench.page.clock.run_for(2100)
    await bench.page.get_by_role("button", name="Copy code").wait_for()


async def test_code_is_copied_where_the_browser_has_no_clipboard_for_pages(bench: Bench) -> None:
    await bench.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await bench.run(
        """
        window.read = navigator.clipboard.readText.bind(navigator.clipboard);
        Object.defineProperty(navigator, "clipboard", { value: undefined });
        whole(given);
        """,
        "```\nold way\n```",
    )
    button = bench.page.get_by_role("button", name="Copy code")
    await button.click()
    await bench.page.get_by_role("button", name="Copied").wait_for()
    assert await bench.run("return window.read()") == "old way"
    assert await bench.run("return document.querySelectorAll('textarea').length") == 0
    assert await bench.run("return document.activeElement.className") == "copy"


MEBIBYTE: Final = 1 << 20
ENDLESS: Final = {
    **{
        f"{piece!r}": f"{json.dumps(piece)}.repeat({MEBIBYTE // len(piece)})"
        for piece in (
            *("[", "*", "_", "`", "~", "!", "<", "a", "a ", "\\", "|", "\n", "\t", "\r"),
            *("*a **b ", "_a_b", "a**b", "[a](", "![", "[a][b]", "<a ", "<!--", "a@", "a@b.c "),
            *("- a\n", "1. a\n", "> a\n", "| a | b |\n", "a|b\n-|-\n", "a\n", "a\n\n", "# a\n"),
            *("```\na\n```\n", "[a]: b\n", '[a]: b "c\n', "http://a.b "),
        )
    },
    "quotes in quotes": '">".repeat(10000) + " a"',
    "quotes in quotes, many lines": '(">".repeat(40) + " a\\n").repeat(20000)',
    "lists in lists": 'Array.from({length: 1000}, (_, i) => "  ".repeat(i) + "- a").join("\\n")',
    "lists in a line": '"- ".repeat(100000) + "a"',
    "lists in quotes in lists": '"- > ".repeat(50000) + "a"',
    "emphasis in emphasis": '"*a _b ".repeat(5000) + "c_ d* ".repeat(5000)',
    "emphasis in emphasis, not much": '"*a _b ".repeat(60) + "c_ d* ".repeat(60)',
    "strong in strong": '"**".repeat(50000) + "a" + "**".repeat(50000)',
    "links in links": '"[".repeat(50000) + "a" + "](b)".repeat(50000)',
    "a table that is wide": '"|" + "a|".repeat(5000) + "\\n|" + "-|".repeat(5000) + "\\n"',
    "rows of no cells": '("|" + "a|".repeat(60) + "\\n|" + "-|".repeat(60) + "\\n")'
    ' + "|\\n".repeat(200000)',
    "a table that is long": '"|a|b|\\n|-|-|\\n" + "|a|b|\\n".repeat(150000)',
    "code that is long": '"```js\\n" + "let x = 1;\\n".repeat(90000)',
    "a paragraph that is long": '"some **bold** words and `code` here ".repeat(30000)',
}


async def test_no_text_is_too_long_or_too_deep(bench: Bench) -> None:
    """What is given up is how it looks, not what it says; nothing is thrown or logged."""
    for name, made in ENDLESS.items():
        depth, missing, elements = await bench.run(
            f"""
            const text = {made};
            const shown = whole(text);
            const all = [...shown.querySelectorAll("*")];
            const deepest = (node) => (node === shown ? 0 : 1 + deepest(node.parentNode));
            const depth = Math.max(...all.slice(0, 1000).map(deepest));
            const letters = (where) => where.replace(/[^a-z]/g, "").length;
            const missing = letters(text) - letters(shown.textContent);
            document.getElementById("text").replaceChildren();
            return [depth, missing, all.length];
            """
        )
        assert depth < 50, name
        assert elements < 200_000, name
        assert missing < MEBIBYTE // 2, name


async def test_marks_that_would_take_too_long_to_match_are_shown_as_they_were_written(
    bench: Bench,
) -> None:
    few, many = "!" * 100 + " *a*", "!" * 7_900 + " *a*"
    assert await bench.shown(few) == f"<p>{'!' * 100} <em>a</em></p>"
    assert await bench.shown(many) == f"<p>{many}</p>"


BEYOND: Final = [
    '"word ".repeat(60000) + "end"',
    '"- item\\n".repeat(21000) + "end"',
    '"x\\n".repeat(30000) + "```\\nend"',
    '"```\\n" + "code\\n".repeat(40000) + "end"',
    '"| a | b |\\n|---|---|\\n" + "| c | d |\\n".repeat(1500) + "\\nend"',
    '"> ".repeat(40) + "end\\n\\n"',
    '"*a **b ".repeat(3000) + "\\n\\nend\\n\\n"',
]


async def test_beyond_the_bounds_too_it_ends_as_if_it_had_come_at_once(bench: Bench) -> None:
    for made in BEYOND:
        same, end = await bench.run(
            f"""
            const text = {made};
            const grown = place();
            const view = new MarkdownView(grown);
            for (let begin = 0; begin < text.length; begin += 10007) {{
              view.append(text.slice(begin, begin + 10007));
              view.render();
            }}
            view.finish();
            return [grown.innerHTML === whole(text).innerHTML, grown.textContent.slice(-40)];
            """
        )
        assert same, made
        assert "end" in end, made


def luminance(colour: str) -> float:
    parts = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    dark, light = sorted(map(luminance, (one, other)))
    return (light + 0.05) / (dark + 0.05)


def test_every_colour_of_code_can_be_read_on_its_background() -> None:
    sheet = (PAGE / "code.css").read_text(encoding="utf-8")
    (backgrounds,) = re.findall(r"background: light-dark\((#\w{6}), (#\w{6})\)", sheet)
    colours = re.findall(r" color: light-dark\((#\w{6}), (#\w{6})\)", sheet)
    assert backgrounds == ("#f6f8fa", "#161b22")
    assert len(colours) > 5
    for pair in colours:
        for colour, background in zip(pair, backgrounds, strict=True):
            assert contrast(colour, background) >= 4.5, (colour, background)
