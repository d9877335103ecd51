"""English and Chinese, each without a word of the other."""

import re

import pytest
from playwright.async_api import expect

from interface.problems import STATUS
from tests.browser.chat import Chat
from tests.browser.conftest import Visit
from tests.browser.told import refuses, whole
from tests.browser.visitor import Visitor
from tests.end_to_end.processes import ROOT
from tests.upstream import Upstream

PAGE = ROOT / "interface/page"

pytestmark = pytest.mark.asyncio(loop_scope="package")

ALL_WORDS = """() => {
  const shown = [document.title];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const parent = walk.currentNode.parentElement;
    if (!parent.closest("script, style, noscript, .text, [data-role=user], nav li, h1, option"))
      shown.push(walk.currentNode.data);
  }
  for (const each of document.querySelectorAll("[aria-label], [title], [placeholder], [alt]"))
    if (!each.closest("nav li, [data-role=user], .text"))
      for (const name of ["aria-label", "title", "placeholder", "alt"])
        shown.push(each.getAttribute(name) ?? "");
  return shown.map(each => each.trim()).filter(Boolean);
}"""
"""All that is to be read or heard, but for what people, models and servers have said."""
NAMES = re.compile(
    r"https?://\S+|\b(URL|API|LLM|Chat|llm-chat|English|OpenAI|Markdown|Enter|Shift|Esc|gpt-real"
    r"|simulated(-long)?|kB|MB|PDF|DOCX)\b"
)
SAID = """async ([keys, codes]) => {
  const {t, problemText, setLanguage} = await import("/page/words.js");
  const said = () => [
    ...keys.map((key) => [key, t(key)]),
    ...codes.map((code) => [code, problemText({code, detail: `no words for ${code}`})]),
  ];
  setLanguage("zh-CN");
  const chinese = Object.fromEntries(said());
  setLanguage("en");
  return Object.fromEntries(said().map(([key, text]) => [key, [text, chinese[key]]]));
}"""
NEVER_HERE = {
    "answer_pending",
    "answer_restarted",
    "answer_stopped",
    "bad_request",
    "context_length_exceeded",
    "foreign_host",
    "idempotency_conflict",
    "method_not_allowed",
    "not_found",
    "previous_call_not_found",
    "previous_call_unanswered",
    "token_not_found",
    "too_many_tokens",
    "unsupported_media_type",
    "user_not_found",
}
"""Errors of what the page does not ask for."""
LATIN = re.compile(r"[A-Za-z]{2,}")
CHINESE = re.compile(r"[\u4e00-\u9fff]")


async def words(ada: Visitor) -> list[str]:
    found: list[str] = await ada.page.evaluate(ALL_WORDS)
    return found


async def all_chinese(ada: Visitor) -> None:
    left = [said for said in await words(ada) if LATIN.search(NAMES.sub("", said))]
    assert left == []


@pytest.mark.parametrize(
    ("locale", "language"),
    [("zh-CN", "zh-CN"), ("zh-TW", "zh-CN"), ("en-GB", "en"), ("de-DE", "en")],
)
async def test_the_language_is_the_browser_s(visit: Visit, locale: str, language: str) -> None:
    ada = await visit(locale=locale)
    await expect(ada.page.locator("html")).to_have_attribute("lang", language)
    await expect(ada.page.locator("textarea").first).to_be_editable()
    assert (CHINESE.search("".join(await words(ada))) is not None) == (language == "zh-CN")


async def test_nothing_is_left_in_english_on_the_chinese_page(
    chat: Chat, model: Upstream, visit: Visit
) -> None:
    model.answers(whole("好的。"), refuses)
    session_id = await chat.add_session("会话", "你好")
    ada = await visit(locale="zh-CN")
    await expect(ada.page.locator("textarea").first).to_be_editable()
    await all_chinese(ada)
    await ada.page.goto(f"{chat.url}/#/{session_id}")
    log = ada.page.get_by_role("log")
    await expect(log.locator("article")).to_have_count(2)
    await all_chinese(ada)
    box = ada.page.get_by_role("main").locator("textarea")
    await box.fill("再来")
    await box.press("Enter")
    await expect(log.locator('[data-state="failed"]')).to_be_visible()
    await all_chinese(ada)
    await ada.page.get_by_role("button", name="设置").click()
    await expect(ada.dialog).to_be_visible()
    await all_chinese(ada)
    await ada.page.keyboard.press("Escape")
    item = ada.page.get_by_role("navigation").get_by_role("listitem").first
    await item.get_by_role("button").click()
    await expect(ada.page.get_by_role("menuitem").first).to_be_visible()
    await all_chinese(ada)
    for place in (0, 1):
        if place:
            await item.get_by_role("button").click()
        await ada.page.get_by_role("menuitem").nth(place).click()
        await expect(ada.dialog).to_be_visible()
        await all_chinese(ada)
        await ada.page.keyboard.press("Escape")


@pytest.mark.own_process(AUTH_MODE="required")
async def test_the_door_is_chinese_too(visit: Visit) -> None:
    ada = await visit(locale="zh-CN")
    ada.expects("401")
    await expect(ada.page.locator('input[type="password"]')).to_be_visible()
    await all_chinese(ada)


async def test_the_language_is_chosen_at_once_and_for_ever(visit: Visit) -> None:
    ada = await visit()
    dialog = await ada.open_settings()
    await dialog.get_by_role("combobox", name="Language").select_option(label="中文")
    await expect(ada.page.locator("html")).to_have_attribute("lang", "zh-CN")
    await all_chinese(ada)
    await ada.page.reload()
    await expect(ada.page.locator("html")).to_have_attribute("lang", "zh-CN")
    await expect(ada.page.locator("textarea").first).to_be_editable()
    await all_chinese(ada)
    await ada.page.get_by_role("button", name="设置").click()
    await ada.dialog.get_by_role("combobox").first.select_option(label="English")
    await expect(ada.page.locator("html")).to_have_attribute("lang", "en")
    assert not CHINESE.search("".join(each for each in await words(ada) if each != "中文"))


async def test_all_words_are_there_in_both_languages(visit: Visit) -> None:
    ada = await visit()
    scripts = {path.name: path.read_text("utf-8") for path in PAGE.glob("*.*")}
    table = set(
        re.findall(r"^  (\w+): \[", scripts["words.js"].partition("PROBLEMS")[0], re.MULTILINE)
    )
    named = r'\bt\(\s*"(\w+)"|\bbutton\(\s*"(\w+)"|data-t(?:-\w+)?="(\w+)"|"data-t": "(\w+)"'
    used = {"".join(found) for text in scripts.values() for found in re.findall(named, text)}
    assert used
    assert used <= table
    said = await ada.page.evaluate(SAID, [sorted(table), sorted(STATUS.keys() - NEVER_HERE)])
    for key, (english, chinese) in said.items():
        assert english != key, "it has no words"
        assert not CHINESE.search(english), key
        assert CHINESE.search(chinese), key
        assert english.count("{") == chinese.count("{") == 0, key
        assert not LATIN.search(NAMES.sub("", chinese)), key
