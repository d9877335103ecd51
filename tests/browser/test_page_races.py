"""What comes late, twice, in another order or not at all: nothing is lost, shown twice or lost
sight of."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import pytest
from playwright.async_api import BrowserContext, FilePayload, Page, Route, expect

from tests.browser.chat import Chat, until
from tests.browser.conftest import Visit
from tests.browser.told import Told, refuses, whole
from tests.browser.visitor import CUT, Visitor
from tests.upstream import Upstream

pytestmark = pytest.mark.asyncio(loop_scope="package")

NEW_SESSION: Final = re.compile(r"/api/chat/session$")
SESSIONS: Final = re.compile(r"/api/chat/sessions\?")
MESSAGES: Final = re.compile(r"/api/chat/sessions/[^/]+/messages")
BUSY: Final[dict[str, Any]] = {
    "status": 503,
    "content_type": "application/problem+json",
    "body": '{"code": "overloaded", "status": 503, "title": "Overloaded"}',
}


@dataclass
class Held:
    """Requests on their way to the server, or replies on their way back, until they are let go."""

    came: asyncio.Event = field(default_factory=asyncio.Event)
    let_go: asyncio.Event = field(default_factory=asyncio.Event)
    passed: int = 0


@asynccontextmanager
async def held(
    page: Page, address: re.Pattern[str], method: str, *, reply: bool = False
) -> AsyncIterator[Held]:
    """Those of that method; a `reply` is fetched from the server before it is held."""
    state = Held()

    async def hold(route: Route) -> None:
        if route.request.method != method:
            await route.fallback()
            return
        fetched = await route.fetch() if reply else None
        state.came.set()
        await state.let_go.wait()
        if fetched is None:
            await route.continue_()
        else:
            await route.fulfill(response=fetched)
        state.passed += 1

    await page.route(address, hold)
    try:
        yield state
    finally:
        state.let_go.set()


async def reads_sessions(visitor: Visitor) -> None:
    """As it does every now and then, and whenever another tab says that there is news."""
    async with visitor.page.expect_response(SESSIONS):
        await visitor.page.evaluate(
            "() => { const told = new BroadcastChannel('llm-chat');"
            " told.postMessage({ type: 'sessions' }); told.close(); }"
        )


def text_file(name: str) -> FilePayload:
    return FilePayload(name=name, mimeType="text/plain", buffer=b"words")


ROUND_TRIPS: Final = """async () => {
  for (let trip = 0; trip < 10; trip += 1) await (await fetch("/healthz")).text();
}"""


@asynccontextmanager
async def refused(routed: Page | BrowserContext) -> AsyncIterator[None]:
    """No message is accepted."""

    async def refuse(route: Route) -> None:
        await (route.fulfill(**BUSY) if route.request.method == "POST" else route.fallback())

    await routed.route(MESSAGES, refuse)
    yield
    await routed.unroute(MESSAGES, refuse)


async def settle(visitor: Visitor) -> None:
    """What the page was told until now has been worked off: it has been to the server and back
    more often than anything that it does at once takes."""
    await visitor.page.evaluate(ROUND_TRIPS)


async def test_an_address_that_means_nothing_opens_a_new_chat(
    chat: Chat, model: Upstream, visit: Visit
) -> None:
    model.answers(whole("Here."))
    ada = await visit("/#/%zz")
    await ada.ask("Are you there?")
    await ada.reads("Here.")
    await ada.session_id()


async def test_the_skip_link_leads_to_the_box_and_nowhere_else(
    chat: Chat, model: Upstream, visit: Visit
) -> None:
    model.answers(whole("Here."))
    session_id = await chat.add_session("One", "Are you there?")
    ada = await visit(f"/#/{session_id}")
    await ada.reads("Here.")
    await ada.page.get_by_role("link", name="Skip to the message box").focus()
    await ada.page.keyboard.press("Enter")
    await expect(ada.box).to_be_focused()
    await settle(ada)
    await ada.reads("Here.")
    assert await ada.session_id() == session_id


async def test_a_link_within_the_page_does_not_leave_the_conversation(
    chat: Chat, model: Upstream, visit: Visit
) -> None:
    model.answers(whole("Here."))
    session_id = await chat.add_session("One", "Are you there?")
    ada = await visit(f"/#/{session_id}")
    await ada.reads("Here.")
    await ada.page.evaluate("() => { location.hash = '#elsewhere'; }")
    await settle(ada)
    await ada.reads("Here.")
    assert await ada.session_id() == session_id


@pytest.mark.parametrize("others", [0, 1])
async def test_a_first_message_that_is_slow_on_its_way_is_answered(
    others: int, chat: Chat, model: Upstream, visit: Visit
) -> None:
    for number in range(others):
        await chat.add_session(f"Other {number}")
    model.answers(whole("Here."))
    ada = await visit()
    ada.expects("404")
    await expect(ada.links).to_have_count(others)
    async with held(ada.page, NEW_SESSION, "POST") as post:
        await ada.ask("Are you there?")
        await post.came.wait()
        await reads_sessions(ada)
        await settle(ada)
        post.let_go.set()
    await ada.reads("Here.")
    await expect(ada.notice).to_have_count(0)


async def test_a_reload_before_the_first_message_has_arrived(
    chat: Chat, model: Upstream, visit: Visit
) -> None:
    model.answers(whole("Here."))
    ada = await visit()
    ada.expects("503", "404")
    busy = True

    async def refuse(route: Route) -> None:
        await (route.fulfill(**BUSY) if busy else route.continue_())

    await ada.page.route(NEW_SESSION, refuse)
    await ada.ask("Are you there?")
    session_id = await ada.session_id()
    await ada.page.reload()
    await expect(ada.questions).to_contain_text(["Are you there?"])
    await settle(ada)
    await settle(ada)
    busy = False
    await ada.reads("Here.")
    assert await ada.session_id() == session_id
    await expect(ada.notice).to_have_count(0)
    await expect(ada.questions).to_have_count(1)


async def test_a_history_that_was_not_there_yet_is_no_deleted_conversation(
    chat: Chat, model: Upstream, visit: Visit
) -> None:
    model.answers(whole("Here."))
    ada = await visit()
    ada.expects("503", "404", *CUT)

    async def refuse(route: Route) -> None:
        await route.fulfill(**BUSY)

    await ada.page.route(NEW_SESSION, refuse)
    await ada.ask("Are you there?")
    session_id = await ada.session_id()
    async with (
        held(ada.page, NEW_SESSION, "POST") as post,
        held(ada.page, MESSAGES, "GET", reply=True) as history,
    ):
        await ada.page.reload()
        await post.came.wait()
        await settle(ada)
        post.let_go.set()

        async def accepted() -> bool:
            return bool(await chat.sessions()) and bool(await chat.messages(session_id))

        await until(accepted)
        await settle(ada)
        history.let_go.set()
        await ada.reads("Here.")
    assert await ada.session_id() == session_id
    await expect(ada.notice).to_have_count(0)


async def test_what_waited_for_a_conversation_that_is_gone_is_in_the_box_of_a_new_chat(
    chat: Chat, model: Upstream, visit: Visit
) -> None:
    doomed = await chat.add_session("Doomed")
    await chat.add_session("Other")
    ada = await visit(f"/#/{doomed}")
    ada.expects("404", *CUT)
    await expect(ada.title).to_have_text("Doomed")
    async with held(ada.page, MESSAGES, "POST") as post:
        await ada.ask("First")
        await ada.ask("Second")
        await post.came.wait()
        await ada.link("Other").click()
        await expect(ada.title).to_have_text("Other")
        await chat.call("DELETE", f"/api/chat/sessions/{doomed}")
        await expect(ada.links).to_have_count(1)
        post.let_go.set()
        await expect(ada.notice.first).to_be_visible()
        await settle(ada)
    await ada.button("New chat").click()
    await expect(ada.box).to_have_value(re.compile("First"))
    await expect(ada.box).to_have_value(re.compile("Second"))


async def test_what_is_chosen_after_a_file_is_attached_holds(
    chat: Chat, model: Upstream, visit: Visit
) -> None:
    model.answers(whole("Here."))
    ada = await visit()
    await ada.page.locator("#files").set_input_files(text_file("a.txt"))
    files = ada.page.get_by_role("list", name="Attached files").get_by_role("listitem")
    await expect(files).to_have_count(1)
    await expect(ada.page.get_by_role("progressbar")).to_have_count(0)
    await ada.page.get_by_role("combobox", name="Persona").select_option("teacher")
    await ada.ask("Are you there?")
    await ada.reads("Here.")
    assert (await chat.session(await ada.session_id()))["persona"] == "teacher"


async def test_files_that_come_before_their_conversation_is_made_are_all_sent_with_the_message(
    chat: Chat, model: Upstream, visit: Visit
) -> None:
    model.answers(whole("Here."))
    ada = await visit()
    async with held(ada.page, NEW_SESSION, "POST") as post:
        for name in ("a.txt", "b.txt"):
            await ada.page.locator("#files").set_input_files(text_file(name))
        await ada.box.fill("What is in them?")
        await post.came.wait()
        await ada.box.press("Enter")
        await settle(ada)
        post.let_go.set()
        await settle(ada)
    files = ada.page.get_by_role("list", name="Attached files").get_by_role("listitem")
    await expect(files).to_contain_text(["a.txt", "b.txt"])
    await expect(ada.page.get_by_role("progressbar")).to_have_count(0)
    await ada.box.press("Enter")
    await ada.reads("Here.")
    [question, _] = await chat.messages(await ada.session_id())
    assert [file["file_name"] for file in question["files"]] == ["a.txt", "b.txt"]
    assert len(await chat.sessions()) == 1


async def test_what_one_tab_does_not_want_to_send_any_more_no_tab_sends(
    chat: Chat, model: Upstream, visit: Visit
) -> None:
    model.answers(whole("Here."))
    session_id = await chat.add_session("One")
    ada = await visit(f"/#/{session_id}")
    other = await visit(f"/#/{session_id}", beside=ada)
    for each in (ada, other):
        each.expects("503")

    async with refused(ada.page.context):
        await ada.ask("Unwanted")
        await other.page.reload()
        await expect(other.questions).to_contain_text(["Unwanted"])
        await ada.button("Don't send").click()
        await expect(ada.box).to_have_value("Unwanted")
        await expect(other.questions).to_have_count(0)
    await other.ask("Wanted")
    await other.reads("Here.")
    assert [each["content"] for each in await chat.messages(session_id)] == ["Wanted", "Here."]


async def test_what_one_tab_has_sent_waits_in_no_other(
    chat: Chat, model: Upstream, visit: Visit
) -> None:
    model.answers(whole("Here."))
    session_id = await chat.add_session("One")
    ada = await visit(f"/#/{session_id}")
    other = await visit(f"/#/{session_id}", beside=ada)
    for each in (ada, other):
        each.expects("503")

    async with refused(other.page):
        async with refused(ada.page):
            await ada.ask("Are you there?")
            await other.page.reload()
            await expect(other.button("Don't send")).to_be_visible()
        await ada.reads("Here.")
        await expect(other.button("Don't send")).to_have_count(0)
        await other.reads("Here.")
    assert len(await chat.messages(session_id)) == 2


async def test_drafts_live_in_a_browser_that_keeps_nothing(
    chat: Chat, model: Upstream, visit: Visit
) -> None:
    for title in ("One", "Two"):
        await chat.add_session(title)
    ada = await visit()
    await ada.page.add_init_script(
        "Object.defineProperty(window, 'localStorage',"
        " { get() { throw new DOMException('no', 'SecurityError'); } });"
    )
    await ada.page.reload()
    await ada.link("One").click()
    await ada.box.fill("for one")
    await ada.link("Two").click()
    await expect(ada.box).to_have_value("")
    await ada.link("One").click()
    await expect(ada.box).to_have_value("for one")


async def test_drafts_live_in_a_browser_that_is_full(
    chat: Chat, model: Upstream, visit: Visit
) -> None:
    for title in ("One", "Two"):
        await chat.add_session(title)
    ada = await visit()
    await ada.link("One").click()
    await ada.box.fill("for")
    await ada.page.evaluate(
        "() => { for (let size = 4194304; size >= 1; size = Math.floor(size / 2)) for (;;) {"
        " try { localStorage.setItem(`x${size}${Math.random()}`, 'x'.repeat(size)); }"
        " catch { break; } } }"
    )
    await ada.box.fill("for one " + "x" * 1000)
    await ada.link("Two").click()
    await expect(ada.box).to_have_value("")
    await ada.link("One").click()
    await expect(ada.box).to_have_value("for one " + "x" * 1000)


async def test_a_history_that_the_server_could_not_read_is_read_again(
    chat: Chat, model: Upstream, visit: Visit
) -> None:
    model.answers(whole("Here."))
    session_id = await chat.add_session("One", "Are you there?")
    ada = await visit()
    ada.expects("503")
    await expect(ada.link("One")).to_be_visible()
    busy = True

    async def refuse(route: Route) -> None:
        await (route.fulfill(**BUSY) if busy else route.continue_())

    await ada.page.route(MESSAGES, refuse)
    await ada.link("One").click()
    await expect(ada.notice).to_have_count(1)
    busy = False
    await ada.reads("Here.")
    assert await ada.session_id() == session_id


async def test_regenerate_is_asked_for_once_by_a_double_click(
    chat: Chat, model: Upstream, visit: Visit
) -> None:
    model.answers(whole("Here."))
    session_id = await chat.add_session("One", "Are you there?")
    ada = await visit(f"/#/{session_id}")
    ada.expects("409")
    await ada.reads("Here.")
    model.answers(Told("Again"))
    await ada.button("Regenerate").dblclick()
    await ada.reads("Again", "running")
    await settle(ada)
    await expect(ada.notice).to_have_count(0)
    await expect(ada.box).to_be_focused()


async def test_a_page_of_somebody_in_between_is_no_answer_of_the_server(
    chat: Chat, model: Upstream, visit: Visit
) -> None:
    model.answers(whole("Here."))
    session_id = await chat.add_session("One")
    ada = await visit(f"/#/{session_id}")
    await expect(ada.title).to_have_text("One")
    between = True

    async def portal(route: Route) -> None:
        if between and route.request.method == "POST":
            await route.fulfill(status=200, content_type="text/html", body="<h1>Welcome!</h1>")
        else:
            await route.fallback()

    await ada.page.route(MESSAGES, portal)
    await ada.ask("Are you there?")
    await settle(ada)
    await expect(ada.notice).to_have_count(0)
    between = False
    await ada.reads("Here.")


async def test_an_address_of_nobody_is_told_while_the_page_is_open(
    chat: Chat, model: Upstream, visit: Visit
) -> None:
    await chat.add_session("One")
    ada = await visit()
    ada.expects("404")
    await ada.link("One").click()
    await expect(ada.connection).to_be_empty()
    await settle(ada)
    await ada.page.evaluate("() => { location.hash = '#/session_of_somebody_else'; }")
    await expect(ada.notice).to_have_text(re.compile("deleted"))
    await expect(ada.page).to_have_url(chat.url + "/#/")
    model.answers(whole("Here."))
    await ada.ask("Are you there?")
    await ada.reads("Here.")


async def test_what_is_deleted_already_can_be_deleted(
    chat: Chat, model: Upstream, visit: Visit
) -> None:
    session_id = await chat.add_session("One")
    ada = await visit()
    ada.expects("404")
    await expect(ada.link("One")).to_be_visible()
    await ada.page.route_web_socket(re.compile("/ws"), lambda socket: None)
    await ada.page.reload()
    await ada.choose("One", "Delete")
    await chat.call("DELETE", f"/api/chat/sessions/{session_id}")
    await ada.dialog.get_by_role("button", name="Delete", exact=True).click()
    await expect(ada.links).to_have_count(0)
    await expect(ada.notice).to_have_count(0)


async def test_withdrawing_keeps_the_focus(chat: Chat, model: Upstream, visit: Visit) -> None:
    session_id = await chat.add_session("One")
    ada = await visit(f"/#/{session_id}")
    await expect(ada.title).to_have_text("One")
    async with held(ada.page, MESSAGES, "POST"):
        await ada.ask("Unwanted")
        await ada.button("Don't send").focus()
        await ada.page.keyboard.press("Enter")
        await expect(ada.box).to_be_focused()


async def test_half_a_character_does_not_hold_up_what_waits_behind_it(
    chat: Chat, model: Upstream, visit: Visit
) -> None:
    model.answers(whole("Here."))
    session_id = await chat.add_session("One")
    ada = await visit(f"/#/{session_id}")
    ada.expects("422", "400")
    await expect(ada.title).to_have_text("One")
    await ada.page.evaluate(
        "() => { const box = document.getElementById('message'); box.value = 'half \\ud83d';"
        " box.dispatchEvent(new Event('input')); }"
    )
    await ada.box.press("Enter")
    await ada.reads("Here.")


async def test_who_deletes_a_conversation_is_not_told_that_it_was_deleted(
    chat: Chat, model: Upstream, visit: Visit
) -> None:
    session_id = await chat.add_session("One")
    ada = await visit(f"/#/{session_id}")
    await expect(ada.title).to_have_text("One")
    await expect(ada.connection).to_be_empty()
    await settle(ada)
    address = re.compile(r"/api/chat/sessions/[^/]+$")
    async with held(ada.page, address, "DELETE", reply=True) as deleted:
        await ada.choose("One", "Delete")
        await ada.dialog.get_by_role("button", name="Delete", exact=True).click()
        await deleted.came.wait()
        await settle(ada)
        deleted.let_go.set()
        await expect(ada.links).to_have_count(0)
    await expect(ada.notice).to_have_count(0)


async def test_a_conversation_is_deleted_with_what_waits_for_it(
    chat: Chat, model: Upstream, visit: Visit
) -> None:
    ada = await visit()
    ada.expects("503", "404")
    busy = True

    async def refuse(route: Route) -> None:
        await (route.fulfill(**BUSY) if busy else route.continue_())

    await ada.page.route(NEW_SESSION, refuse)
    await ada.ask("Unwanted")
    await expect(ada.links).to_have_count(1)
    await ada.choose("New chat", "Delete")
    await ada.dialog.get_by_role("button", name="Delete", exact=True).click()
    await expect(ada.links).to_have_count(0)
    busy = False
    await ada.ask("Wanted")
    await ada.reads("Hello")
    assert len(await chat.sessions()) == 1


REQUIRED: Final = {"AUTH_MODE": "required", "ACCESS_CHECK_SECONDS": "0.2"}
PASSWORD: Final = "correct-horse-battery"
REFUSED: Final[dict[str, Any]] = {
    "status": 401,
    "content_type": "application/problem+json",
    "body": '{"code": "invalid_token", "status": 401, "title": "Invalid token"}',
}


async def at_door(visit: Visit, beside: Visitor | None = None) -> Visitor:
    ada = await visit(beside=beside)
    ada.expects("401")
    await expect(ada.page.get_by_role("heading", name="Sign in")).to_be_visible()
    return ada


async def register(ada: Visitor, username: str) -> None:
    await ada.button("Create an account").click()
    await enter(ada, username, "Register")


async def enter(ada: Visitor, username: str, button: str = "Sign in") -> None:
    await ada.page.get_by_role("textbox", name="Username").fill(username)
    await ada.page.get_by_label("Password", exact=True).fill(PASSWORD)
    await ada.button(button).click()
    await expect(ada.box).to_be_editable()


async def sign_out(ada: Visitor) -> None:
    dialog = await ada.open_settings()
    await dialog.get_by_role("button", name="Sign out").click()
    await expect(ada.page.get_by_role("heading", name="Sign in")).to_be_visible()


@pytest.mark.own_process(**REQUIRED, ACCESS_TOKEN_SECONDS="1")
async def test_who_signs_out_after_a_long_rest_does_so_everywhere(
    chat: Chat, model: Upstream, visit: Visit
) -> None:
    ada = await at_door(visit)
    await register(ada, "ada")
    await ada.ask("Are you there?")
    await ada.reads("Hello")
    phone = await at_door(visit)
    await enter(phone, "ada")
    await ada.box.fill("a secret draft")
    async with ada.page.expect_request(SESSIONS) as asked:
        await ada.page.evaluate("() => document.dispatchEvent(new Event('visibilitychange'))")
    headers = await (await asked.value).all_headers()
    token = {"authorization": headers["authorization"]}
    dialog = await ada.open_settings()

    async def too_old() -> bool:
        async with chat.process.http() as http:
            return (await http.get("/api/auth/me", headers=token)).status_code == 401

    await until(too_old)
    await dialog.get_by_role("button", name="Sign out").click()
    await expect(ada.page.get_by_role("heading", name="Sign in")).to_be_visible()
    await expect(phone.page.get_by_role("heading", name="Sign in")).to_be_visible()
    kept = await ada.page.evaluate("() => JSON.stringify({ ...localStorage })")
    assert "secret" not in kept


@pytest.mark.own_process(**REQUIRED)
async def test_a_page_does_not_go_on_as_somebody_who_signed_in_in_another_tab(
    chat: Chat, model: Upstream, visit: Visit
) -> None:
    ada = await at_door(visit)
    bob = await at_door(visit, beside=ada)
    ada.expects("503")
    await register(ada, "ada")
    await register(bob, "bob")

    async def refuse(route: Route) -> None:
        if not ada.page.url.endswith("#/"):
            await route.fulfill(**REFUSED)
        else:
            await route.continue_()

    await ada.page.route(NEW_SESSION, refuse)
    await ada.ask("Ada's own words")
    await expect(ada.page.get_by_role("heading", name="Sign in")).to_be_visible()
    await bob.page.reload()
    await expect(bob.box).to_be_editable()
    await settle(bob)
    await expect(bob.links).to_have_count(0)
    await expect(bob.log).not_to_contain_text("Ada's own words")


@pytest.mark.own_process(**REQUIRED)
async def test_nobody_sees_what_the_one_before_them_asked_for(
    chat: Chat, model: Upstream, visit: Visit
) -> None:
    model.answers(whole("Here."))
    ada = await at_door(visit)
    await register(ada, "ada")
    await ada.ask("Ada's own words")
    await ada.reads("Here.")
    asked = 0
    state = Held()

    async def list_sessions(route: Route) -> None:
        nonlocal asked
        asked += 1
        if asked > 1:
            await route.fulfill(json={"items": [], "next_cursor": "more"})
            return
        fetched = await route.fetch()
        state.came.set()
        await state.let_go.wait()
        await route.fulfill(response=fetched)

    await ada.page.route(SESSIONS, list_sessions)
    await ada.page.evaluate("() => document.dispatchEvent(new Event('visibilitychange'))")
    await state.came.wait()
    await sign_out(ada)
    # Else a refusal of it would sweep up behind the page.
    await ada.page.route_web_socket(re.compile("/ws"), lambda socket: None)
    await register(ada, "bob")
    state.let_go.set()
    async with ada.page.expect_response(SESSIONS):
        pass
    await settle(ada)
    await settle(ada)
    await expect(ada.links).to_have_count(0)


async def test_a_history_that_never_comes_is_asked_for_again(
    chat: Chat, model: Upstream, visit: Visit
) -> None:
    model.answers(whole("Here."))
    session_id = await chat.add_session("One", "Are you there?")
    ada = await visit()
    ada.expects("ERR")
    await ada.page.add_init_script(
        "{ const timeout = AbortSignal.timeout.bind(AbortSignal);"
        " AbortSignal.timeout = (ms) => timeout(ms / 60); }"
    )
    await ada.page.reload()
    swallowed: list[Route] = []

    async def swallow(route: Route) -> None:
        if len(swallowed) == 2:
            await route.continue_()
        else:
            swallowed.append(route)

    await ada.page.route(MESSAGES, swallow)
    await ada.link("One").click()
    await ada.reads("Here.")
    assert len(swallowed) == 2
    assert await ada.session_id() == session_id


async def test_a_list_that_is_older_than_the_end_of_an_answer_says_nothing_of_it(
    chat: Chat, model: Upstream, visit: Visit
) -> None:
    answer = Told("Here")
    model.answers(answer)
    await chat.add_session("Other")
    ada = await visit()
    await ada.ask("Are you there?")
    await ada.reads("Here", "running")
    await settle(ada)
    async with held(ada.page, SESSIONS, "GET", reply=True) as listed:
        await ada.page.evaluate("() => document.dispatchEvent(new Event('visibilitychange'))")
        await listed.came.wait()
        answer.end(".")
        await ada.reads("Here.")
        mark = ada.item("Are you there?").locator(".mark.running")
        await expect(mark).to_have_count(0)
        async with ada.page.expect_response(SESSIONS):
            listed.let_go.set()
        await settle(ada)
        await expect(mark).to_have_count(0)


async def test_what_was_answered_while_nobody_listened_is_unread_after_a_reload_too(
    chat: Chat, model: Upstream, visit: Visit
) -> None:
    model.answers(whole("Here."))
    other = await chat.add_session("Other")
    ada = await visit()
    await expect(ada.link("Other")).to_be_visible()
    await ada.page.route_web_socket(re.compile("/ws"), lambda socket: None)
    await ada.page.reload()
    await expect(ada.link("Other")).to_be_visible()
    body = {"session_id": other, "message": "A program asks"}
    await chat.call("POST", "/api/chat/message", json=body)
    await reads_sessions(ada)
    mark = ada.item("Other").locator(".mark.unread")
    await expect(mark).to_have_count(1)
    await ada.page.reload()
    await expect(mark).to_have_count(1)


async def test_a_search_reads_the_list_once_however_fast_one_types(
    chat: Chat, visit: Visit
) -> None:
    for number in range(31):
        await chat.add_session(f"Session {number:03}")
    ada = await visit()
    await expect(ada.link("Session 030")).to_be_visible()
    asked = 0
    typed = asyncio.Event()

    async def count(route: Route) -> None:
        nonlocal asked
        asked += 1
        await typed.wait()
        await route.continue_()

    await ada.page.route(re.compile(r"sessions\?limit=100"), count)
    search = ada.page.get_by_role("searchbox", name="Search conversations")
    await search.press_sequentially("Session 000")
    typed.set()
    await expect(ada.link("Session 000")).to_be_visible()
    assert asked == 1


async def test_escape_closes_one_thing_at_a_time_on_a_phone(chat: Chat, visit: Visit) -> None:
    await chat.add_session("One")
    ada = await visit(viewport={"width": 390, "height": 800})
    await ada.button("Show conversations").click()
    await ada.choose("One", "Rename")
    await ada.page.keyboard.press("Escape")
    await expect(ada.dialog).to_be_hidden()
    await expect(ada.link("One")).to_be_visible()
    await ada.button("Options for One").click()
    await ada.page.keyboard.press("Escape")
    await expect(ada.page.get_by_role("menu")).to_be_hidden()
    await expect(ada.link("One")).to_be_visible()
    await ada.page.keyboard.press("Escape")
    await expect(ada.link("One")).to_be_hidden()


async def test_what_is_further_up_is_told_as_it_is_below(
    chat: Chat, model: Upstream, visit: Visit
) -> None:
    """An answer whose question is on the page before, and a question whose answer failed."""
    session_id = await chat.add_session("Long")
    path = f"/api/chat/sessions/{session_id}/messages"

    async def fails(question: str) -> None:
        model.answers(refuses)
        await chat.call("POST", path, json={"message": question})

        async def ended() -> bool:
            return (await chat.session(session_id))["active_generation"] is None

        await until(ended)

    await fails("Question 0")
    for number in range(1, 26):
        model.answers(whole(f"Answer {number}"))
        body = {"session_id": session_id, "message": f"Question {number}"}
        await chat.call("POST", "/api/chat/message", json=body)
    await fails("Question 26")
    ada = await visit(f"/#/{session_id}")
    ada.expects(*CUT)
    texts = ada.log.locator("article:not([hidden]) .text:not(:empty)")
    told = ["Answer 1"]
    told += [f"{what} {number}" for number in range(2, 26) for what in ("Question", "Answer")]
    await expect(texts).to_have_text([*told, "Question 26"])
    await expect(ada.log.get_by_role("alert")).to_have_count(1)
    model.answers(whole("Answer 27"))
    await ada.ask("Question 27")
    await ada.reads("Answer 27")
    # Read anew, as after each cut, the page would begin with the next question.
    async with ada.page.expect_response(MESSAGES):
        chat.way.reset_all()
    await settle(ada)
    await expect(texts.filter(has_text=re.compile("^Answer 1$"))).to_have_count(1)
    if await ada.button("Show earlier messages").is_visible():
        await ada.button("Show earlier messages").click()
    await expect(texts.nth(1)).to_have_text("Question 1")
    await expect(ada.answers.first).to_have_attribute("data-state", "failed")
    await expect(ada.log.get_by_role("alert")).to_have_count(2)


async def test_questions_that_were_not_seen_yet_take_no_more_room_than_they_need(
    chat: Chat, model: Upstream, visit: Visit
) -> None:
    model.answers(whole("Short."))
    session_id = await chat.add_session("Long", *[f"Question {number}" for number in range(24)])
    ada = await visit(f"/#/{session_id}")
    await ada.reads("Short.")
    await expect(ada.questions).to_have_count(24)
    heights = await ada.questions.evaluate_all(
        "(articles) => articles.map((article) => article.offsetHeight)"
    )
    assert len(set(heights)) == 1, heights
