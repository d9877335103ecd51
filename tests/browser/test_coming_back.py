"""Whoever goes, or is cut off, comes back to the whole text, once."""

import pytest
from playwright.async_api import expect

from tests.browser.chat import Chat, until
from tests.browser.conftest import Visit
from tests.browser.told import Told, sentences, whole
from tests.browser.visitor import CUT, Visitor
from tests.upstream import Upstream

pytestmark = pytest.mark.asyncio(loop_scope="package")


async def begin(ada: Visitor, model: Upstream) -> Told:
    """An answer, the beginning of which has been read."""
    answer = Told(sentences(3))
    model.answers(answer)
    await ada.ask("Tell me many")
    await expect(ada.text).to_contain_text("sentence 3 of many.")
    return answer


async def ends_whole(ada: Visitor, chat: Chat, answer: Told) -> None:
    await ada.reads(answer.text.strip())
    await expect(ada.answers).to_have_count(1)
    await expect(ada.questions).to_have_count(1)
    kept = await chat.messages(await ada.session_id())
    assert [each["content"] for each in kept] == ["Tell me many", answer.text]


async def test_a_reload_in_mid_answer(chat: Chat, model: Upstream, visit: Visit) -> None:
    ada = await visit()
    answer = await begin(ada, model)
    await ada.page.reload()
    await expect(ada.text).to_have_text(answer.text)
    answer.say(sentences(3, first=4))
    await expect(ada.text).to_have_text(answer.text)
    await expect(ada.answer).to_have_attribute("data-state", "running")
    answer.end(sentences(3, first=7))
    await ends_whole(ada, chat, answer)
    await ada.page.reload()
    await ends_whole(ada, chat, answer)


async def test_an_answer_that_ends_while_nobody_is_there(
    chat: Chat, model: Upstream, visit: Visit
) -> None:
    ada = await visit()
    answer = await begin(ada, model)
    address = ada.page.url
    await ada.page.goto("about:blank")
    answer.end(sentences(3, first=4))
    await ada.page.goto(address)
    await ends_whole(ada, chat, answer)


async def test_the_network_is_cut_and_comes_back_in_mid_answer(
    chat: Chat, model: Upstream, visit: Visit
) -> None:
    ada = await visit()
    ada.expects(*CUT)
    answer = await begin(ada, model)
    await expect(ada.connection).to_be_empty()
    chat.way.refuse()
    await expect(ada.connection).not_to_be_empty()
    answer.say(sentences(3, first=4))
    chat.way.heal()
    await expect(ada.connection).to_be_empty()
    await expect(ada.text).to_have_text(answer.text)
    answer.end(sentences(3, first=7))
    await ends_whole(ada, chat, answer)


async def test_an_answer_that_ends_while_the_network_is_away(
    chat: Chat, model: Upstream, visit: Visit
) -> None:
    ada = await visit()
    ada.expects(*CUT)
    answer = await begin(ada, model)
    chat.way.refuse()
    await expect(ada.connection).not_to_be_empty()
    answer.end(sentences(3, first=4))
    session_id = await ada.session_id()

    async def kept() -> bool:
        return len(await chat.messages(session_id)) == 2

    await until(kept)
    chat.way.heal()
    await ends_whole(ada, chat, answer)


async def test_what_is_sent_while_the_network_is_away_is_kept_or_sent_once(
    chat: Chat, model: Upstream, visit: Visit
) -> None:
    ada = await visit()
    ada.expects(*CUT)
    model.answers(whole("Here."))
    await ada.ask("Are you there?")
    await ada.reads("Here.")
    chat.way.refuse()
    await expect(ada.connection).not_to_be_empty()
    await ada.ask("And now?")
    chat.way.heal()
    await expect(ada.connection).to_be_empty()
    if await ada.box.input_value() == "And now?":
        await ada.box.press("Enter")
    await expect(ada.answers).to_have_count(2)
    await ada.reads("Here.")
    await expect(ada.questions).to_have_count(2)
    kept = await chat.messages(await ada.session_id())
    asked = [each["content"] for each in kept if each["role"] == "user"]
    assert asked == ["Are you there?", "And now?"]


@pytest.mark.parametrize("begun", [True, False], ids=["in a session", "in a new chat"])
async def test_what_waits_to_be_sent_outlives_the_page(
    chat: Chat, model: Upstream, visit: Visit, begun: bool
) -> None:
    model.answers(whole("Here."))
    ada = await visit()
    ada.expects(*CUT)
    await expect(ada.box).to_be_editable()
    if begun:
        await ada.ask("Are you there?")
        await ada.reads("Here.")
    chat.way.refuse()
    await ada.ask("And now?")
    await expect(ada.questions.last).to_contain_text("And now?")
    address = ada.page.url.removeprefix(chat.url)
    await ada.page.goto("about:blank")
    chat.way.heal()
    again = await visit(address, beside=ada)
    again.expects("404", "WebSocket")
    await expect(again.questions).to_have_count(1 + begun)
    await again.reads("Here.")
    kept = await chat.messages(await again.session_id())
    assert [each["content"] for each in kept if each["role"] == "user"].count("And now?") == 1
    await expect(again.notice).to_have_count(0)


