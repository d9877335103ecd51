"""Whoever uses keys only."""

import pytest
from playwright.async_api import expect

from tests.browser.chat import Chat
from tests.browser.conftest import Visit
from tests.browser.told import Told, whole
from tests.browser.visitor import Visitor
from tests.upstream import Upstream

pytestmark = pytest.mark.asyncio(loop_scope="package")

WATCH = """() => {
  window.reached = new Set();
  document.addEventListener("focusin", (event) => window.reached.add(event.target));
}"""
MISSED = """() => [...document.querySelectorAll(
    "a[href], button, input, select, textarea, [tabindex]")]
  .filter((each) => !each.disabled && each.tabIndex >= 0 && !each.closest("[inert]"))
  .filter((each) => each.checkVisibility({visibilityProperty: true}) && !window.reached.has(each))
  .map((each) => each.outerHTML.slice(0, 120))"""


async def tab_through(ada: Visitor) -> None:
    """All that can be used can be reached, and none of it out of order."""
    await ada.page.evaluate(WATCH)
    await ada.page.evaluate("document.activeElement?.blur()")
    for _ in range(60):
        await ada.page.keyboard.press("Tab")
    assert await ada.page.evaluate(MISSED) == []
    assert (
        await ada.page.locator("[tabindex]:not([tabindex='0']):not([tabindex='-1'])").count() == 0
    )


async def test_all_can_be_reached_by_tab(chat: Chat, model: Upstream, visit: Visit) -> None:
    model.answers(whole("# Code\n\n```python\nx = 1\n```\n\n[a link](https://example.org)"))
    session_id = await chat.add_session("Talk", "Who are you?")
    await chat.add_session("Other")
    ada = await visit(f"/#/{session_id}")
    await expect(ada.answer).to_have_attribute("data-state", "completed")
    await tab_through(ada)


async def test_focus_is_always_seen(visit: Visit) -> None:
    ada = await visit()
    await expect(ada.box).to_be_editable()
    await ada.page.evaluate("document.activeElement?.blur()")
    for _ in range(8):
        await ada.page.keyboard.press("Tab")
        seen = await ada.page.evaluate(
            """() => {
              const ringed = (each) => {
                const style = getComputedStyle(each);
                return (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0)
                  || style.boxShadow !== "none";
              };
              const focused = document.activeElement;
              return focused === document.body || ringed(focused) || ringed(focused.parentElement)
                || !!focused.closest(":focus-within") && [...function* () {
                  for (let each = focused; each; each = each.parentElement) yield each;
                }()].slice(0, 4).some(ringed);
            }"""
        )
        assert seen, await ada.page.evaluate("document.activeElement.outerHTML")


async def test_the_box_has_the_focus_at_first_and_after_a_new_chat(
    chat: Chat, visit: Visit
) -> None:
    session_id = await chat.add_session("Talk")
    ada = await visit(f"/#/{session_id}")
    await expect(ada.box).to_be_focused()
    await ada.button("New chat").click()
    await expect(ada.box).to_be_focused()


async def test_enter_sends_and_shift_enter_is_a_new_line(
    chat: Chat, model: Upstream, visit: Visit
) -> None:
    model.answers(whole("Me."))
    ada = await visit()
    await ada.box.press_sequentially("One")
    await ada.box.press("Shift+Enter")
    await ada.box.press_sequentially("Two")
    await expect(ada.box).to_have_value("One\nTwo")
    await ada.box.press("Enter")
    await ada.reads("Me.")
    await expect(ada.box).to_have_value("")
    await expect(ada.box).to_be_focused()
    [question, _] = await chat.messages(await ada.session_id())
    assert question["content"] == "One\nTwo"
    assert "One\nTwo" in await ada.questions.last.inner_text()


async def test_nothing_but_space_is_not_sent(chat: Chat, visit: Visit) -> None:
    ada = await visit()
    await ada.box.fill("  \n ")
    await ada.box.press("Enter")
    await ada.box.fill("")
    await ada.box.press("Enter")
    await expect(ada.questions).to_have_count(0)
    assert await chat.sessions() == []


async def test_enter_that_ends_a_composition_does_not_send(
    chat: Chat, model: Upstream, visit: Visit
) -> None:
    model.answers(whole("好的。"))
    ada = await visit()
    await ada.box.fill("你好")
    for more in ({"isComposing": True}, {"keyCode": 229}):
        await ada.box.dispatch_event(
            "keydown",
            {"key": "Enter", "code": "Enter", "bubbles": True, "cancelable": True, **more},
        )
    await expect(ada.box).to_have_value("你好")
    await expect(ada.questions).to_have_count(0)
    assert await chat.sessions() == []
    await ada.box.press("Enter")
    await ada.reads("好的。")


async def test_a_composition_of_a_real_input_method_does_not_send(
    chat: Chat, model: Upstream, visit: Visit
) -> None:
    ada = await visit()
    keys = await ada.page.context.new_cdp_session(ada.page)
    await ada.box.click()
    await keys.send(
        "Input.imeSetComposition", {"text": "nihao", "selectionStart": 5, "selectionEnd": 5}
    )
    await ada.page.keyboard.press("Enter")
    await keys.send("Input.insertText", {"text": "你好"})
    await expect(ada.questions).to_have_count(0)
    assert await chat.sessions() == []


async def test_escape_closes_menus_and_dialogs_and_focus_returns(chat: Chat, visit: Visit) -> None:
    await chat.add_session("Talk")
    ada = await visit()
    options = ada.button("Options for Talk")
    await options.focus()
    await ada.page.keyboard.press("Enter")
    await expect(ada.page.get_by_role("menuitem", name="Rename")).to_be_focused()
    await ada.page.keyboard.press("ArrowDown")
    await expect(ada.page.get_by_role("menuitem", name="Delete")).to_be_focused()
    await ada.page.keyboard.press("Escape")
    await expect(ada.page.get_by_role("menuitem", name="Rename")).to_be_hidden()
    await expect(options).to_be_focused()
    await ada.button("Settings").focus()
    await ada.page.keyboard.press("Enter")
    await expect(ada.dialog).to_be_visible()
    await ada.page.keyboard.press("Escape")
    await expect(ada.dialog).to_be_hidden()
    await expect(ada.button("Settings")).to_be_focused()


async def test_a_dialog_keeps_the_focus_in_it(visit: Visit) -> None:
    ada = await visit()
    dialog = await ada.open_settings()
    for _ in range(30):
        await ada.page.keyboard.press("Tab")
        outside = await dialog.evaluate(
            """(dialog) => document.activeElement !== document.body
              && !dialog.contains(document.activeElement)"""
        )
        assert not outside


async def test_an_answer_can_be_stopped_by_key(model: Upstream, visit: Visit) -> None:
    model.answers(Told("So far"))
    ada = await visit()
    await ada.ask("Who are you?")
    await expect(ada.text).to_have_text("So far")
    await ada.button("Stop").focus()
    await ada.page.keyboard.press("Enter")
    await ada.reads("So far", "stopped")
    assert await ada.page.evaluate("document.activeElement !== document.body"), "focus is not lost"
