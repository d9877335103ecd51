"""The first minute at the page."""

import asyncio

import pytest
from playwright.async_api import Response, Route, expect

from tests.browser.chat import Chat
from tests.browser.conftest import Visit
from tests.browser.told import Told, whole
from tests.browser.visitor import PATIENCE
from tests.upstream import Upstream

pytestmark = pytest.mark.asyncio(loop_scope="package")

FIRST_LOAD = 150_000
"""Bytes that a first visit may take on the wire."""


async def test_a_first_question_is_answered_while_one_looks_on(
    chat: Chat, model: Upstream, visit: Visit
) -> None:
    answer = Told("It begins ")
    model.answers(answer)
    ada = await visit()
    await ada.ask("Who are you?")
    await expect(ada.questions).to_contain_text(["Who are you?"])
    await expect(ada.text).to_have_text("It begins")
    await expect(ada.answer).to_have_attribute("data-state", "running")
    answer.say("and goes on ")
    await expect(ada.text).to_have_text("It begins and goes on")
    answer.end("to the end: é 你好 👩‍💻 <b> & 'more'")
    await ada.reads(answer.text.strip())
    [question, kept] = await chat.messages(await ada.session_id())
    assert (question["content"], kept["content"]) == ("Who are you?", answer.text)
    assert (await ada.text.inner_text()).strip() == kept["content"]
    await expect(ada.answers).to_have_count(1)


async def test_between_question_and_answer_one_sees_that_something_goes_on(
    model: Upstream, visit: Visit
) -> None:
    answer = Told()
    model.answers(answer)
    ada = await visit()
    await ada.ask("Who are you?")
    await expect(ada.answer.locator(".typing")).to_be_visible()
    answer.say("Me.")
    await expect(ada.text).to_have_text("Me.")
    await expect(ada.answer.locator(".typing")).to_be_hidden()
    answer.end()
    await ada.reads("Me.")


async def test_the_simulated_model_needs_no_key(chat: Chat, visit: Visit) -> None:
    ada = await visit()
    await ada.page.get_by_role("combobox", name="Model").select_option("simulated")
    await ada.ask("Hello, LLM!")
    await ada.reads("".join(f"chunk {n}: Hello, LLM!" for n in range(1, 6)))


async def test_the_title_appears_at_the_side_and_above_the_conversation(
    model: Upstream, visit: Visit
) -> None:
    model.answers(whole("Me."))
    ada = await visit()
    await expect(ada.links).to_have_count(0)
    await ada.ask("Who are you?")
    await expect(ada.link("Who are you?")).to_be_visible()
    await expect(ada.link("Who are you?")).to_have_attribute("aria-current", "page")
    await expect(ada.title).to_have_text("Who are you?")


async def test_looking_and_new_chats_make_no_session_until_something_is_sent(
    chat: Chat, model: Upstream, visit: Visit
) -> None:
    model.answers(whole("Me."))
    ada = await visit()
    await ada.button("New chat").click()
    await ada.box.fill("A draft")
    await ada.page.reload()
    await ada.button("New chat").click()
    await expect(ada.box).to_be_visible()
    assert await chat.sessions() == []
    await ada.ask("Who are you?")
    await ada.reads("Me.")
    await ada.button("New chat").click()
    await expect(ada.answers).to_have_count(0)
    assert len(await chat.sessions()) == 1
    await ada.ask("And you?")
    await ada.reads("Me.")
    assert [session["title"] for session in await chat.sessions()] == ["And you?", "Who are you?"]


async def test_a_chat_that_begins_slowly_is_not_taken_for_one_that_is_gone(
    chat: Chat, model: Upstream, visit: Visit
) -> None:
    model.answers(whole("Me."))
    await chat.add_session("Old")
    listed, made = asyncio.Event(), asyncio.Event()
    heard = asyncio.Event()

    async def hold(route: Route, until: asyncio.Event) -> None:
        await until.wait()
        await route.continue_()

    ada = await visit(None)
    ada.expects("404", "WebSocket")
    ada.page.on("websocket", lambda each: each.on("framereceived", lambda _: heard.set()))
    await ada.page.route("**/api/chat/sessions?*", lambda route: hold(route, listed))
    await ada.page.route("**/api/chat/session", lambda route: hold(route, made))
    await ada.page.goto(chat.url)
    await ada.ask("Who are you?")
    await expect(ada.questions).to_have_count(1)
    listed.set()
    await expect(ada.link("Old")).to_be_visible()
    await asyncio.wait_for(heard.wait(), PATIENCE / 1000)
    made.set()
    await ada.reads("Me.")
    await expect(ada.questions).to_contain_text(["Who are you?"])
    await expect(ada.notice).to_have_count(0)


async def test_what_comes_by_a_link_to_a_session_is_that_session(
    chat: Chat, model: Upstream, visit: Visit
) -> None:
    model.answers(whole("Me."))
    session_id = await chat.add_session("Old", "Who are you?")
    ada = await visit(f"/#/{session_id}")
    await ada.reads("Me.")
    await expect(ada.title).to_have_text("Old")


async def test_a_link_to_a_session_that_is_not_there_is_told_and_one_can_go_on(
    model: Upstream, visit: Visit
) -> None:
    model.answers(whole("Me."))
    ada = await visit("/#/session_0123456789abcdef")
    ada.expects("404")
    await expect(ada.notice).to_be_visible()
    await ada.button("New chat").click()
    await ada.ask("Who are you?")
    await ada.reads("Me.")


async def test_a_first_visit_is_light_compressed_and_asks_nobody_else(
    chat: Chat, visit: Visit
) -> None:
    ada = await visit(None)
    wire = await ada.page.context.new_cdp_session(ada.page)
    await wire.send("Network.enable")
    await wire.send("Network.setCacheDisabled", {"cacheDisabled": True})
    urls: dict[str, str] = {}
    sizes: dict[str, float] = {}
    responses: list[Response] = []
    wire.on(
        "Network.requestWillBeSent", lambda e: urls.update({e["requestId"]: e["request"]["url"]})
    )
    wire.on(
        "Network.loadingFinished", lambda e: sizes.update({e["requestId"]: e["encodedDataLength"]})
    )
    ada.page.on("response", lambda each: responses.append(each))
    await ada.page.goto(chat.url)
    await expect(ada.box).to_be_editable()
    await ada.page.wait_for_load_state("networkidle")
    assert len(sizes) > 3
    assert sum(sizes.values()) <= FIRST_LOAD, {urls[each]: size for each, size in sizes.items()}
    assert all(url.startswith((chat.url, "data:")) for url in urls.values())
    pages = (f"{chat.url}/", ".js", ".css")
    texts = [each for each in responses if each.url.endswith(pages) and "/api/" not in each.url]
    assert len(texts) > 3
    for response in texts:
        assert await response.header_value("content-encoding") in ("gzip", "br", "zstd"), (
            response.url
        )


async def test_thirty_sessions_need_one_socket(chat: Chat, model: Upstream, visit: Visit) -> None:
    model.answers(whole("Me."))
    ids = [await chat.add_session(f"Session {number}") for number in range(30)]
    ada = await visit()
    await expect(ada.links).to_have_count(30)
    for number in (3, 14, 29):
        await ada.link(f"Session {number}").first.click()
        await expect(ada.title).to_have_text(f"Session {number}")
        await ada.ask("Who are you?")
        await ada.reads("Me.")
    for session_id in ids[:3]:  # a session that is not open may speak too
        await chat.call(
            "POST", "/api/chat/message", json={"session_id": session_id, "message": "?"}
        )
    assert len(ada.sockets) == 1
