"""Who reads is left where they are; who looks on sees the newest."""

import re

import pytest
from playwright.async_api import Locator, expect

from tests.browser.chat import Chat
from tests.browser.conftest import Visit
from tests.browser.told import Told, paragraphs, whole
from tests.browser.visitor import Visitor
from tests.upstream import Upstream

pytestmark = pytest.mark.asyncio(loop_scope="package")


def jump(ada: Visitor) -> Locator:
    return ada.button("Jump to the latest")


def paragraph(ada: Visitor, number: int) -> Locator:
    return ada.text.get_by_text(f"Paragraph {number} of a long answer.", exact=True)


async def begin(model: Upstream, ada: Visitor) -> Told:
    answer = Told(paragraphs(40))
    model.answers(answer)
    await ada.ask("Tell me many")
    await expect(paragraph(ada, 40)).to_be_in_viewport()
    return answer


async def test_an_answer_that_grows_is_followed(model: Upstream, visit: Visit) -> None:
    ada = await visit()
    answer = await begin(model, ada)
    await expect(jump(ada)).to_be_hidden()
    answer.say(paragraphs(40, first=41))
    await expect(paragraph(ada, 80)).to_be_in_viewport()
    answer.end(paragraphs(5, first=81))
    await expect(paragraph(ada, 85)).to_be_in_viewport()
    await expect(ada.answer.get_by_role("button", name="Regenerate")).to_be_in_viewport()


async def test_who_has_scrolled_up_stays_there(model: Upstream, visit: Visit) -> None:
    ada = await visit()
    answer = await begin(model, ada)
    await ada.log.hover()
    await ada.page.mouse.wheel(0, -600)
    await expect(paragraph(ada, 40)).not_to_be_in_viewport()
    await expect(jump(ada)).to_be_visible()
    place = await settled(paragraph(ada, 20))
    answer.say(paragraphs(40, first=41))
    await expect(paragraph(ada, 80)).to_be_attached()
    assert await settled(paragraph(ada, 20)) == place
    await jump(ada).click()
    await expect(paragraph(ada, 80)).to_be_in_viewport()
    await expect(jump(ada)).to_be_hidden()
    answer.end(paragraphs(5, first=81))
    await expect(paragraph(ada, 85)).to_be_in_viewport()


async def settled(element: Locator) -> float:
    """Where it is, once it moves no more."""
    place: float = await element.evaluate(
        """async (element) => {
          const frame = () => new Promise(requestAnimationFrame);
          let last, still = 0;
          while (still < 5) {
            await frame();
            const top = Math.round(element.getBoundingClientRect().top);
            still = top === last ? still + 1 : 0;
            last = top;
          }
          return last;
        }"""
    )
    return place


async def test_who_has_scrolled_up_and_asks_is_at_the_end_again(
    model: Upstream, visit: Visit
) -> None:
    ada = await visit()
    answer = await begin(model, ada)
    answer.end()
    await ada.log.hover()
    await ada.page.mouse.wheel(0, -600)
    await expect(jump(ada)).to_be_visible()
    model.answers(whole("Me."))
    await ada.ask("Who are you?")
    await expect(ada.questions.last).to_be_in_viewport()
    await ada.reads("Me.")
    await expect(ada.text).to_be_in_viewport()


async def test_a_long_conversation_begins_at_its_end_and_shows_earlier_messages(
    chat: Chat, model: Upstream, visit: Visit
) -> None:
    model.answers(whole("Me."))
    questions = [f"Question {number:03}" for number in range(1, 101)]
    session_id = await chat.add_session("Long", *questions)
    ada = await visit(f"/#/{session_id}")
    await expect(ada.questions.last).to_contain_text("Question 100")
    await expect(ada.questions.last).to_be_in_viewport()
    earlier = ada.button("Show earlier messages")
    await expect(earlier).to_be_attached()
    assert await ada.questions.count() < 100
    while await earlier.count():
        shown = await ada.questions.count()
        await earlier.scroll_into_view_if_needed()
        if await earlier.count():
            await earlier.click()
        await expect(ada.questions.nth(shown)).to_be_attached()
    await expect(ada.questions).to_have_count(100)
    await expect(ada.questions).to_contain_text(questions)
    await expect(ada.answers).to_have_count(100)


async def test_earlier_messages_do_not_move_what_one_reads(
    chat: Chat, model: Upstream, visit: Visit
) -> None:
    model.answers(whole("Me."))
    session_id = await chat.add_session("Long", *[f"Question {n:03}" for n in range(1, 61)])
    ada = await visit(f"/#/{session_id}")
    await expect(ada.questions.last).to_contain_text("Question 060")
    shown = await ada.questions.count()
    await ada.button("Show earlier messages").scroll_into_view_if_needed()
    name = re.search(r"Question \d+", await ada.questions.first.text_content() or "")
    assert name
    there = ada.questions.filter(has_text=name[0])
    place = await settled(there)
    await ada.button("Show earlier messages").click()
    await expect(ada.questions.nth(shown)).to_be_attached()
    assert abs(await settled(there) - place) <= 60
