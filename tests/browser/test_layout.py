"""Sizes, colours and paper."""

import pytest
from playwright.async_api import ViewportSize, expect

from tests.browser.chat import Chat
from tests.browser.conftest import Visit
from tests.browser.told import Told, paragraphs, whole
from tests.browser.visitor import Visitor
from tests.upstream import Upstream

pytestmark = pytest.mark.asyncio(loop_scope="package")

PHONE: ViewportSize = {"width": 390, "height": 844}
SMALL: ViewportSize = {"width": 320, "height": 568}
WIDE = (
    """# Wide

| one | two | three | four | five | six | seven | eight |
| --- | --- | --- | --- | --- | --- | --- | --- |
| a cell with words | a cell with words | a cell with words | b | c | d | e | a cell with words |

```python
"""
    + "x = "
    + "1 + " * 100
    + """1
```

"""
    + "Averylongwordwithoutanyspace" * 20
)
BRIGHTNESS = """() => {
  const canvas = document.createElement("canvas").getContext("2d");
  canvas.fillStyle = getComputedStyle(document.body).backgroundColor;
  canvas.fillRect(0, 0, 1, 1);
  const [red, green, blue] = canvas.getImageData(0, 0, 1, 1).data;
  return (red + green + blue) / 765;
}"""
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


async def fits(ada: Visitor) -> None:
    """Nobody must scroll sideways, and one can write."""
    assert await ada.page.evaluate(OVERFLOW) <= 0
    await expect(ada.box).to_be_in_viewport(ratio=1)
    await expect(ada.button("Send")).to_be_in_viewport(ratio=1)


@pytest.mark.parametrize("viewport", [PHONE, SMALL], ids=["phone", "small"])
async def test_on_a_phone_all_fits_and_the_side_is_a_drawer(
    chat: Chat, model: Upstream, visit: Visit, viewport: ViewportSize
) -> None:
    model.answers(whole(WIDE))
    session_id = await chat.add_session("A title that is rather long for a phone", "Wide" * 60)
    await chat.add_session("Another")
    ada = await visit(f"/#/{session_id}", viewport=viewport, has_touch=True, is_mobile=True)
    await expect(ada.answer).to_have_attribute("data-state", "completed")
    await fits(ada)
    await expect(ada.link("Another")).not_to_be_in_viewport()
    await ada.button("Show conversations").click()
    await expect(ada.link("Another")).to_be_in_viewport()
    await ada.page.keyboard.press("Escape")
    await expect(ada.link("Another")).not_to_be_in_viewport()
    await ada.button("Show conversations").click()
    await ada.button("Hide conversations").click()
    await expect(ada.link("Another")).not_to_be_in_viewport()
    await ada.button("Show conversations").click()
    await ada.link("Another").click()
    await expect(ada.title).to_have_text("Another")
    await expect(ada.link("Another")).not_to_be_in_viewport()
    await fits(ada)
    await ada.button("Show conversations").click()
    await ada.button("Settings").click()
    await expect(ada.dialog).to_be_in_viewport()
    assert await ada.page.evaluate(OVERFLOW) <= 0


async def test_on_a_wide_screen_the_side_is_there(visit: Visit) -> None:
    ada = await visit()
    await expect(ada.button("New chat")).to_be_in_viewport(ratio=1)
    await expect(ada.button("Show conversations")).to_be_hidden()
    await fits(ada)


@pytest.mark.parametrize(
    "viewport",
    [{"width": 1280, "height": 1024}, {"width": 640, "height": 1024}, SMALL],
    ids=["desktop", "half", "small"],
)
async def test_text_of_twice_the_size_loses_nothing(
    chat: Chat, model: Upstream, visit: Visit, viewport: ViewportSize
) -> None:
    model.answers(whole(WIDE))
    session_id = await chat.add_session("Wide", "Wide?")
    ada = await visit(f"/#/{session_id}", viewport=viewport)
    await expect(ada.answer).to_have_attribute("data-state", "completed")
    await ada.page.evaluate("document.documentElement.style.fontSize = '200%'")
    await fits(ada)
    await ada.box.fill("Still here?")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_colours_are_the_system_s_unless_one_chooses(visit: Visit, scheme: str) -> None:
    other = {"light": "dark", "dark": "light"}[scheme]
    ada = await visit(color_scheme=scheme)
    html = ada.page.locator("html")

    async def is_dark() -> bool:
        return bool(await ada.page.evaluate(BRIGHTNESS) < 0.5)

    assert await is_dark() == (scheme == "dark")
    assert await html.get_attribute("data-theme") is None
    dialog = await ada.open_settings()
    themes = dialog.get_by_role("combobox", name="Theme")
    await themes.select_option(label=other.capitalize())
    await expect(html).to_have_attribute("data-theme", other)
    assert await is_dark() == (other == "dark")
    await ada.page.reload()
    await expect(html).to_have_attribute("data-theme", other)
    assert await is_dark() == (other == "dark")
    await ada.open_settings()
    await themes.select_option(label="System")
    await expect(html).not_to_have_attribute("data-theme", other)
    assert await is_dark() == (scheme == "dark")


async def test_who_wants_less_motion_gets_none(model: Upstream, visit: Visit) -> None:
    moving = """() => document.getAnimations().filter((each) => each.playState === "running"
      && each.effect.getComputedTiming().activeDuration > 20).length"""
    model.answers(Told())
    ada = await visit(reduced_motion="reduce")
    await ada.ask("Who are you?")
    await expect(ada.answer.locator(".typing")).to_be_visible()
    assert await ada.page.evaluate(moving) == 0
    smooth = await ada.page.evaluate(
        """() => [...document.querySelectorAll("*")].filter(
          each => getComputedStyle(each).scrollBehavior === "smooth").length"""
    )
    assert smooth == 0


async def test_on_paper_there_is_the_whole_conversation_and_nothing_else(
    chat: Chat, model: Upstream, visit: Visit
) -> None:
    model.answers(whole(paragraphs(60)))
    session_id = await chat.add_session("Long", "Tell me many")
    ada = await visit(f"/#/{session_id}", color_scheme="dark")
    await expect(ada.answer).to_have_attribute("data-state", "completed")
    await ada.page.emulate_media(media="print")
    await expect(ada.log).to_be_visible()
    await expect(ada.questions).to_be_visible()
    for hidden in (ada.side, ada.box, ada.button("Send"), ada.button("Settings")):
        await expect(hidden).to_be_hidden()
    for button in await ada.log.get_by_role("button").all():
        await expect(button).to_be_hidden()
    assert await ada.page.evaluate(BRIGHTNESS) > 0.9, "ink is dear"
    cut = await ada.log.evaluate(
        """(log) => {
          const cut = [];
          for (let each = log; each; each = each.parentElement)
            if (each.scrollHeight > each.clientHeight + 1 && each !== document.documentElement
              && getComputedStyle(each).overflowY !== "visible")
              cut.push(each.className || each.tagName);
          return cut;
        }"""
    )
    assert cut == []
    assert len(await ada.page.pdf()) > 0
