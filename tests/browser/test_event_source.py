"""The plain page, and a browser's EventSource at /chat/stream: it comes back by itself, and sends
the same address again each time."""

import pytest
from playwright.async_api import Locator, expect

from tests.browser.chat import Chat, until
from tests.browser.conftest import Visit
from tests.browser.told import Told, refuses, sentences, whole
from tests.browser.visitor import CUT, Visitor
from tests.upstream import Upstream

pytestmark = pytest.mark.asyncio(loop_scope="package")

BARE = """
() => {
  window.text = ""
  window.source = new EventSource("/chat/stream?message=Tell me many")
  source.onmessage = ({data}) => { text += JSON.parse(data).content }
}
"""
"""Without a key, and it never closes."""


KEEP_SOURCES = """
window.sources = []
window.EventSource = class extends EventSource {
  constructor(address) { super(address); sources.push(this) }
}
"""


async def at_plain_page(chat: Chat, visit: Visit) -> Visitor:
    ada = await visit(None)
    await ada.page.add_init_script(KEEP_SOURCES)
    await ada.page.goto(f"{chat.url}/chat")
    return ada


def answers(ada: Visitor) -> Locator:
    return ada.page.locator("p")


async def ask(ada: Visitor, question: str = "Tell me many") -> None:
    await ada.box.fill(question)
    await ada.button("Ask").click()


async def kept(chat: Chat) -> list[list[str]]:
    """What is stored, by session."""
    found = [await chat.messages(each["session_id"]) for each in await chat.sessions()]
    return [[message["content"] for message in messages] for messages in found]


async def ends_whole(ada: Visitor, chat: Chat, answer: Told) -> None:
    """And the page has closed its stream: if the server had to, it would take it for a refusal."""
    await expect(answers(ada)).to_have_text([answer.text])
    await ada.page.wait_for_function("() => sources.every(each => each.readyState === 2)")
    await expect(answers(ada)).to_have_text([answer.text])
    assert await kept(chat) == [["Tell me many", answer.text]]


async def test_a_question_is_asked_at_the_plain_page_and_its_answer_seen_to_grow_and_end(
    chat: Chat, model: Upstream, visit: Visit
) -> None:
    answer = Told(sentences(3))
    model.answers(answer)
    ada = await at_plain_page(chat, visit)
    await ask(ada)
    await expect(answers(ada)).to_have_text([answer.text.strip()])
    answer.say("One\nmore: <b> & 你好. ")
    await expect(answers(ada)).to_contain_text(["<b> & 你好."])
    answer.end(sentences(3, first=4))
    await ends_whole(ada, chat, answer)
    second = Told("And the second.")
    second.end()
    model.answers(second)
    await ask(ada, "And then?")
    await expect(answers(ada)).to_have_text([answer.text.strip(), "And the second."])
    assert await kept(chat) == [["Tell me many", answer.text, "And then?", second.text]]


@pytest.mark.parametrize("begun", [True, False], ids=["in the middle", "before the first piece"])
async def test_a_line_that_is_cut_is_mended_by_the_browser_and_nothing_sent_twice(
    chat: Chat, model: Upstream, visit: Visit, begun: bool
) -> None:
    answer = Told(*([sentences(3)] if begun else []))
    model.answers(answer)
    ada = await at_plain_page(chat, visit)
    ada.expects(*CUT)
    await ask(ada)
    if begun:
        await expect(answers(ada)).to_have_text([answer.text.strip()])
    else:
        await until(lambda: _called(answer))
    for number in (4, 7):
        chat.way.refuse()
        answer.say(sentences(3, first=number))
        chat.way.heal()
        await expect(answers(ada)).to_have_text([answer.text.strip()])
    chat.way.refuse()
    answer.end(sentences(3, first=10))
    chat.way.heal()
    await ends_whole(ada, chat, answer)
    assert len(answer.calls) == 1


async def _called(answer: Told) -> bool:
    return bool(answer.calls)


async def test_a_question_whose_acceptance_was_not_heard_is_sent_once(
    chat: Chat, model: Upstream, visit: Visit
) -> None:
    model.answers(whole("Here."))
    ada = await at_plain_page(chat, visit)
    ada.expects(*CUT)
    await ask(ada, "Are you there?")
    await expect(answers(ada)).to_have_text(["Here."])
    answer = Told(sentences(3))
    model.answers(answer)
    chat.way.lose_replies()
    await ask(ada)
    await until(lambda: _called(answer))
    chat.way.refuse()
    chat.way.heal()
    answer.end()
    await expect(answers(ada)).to_have_text(["Here.", answer.text.strip()])
    assert await kept(chat) == [["Are you there?", "Here.", "Tell me many", answer.text]]


async def test_an_event_source_without_a_key_that_is_never_closed_asks_once(
    chat: Chat, model: Upstream, visit: Visit
) -> None:
    answer = Told()
    model.answers(answer)
    ada = await at_plain_page(chat, visit)
    ada.expects(*CUT)
    await ada.page.evaluate(BARE)
    await until(lambda: _called(answer))
    for number in (1, 4):
        answer.say(sentences(3, first=number))
        await ada.page.wait_for_function("(told) => text === told", arg=answer.text)
        chat.way.reset_all()
    answer.end(sentences(3, first=7))
    await ada.page.wait_for_function("(told) => text === told", arg=answer.text)
    await ada.page.wait_for_function("() => source.readyState === EventSource.CLOSED")
    assert await ada.page.evaluate("text") == answer.text
    assert await kept(chat) == [["Tell me many", answer.text]]
    assert len(answer.calls) == 1


@pytest.mark.own_process
async def test_the_process_is_killed_and_started_again_in_mid_answer(
    chat: Chat, model: Upstream, visit: Visit
) -> None:
    answer = Told(sentences(3))
    model.answers(answer)
    ada = await at_plain_page(chat, visit)
    ada.expects(*CUT)
    await ask(ada)
    await expect(answers(ada)).to_have_text([answer.text.strip()])
    await chat.kill()
    await chat.start()
    answer.end(sentences(3, first=4))
    await ends_whole(ada, chat, answer)
    assert len(answer.calls) == 2


async def test_a_failure_is_told(chat: Chat, model: Upstream, visit: Visit) -> None:
    model.answers(refuses)
    ada = await at_plain_page(chat, visit)
    await ask(ada)
    await expect(answers(ada)).to_contain_text(["does not accept"])


@pytest.mark.own_process(AUTH_MODE="required")
async def test_where_people_must_sign_in_the_plain_page_says_that_it_is_refused(
    chat: Chat, visit: Visit
) -> None:
    ada = await at_plain_page(chat, visit)
    ada.expects("401")
    await ask(ada)
    await expect(answers(ada)).to_have_text(["(refused)"])
