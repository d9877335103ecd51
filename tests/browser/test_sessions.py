"""The list at the side, and what a session is told."""

import json

import pytest
from playwright.async_api import expect

from tests.browser.chat import Chat, until
from tests.browser.conftest import Visit
from tests.browser.told import Told, whole
from tests.upstream import Upstream

pytestmark = pytest.mark.asyncio(loop_scope="package")

HOSTILE = "<img src=x onerror=alert(1)>\"'&amp;</a><script>alert(2)</script>{{7*7}}${7*7}"[:64]


async def test_a_session_is_renamed(chat: Chat, visit: Visit) -> None:
    session_id = await chat.add_session("Old name")
    ada = await visit(f"/#/{session_id}")
    await ada.choose("Old name", "Rename")
    title = ada.dialog.get_by_role("textbox", name="Title")
    await expect(title).to_have_value("Old name")
    await title.fill("Never mind")
    await ada.dialog.get_by_role("button", name="Cancel").click()
    await expect(ada.dialog).to_be_hidden()
    await expect(ada.title).to_have_text("Old name")
    await ada.choose("Old name", "Rename")
    await title.fill("New name")
    await title.press("Enter")
    await expect(ada.dialog).to_be_hidden()
    await expect(ada.link("New name")).to_be_visible()
    await expect(ada.title).to_have_text("New name")
    assert (await chat.session(session_id))["title"] == "New name"


async def test_a_session_is_deleted_if_one_is_sure(chat: Chat, visit: Visit) -> None:
    kept = await chat.add_session("Kept")
    await chat.add_session("Unwanted")
    ada = await visit()
    await ada.link("Unwanted").click()
    await ada.choose("Unwanted", "Delete")
    await ada.dialog.get_by_role("button", name="Cancel").click()
    await expect(ada.link("Unwanted")).to_be_visible()
    await ada.choose("Unwanted", "Delete")
    await ada.dialog.get_by_role("button", name="Delete", exact=True).click()
    await expect(ada.link("Unwanted")).to_have_count(0)
    await expect(ada.notice).to_have_count(0)
    assert [each["session_id"] for each in await chat.sessions()] == [kept]


async def test_a_conversation_is_cleared_if_one_is_sure(
    chat: Chat, model: Upstream, visit: Visit
) -> None:
    model.answers(whole("Me."))
    session_id = await chat.add_session("Talk", "Who are you?")
    ada = await visit(f"/#/{session_id}")
    await ada.reads("Me.")
    await ada.button("Clear conversation").click()
    await ada.dialog.get_by_role("button", name="Cancel").click()
    await expect(ada.answers).to_have_count(1)
    await ada.button("Clear conversation").click()
    await ada.dialog.get_by_role("button", name="Clear", exact=True).click()
    await expect(ada.answers).to_have_count(0)
    await expect(ada.questions).to_have_count(0)
    assert await chat.messages(session_id) == []
    await ada.ask("Again?")
    await ada.reads("Me.")


async def test_sessions_are_searched(chat: Chat, visit: Visit) -> None:
    for title in ("Apple pie", "Banana bread", "APPLE tart", "苹果派"):
        await chat.add_session(title)
    ada = await visit()
    await expect(ada.links).to_have_count(4)
    search = ada.page.get_by_role("searchbox", name="Search conversations")
    await search.fill("apple")
    shown = ada.links.filter(visible=True)
    await expect(shown).to_contain_text(["APPLE tart", "Apple pie"])
    await expect(shown).to_have_count(2)
    await search.fill("苹果")
    await expect(shown).to_contain_text(["苹果派"])
    await search.fill("nowhere")
    await expect(shown).to_have_count(0)
    await search.fill("")
    await expect(shown).to_have_count(4)


async def test_all_sessions_can_be_reached_if_they_are_many(chat: Chat, visit: Visit) -> None:
    for number in range(120):
        await chat.add_session(f"Session {number:03}")
    ada = await visit()
    await expect(ada.link("Session 119")).to_be_visible()
    search = ada.page.get_by_role("searchbox", name="Search conversations")
    await search.fill("Session 000")
    await expect(ada.link("Session 000")).to_be_visible()


async def test_marks_tell_of_answers_in_sessions_that_are_not_open(
    chat: Chat, model: Upstream, visit: Visit
) -> None:
    answer = Told("It ")
    model.answers(answer)
    await chat.add_session("Another")
    ada = await visit()
    await ada.ask("Question")
    await expect(ada.text).to_have_text("It")
    await expect(ada.item("Question").locator(".mark.running")).to_be_visible()
    await ada.link("Another").click()
    await expect(ada.title).to_have_text("Another")
    await expect(ada.item("Question").locator(".mark.running")).to_be_visible()
    answer.end("is done.")
    await expect(ada.item("Question").locator(".mark.unread")).to_be_visible()
    await expect(ada.item("Question").locator(".mark.running")).to_be_hidden()
    assert (await ada.item("Question").locator(".mark.unread").text_content() or "").strip()
    await ada.link("Question").click()
    await ada.reads("It is done.")
    await expect(ada.item("Question").locator(".mark.unread")).to_be_hidden()


async def test_the_session_with_the_newest_message_is_the_first(
    chat: Chat, model: Upstream, visit: Visit
) -> None:
    model.answers(whole("Me."))
    for title in ("One", "Two", "Three"):
        await chat.add_session(title)
    ada = await visit()
    await expect(ada.links).to_contain_text(["Three", "Two", "One"])
    await ada.link("One").click()
    await expect(ada.title).to_have_text("One")
    await ada.ask("Who are you?")
    await ada.reads("Me.")
    await expect(ada.links).to_contain_text(["One", "Three", "Two"])


async def test_persona_and_model_change_what_the_model_is_asked(
    chat: Chat, model: Upstream, visit: Visit
) -> None:
    model.answers(whole("Me."))
    ada = await visit()
    personas = ada.page.get_by_role("combobox", name="Persona")
    models = ada.page.get_by_role("combobox", name="Model")
    await personas.select_option("teacher")
    await ada.ask("Who are you?")
    await ada.reads("Me.")
    assert "patient teacher" in json.dumps(model.calls[-1].body["messages"][0])
    session_id = await ada.session_id()
    assert (await chat.session(session_id))["persona"] == "teacher"
    await personas.select_option("programmer")

    async def changed() -> bool:
        return bool((await chat.session(session_id))["persona"] == "programmer")

    await until(changed)
    await ada.ask("And now?")
    await expect(ada.answers).to_have_count(2)
    await ada.reads("Me.")
    assert "experienced programmer" in json.dumps(model.calls[-1].body["messages"][0])
    await models.select_option("simulated")
    await ada.ask("And now?")
    await expect(ada.answers).to_have_count(3)
    await expect(ada.text).to_contain_text("chunk 5: And now?")
    session = await chat.session(session_id)
    assert (session["persona"], session["model_name"]) == ("programmer", "simulated")
    await ada.page.reload()
    await expect(models).to_have_value("simulated")
    await expect(personas).to_have_value("programmer")


async def test_html_in_titles_is_text(chat: Chat, visit: Visit) -> None:
    session_id = await chat.add_session(HOSTILE)
    ada = await visit(f"/#/{session_id}")
    await expect(ada.title).to_have_text(HOSTILE)
    await expect(ada.links).to_contain_text([HOSTILE])
    await ada.choose(HOSTILE, "Delete")
    await expect(ada.dialog).to_contain_text(HOSTILE)
    await expect(ada.page.locator('img[src="x"]')).to_have_count(0)
