"""What one can do about an answer, and about one that fails."""

import pytest
from playwright.async_api import expect

from tests.browser.chat import Chat
from tests.browser.conftest import Visit
from tests.browser.told import Told, refuses, whole
from tests.upstream import Call, Upstream

pytestmark = pytest.mark.asyncio(loop_scope="package")


async def test_a_stopped_answer_keeps_its_text(chat: Chat, model: Upstream, visit: Visit) -> None:
    model.answers(Told("So far and"))
    ada = await visit()
    await ada.ask("Tell me all")
    await expect(ada.text).to_have_text("So far and")
    await ada.button("Stop").click()
    await ada.reads("So far and", "stopped")
    await expect(ada.button("Stop")).to_be_hidden()
    [_, kept] = await chat.messages(await ada.session_id())
    assert (kept["content"], kept["status"]) == ("So far and", "stopped")
    await ada.page.reload()
    await ada.reads("So far and", "stopped")


async def test_a_message_that_waits_can_be_stopped_with_the_one_before(
    model: Upstream, visit: Visit
) -> None:
    model.answers(Told("First"))
    ada = await visit()
    await ada.ask("One")
    await expect(ada.text).to_have_text("First")
    await ada.ask("Two")
    await expect(ada.questions).to_have_count(2)
    await expect(ada.answers.nth(1)).to_have_attribute("data-state", "queued")
    await ada.button("Stop").click()
    await expect(ada.answers.nth(0)).to_have_attribute("data-state", "stopped")


async def test_an_answer_is_written_again(chat: Chat, model: Upstream, visit: Visit) -> None:
    model.answers(whole("First."))
    ada = await visit()
    await ada.ask("Who are you?")
    await ada.reads("First.")
    answer = Told("Sec")
    model.answers(answer)
    await ada.button("Regenerate").click()
    await expect(ada.answers.locator(".text")).to_have_text(["Sec"])
    answer.end("ond.")
    await ada.reads("Second.")
    await expect(ada.questions).to_have_count(1)
    kept = await chat.messages(await ada.session_id())
    assert [each["content"] for each in kept] == ["Who are you?", "Second."]


async def test_only_the_last_answer_can_be_written_again(model: Upstream, visit: Visit) -> None:
    model.answers(whole("Me."))
    ada = await visit()
    for number in (1, 2):
        await ada.ask(f"Question {number}")
        await expect(ada.answers).to_have_count(number)
        await ada.reads("Me.")
    await expect(ada.button("Regenerate")).to_have_count(1)
    await expect(ada.answer.get_by_role("button", name="Regenerate")).to_be_attached()


async def test_what_an_answer_has_taken_is_told(model: Upstream, visit: Visit) -> None:
    model.answers(whole("Me."))
    ada = await visit()
    await ada.ask("Who are you?")
    await expect(ada.answer.locator(".usage")).to_have_text("12 + 34 tokens")
    await ada.page.reload()
    await expect(ada.answer.locator(".usage")).to_have_text("12 + 34 tokens")


async def test_an_answer_is_copied_as_it_was_written(model: Upstream, visit: Visit) -> None:
    written = "**Bold** and\n\n```python\nprint('<b>')\n```"
    model.answers(whole(written))
    ada = await visit(permissions=["clipboard-read", "clipboard-write"])
    await ada.ask("Who are you?")
    await expect(ada.answer).to_have_attribute("data-state", "completed")
    await ada.answer.get_by_role("button", name="Copy", exact=True).click()
    assert await ada.page.evaluate("navigator.clipboard.readText()") == written
    code = ada.answer.get_by_role("figure")
    await code.get_by_role("button", name="Copy code").click()
    await expect(code.get_by_role("button", name="Copied")).to_be_visible()
    copied = await ada.page.evaluate("navigator.clipboard.readText()")
    assert copied.rstrip("\n") == "print('<b>')"


async def test_a_failed_answer_says_why_and_can_be_tried_again(
    chat: Chat, model: Upstream, visit: Visit
) -> None:
    model.answers(refuses)
    ada = await visit()
    await ada.ask("Who are you?")
    await expect(ada.answer).to_have_attribute("data-state", "failed")
    reason = ada.answer.get_by_role("alert")
    await expect(reason).to_contain_text("key")
    await ada.page.reload()
    await expect(reason).to_contain_text("key")
    model.answers(whole("Me."))
    await ada.answer.get_by_role("button", name="Try again").click()
    await ada.reads("Me.")
    await expect(ada.answers).to_have_count(1)
    await expect(ada.questions).to_have_count(1)
    await expect(reason).to_have_count(0)


async def test_an_answer_that_fails_in_its_middle_keeps_what_was_said(
    model: Upstream, visit: Visit
) -> None:
    async def breaks(call: Call) -> None:
        await call.begin()
        await call.chunk("So far")
        call.cut()

    model.answers(breaks)
    ada = await visit()
    await ada.ask("Who are you?")
    await ada.reads("So far", "failed")
    await expect(ada.answer.get_by_role("alert")).to_be_visible()
    await ada.page.reload()
    await ada.reads("So far", "failed")
    await expect(ada.answer.get_by_role("alert")).to_be_visible()


async def test_html_in_answers_and_questions_is_shown_and_never_run(
    model: Upstream, visit: Visit
) -> None:
    hostile = "<img src=x onerror=\"document.title='run'\"> <script>document.title='run'</script>"
    model.answers(
        whole(f"{hostile}\n\n[link](javascript:document.title='run') ![i](http://x.test/i.png)")
    )
    ada = await visit()
    await ada.ask(hostile)
    await expect(ada.answer).to_have_attribute("data-state", "completed")
    await expect(ada.questions).to_contain_text([hostile])
    await expect(ada.log.locator("script, img[onerror], iframe")).to_have_count(0)
    await expect(ada.log.locator('a[href^="javascript"]')).to_have_count(0)
    await expect(ada.page).not_to_have_title("run")
