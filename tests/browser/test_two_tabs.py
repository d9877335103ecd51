"""What happens in one tab, or in another program, is seen in all."""

import re

import pytest
from playwright.async_api import expect

from tests.browser.chat import Chat
from tests.browser.conftest import Visit
from tests.browser.told import Told, whole
from tests.browser.visitor import Visitor
from tests.upstream import Upstream

pytestmark = pytest.mark.asyncio(loop_scope="package")


async def two(chat: Chat, model: Upstream, visit: Visit) -> tuple[Visitor, Visitor]:
    """At the same session, in which a question was answered."""
    model.answers(whole("Me."))
    session_id = await chat.add_session("Shared", "Who are you?")
    first = await visit(f"/#/{session_id}")
    second = await visit(f"/#/{session_id}", beside=first)
    for each in (first, second):
        await each.reads("Me.")
    return first, second


async def test_question_and_answer_of_one_tab_are_seen_in_the_other(
    chat: Chat, model: Upstream, visit: Visit
) -> None:
    first, second = await two(chat, model, visit)
    answer = Told("It begins ")
    model.answers(answer)
    await second.ask("And then?")
    for each in (first, second):
        await expect(each.questions.last).to_contain_text("And then?")
        await expect(each.text).to_have_text("It begins")
    answer.end("and ends.")
    for each in (first, second):
        await each.reads("It begins and ends.")
        await expect(each.questions).to_have_count(2)
        await expect(each.answers).to_have_count(2)


async def test_both_ask_and_both_see_the_same(chat: Chat, model: Upstream, visit: Visit) -> None:
    first, second = await two(chat, model, visit)
    answer = Told()
    model.answers(answer, whole("Second."))
    await first.ask("From the first")
    await expect(second.questions).to_have_count(2)
    await second.ask("From the second")
    await expect(second.questions).to_have_count(3)
    answer.end("First.")
    for each in (first, second):
        await expect(each.answers.locator(".text")).to_have_text(["Me.", "First.", "Second."])
        await expect(each.questions).to_contain_text(
            ["Who are you?", "From the first", "From the second"]
        )
        order = await each.log.locator("article[data-role]").evaluate_all(
            "articles => articles.map(each => each.dataset.role)"
        )
        assert order == ["user", "assistant"] * 3


async def test_a_new_session_a_new_title_and_an_end_are_seen_at_the_side(
    chat: Chat, model: Upstream, visit: Visit
) -> None:
    model.answers(whole("Me."))
    first = await visit()
    second = await visit(beside=first)
    await first.ask("Who are you?")
    await first.reads("Me.")
    await expect(second.link("Who are you?")).to_be_visible()
    await second.choose("Who are you?", "Rename")
    await second.page.get_by_role("textbox", name="Title").fill("Ourselves")
    await second.button("Save").click()
    for each in (first, second):
        await expect(each.link("Ourselves")).to_be_visible()
        await expect(each.links).to_have_count(1)
    await expect(first.title).to_have_text("Ourselves")
    await second.choose("Ourselves", "Delete")
    await second.dialog.get_by_role("button", name="Delete", exact=True).click()
    for each in (first, second):
        await expect(each.links).to_have_count(0)
        await expect(each.questions).to_have_count(0)


async def test_a_session_that_another_program_deletes_is_told_and_one_goes_on(
    chat: Chat, model: Upstream, visit: Visit
) -> None:
    first, second = await two(chat, model, visit)
    first.expects("404")
    second.expects("404")
    await chat.call("DELETE", f"/api/chat/sessions/{await first.session_id()}")
    for each in (first, second):
        await expect(
            each.page.get_by_text(re.compile("deleted", re.IGNORECASE)).first
        ).to_be_visible()
        await expect(each.links).to_have_count(0)
    await first.button("New chat").click()
    await first.ask("Still there?")
    await first.reads("Me.")


async def test_a_message_of_another_program_is_seen(
    chat: Chat, model: Upstream, visit: Visit
) -> None:
    first, _ = await two(chat, model, visit)
    model.answers(whole("By program."))
    body = {"session_id": await first.session_id(), "message": "A program asks"}
    await chat.call("POST", "/api/chat/message", json=body)
    await first.reads("By program.")
    await expect(first.questions).to_contain_text(["Who are you?", "A program asks"])


async def test_an_answer_that_is_written_again_replaces_the_former_in_both(
    chat: Chat, model: Upstream, visit: Visit
) -> None:
    first, second = await two(chat, model, visit)
    answer = Told("Once ")
    model.answers(answer)
    await second.button("Regenerate").click()
    for each in (first, second):
        await expect(each.answers.locator(".text")).to_have_text(["Once"])
    answer.end("more.")
    for each in (first, second):
        await each.reads("Once more.")
        await expect(each.answers).to_have_count(1)
        await expect(each.questions).to_have_count(1)
        await each.page.reload()
        await each.reads("Once more.")
        await expect(each.answers).to_have_count(1)


async def test_a_conversation_that_is_cleared_in_one_tab_is_empty_in_the_other(
    chat: Chat, model: Upstream, visit: Visit
) -> None:
    first, second = await two(chat, model, visit)
    await first.button("Clear conversation").click()
    await first.dialog.get_by_role("button", name="Clear", exact=True).click()
    for each in (first, second):
        await expect(each.questions).to_have_count(0)
        await expect(each.answers).to_have_count(0)


async def test_a_stop_in_one_tab_stops_the_other(chat: Chat, model: Upstream, visit: Visit) -> None:
    first, second = await two(chat, model, visit)
    model.answers(Told("So far"))
    await first.ask("And then?")
    await expect(second.text).to_have_text("So far")
    await second.button("Stop").click()
    for each in (first, second):
        await each.reads("So far", "stopped")
        await expect(each.button("Stop")).to_be_hidden()