@pytest.mark.parametrize("sent", [True, False], ids=["sent", "written"])
async def test_what_is_written_before_the_server_has_said_who_is_here_is_not_lost(
    chat: Chat, model: Upstream, visit: Visit, sent: bool
) -> None:
    model.answers(whole("Here."))
    ada = await visit(None)
    ada.expects(*CUT)
    await ada.page.route("**/api/auth/*", lambda route: route.abort())
    await ada.page.goto(chat.url)
    await expect(ada.connection).not_to_be_empty()
    writes = await ada.box.is_visible() and await ada.box.is_editable()
    if writes:
        await ada.box.fill("Are you there?")
        if sent:
            await ada.box.press("Enter")
    await ada.page.unroute("**/api/auth/*")
    await expect(ada.connection).to_be_empty()
    if not writes:  # one may be kept from it; then nothing can be lost
        await ada.box.fill("Are you there?")
    if not (writes and sent):
        await expect(ada.box).to_have_value("Are you there?")
        await ada.box.press("Enter")
    await ada.reads("Here.")
    await expect(ada.questions).to_contain_text(["Are you there?"])
    kept = await chat.messages(await ada.session_id())
    assert [each["content"] for each in kept] == ["Are you there?", "Here."]


async def test_a_message_whose_acceptance_was_not_heard_is_sent_once(
    chat: Chat, model: Upstream, visit: Visit
) -> None:
    ada = await visit()
    ada.expects(*CUT)
    model.answers(whole("Here."))
    await ada.ask("Are you there?")
    await ada.reads("Here.")
    session_id = await ada.session_id()
    chat.way.lose_replies()
    await ada.ask("And now?")

    async def accepted() -> bool:
        return len(await chat.messages(session_id)) >= 3

    await until(accepted)
    chat.way.refuse()
    await expect(ada.connection).not_to_be_empty()
    chat.way.heal()
    await expect(ada.connection).to_be_empty()
    await expect(ada.answers).to_have_count(2)
    await ada.reads("Here.")
    await expect(ada.questions).to_have_count(2)
    await expect(ada.box).to_have_value("")
    kept = await chat.messages(session_id)
    assert [each["content"] for each in kept if each["role"] == "user"] == [
        "Are you there?",
        "And now?",
    ]


@pytest.mark.own_process
async def test_the_process_is_killed_and_started_again_in_mid_answer(
    chat: Chat, model: Upstream, visit: Visit
) -> None:
    ada = await visit()
    ada.expects(*CUT)
    answer = await begin(ada, model)
    await chat.kill()
    await expect(ada.connection).not_to_be_empty()
    await chat.start()
    await expect(ada.connection).to_be_empty()
    answer.say(sentences(3, first=4))
    await expect(ada.text).to_have_text(answer.text)
    answer.end(sentences(3, first=7))
    await ends_whole(ada, chat, answer)
    assert len(answer.calls) == 2


@pytest.mark.own_process
async def test_an_open_page_goes_on_after_a_restart_in_which_nothing_was_asked(
    chat: Chat, model: Upstream, visit: Visit
) -> None:
    ada = await visit()
    ada.expects(*CUT)
    await expect(ada.box).to_be_editable()
    model.answers(whole("Here."))
    await ada.ask("Are you there?")
    await ada.reads("Here.")
    assert await chat.process.terminate() == 0
    await expect(ada.connection).not_to_be_empty()
    await chat.start()
    await expect(ada.connection).to_be_empty()
    await ada.ask("And now?")
    await expect(ada.answers).to_have_count(2)
    await ada.reads("Here.")


async def test_a_draft_outlives_a_reload_and_belongs_to_its_session(
    chat: Chat, visit: Visit
) -> None:
    for title in ("One", "Two"):
        await chat.add_session(title)
    ada = await visit()
    await ada.box.fill("for a new chat")
    await ada.link("One").click()
    await expect(ada.box).to_have_value("")
    await ada.box.fill("for one\nof two lines")
    await ada.link("Two").click()
    await expect(ada.box).to_have_value("")
    await ada.box.fill("for two")
    await ada.page.reload()
    await expect(ada.box).to_have_value("for two")
    await ada.link("One").click()
    await expect(ada.box).to_have_value("for one\nof two lines")
    await ada.button("New chat").click()
    await expect(ada.box).to_have_value("for a new chat")
