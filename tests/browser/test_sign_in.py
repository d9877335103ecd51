"""Servers that ask who one is."""

import asyncio
import re

import httpx
import pytest
from playwright.async_api import Response, expect

from tests.browser.chat import Chat, until
from tests.browser.conftest import Visit
from tests.browser.told import Told, whole
from tests.browser.visitor import Visitor
from tests.upstream import Upstream

pytestmark = [
    pytest.mark.asyncio(loop_scope="package"),
    pytest.mark.own_process(AUTH_MODE="required", ACCESS_CHECK_SECONDS="0.2"),
]

PASSWORD = "correct-horse-battery"
KEPT = "() => JSON.stringify({...localStorage}) + JSON.stringify({...sessionStorage})"


async def at_door(visit: Visit, beside: Visitor | None = None) -> Visitor:
    ada = await visit(beside=beside)
    ada.expects("401")
    return ada


async def register(ada: Visitor, username: str = "ada") -> None:
    await expect(ada.page.get_by_role("heading", name="Sign in")).to_be_visible()
    await ada.button("Create an account").click()
    await expect(ada.page.get_by_role("heading", name="Create an account")).to_be_visible()
    await fill(ada, username, PASSWORD)
    await ada.button("Register").click()
    await expect(ada.box).to_be_editable()


async def fill(ada: Visitor, username: str, password: str) -> None:
    await ada.page.get_by_role("textbox", name="Username").fill(username)
    await ada.page.get_by_label("Password", exact=True).fill(password)


async def sign_out(ada: Visitor) -> None:
    dialog = await ada.open_settings()
    await dialog.get_by_role("button", name="Sign out").click()


async def test_one_registers_asks_and_is_still_there_after_a_reload(
    model: Upstream, visit: Visit
) -> None:
    model.answers(whole("Me."))
    ada = await at_door(visit)
    await expect(ada.box).to_be_hidden()
    await register(ada)
    await ada.ask("Who are you?")
    await ada.reads("Me.")
    await ada.page.reload()
    await ada.reads("Me.")
    dialog = await ada.open_settings()
    await expect(dialog).to_contain_text("ada")


async def test_a_wrong_password_is_told_and_the_right_one_opens(
    model: Upstream, visit: Visit
) -> None:
    model.answers(whole("Me."))
    ada = await at_door(visit)
    await register(ada)
    await ada.ask("Who are you?")
    await ada.reads("Me.")
    await sign_out(ada)
    await expect(ada.page.get_by_role("heading", name="Sign in")).to_be_visible()
    await expect(ada.page.get_by_text("Who are you?").filter(visible=True)).to_have_count(0)
    await fill(ada, "ada", "wrong-horse-battery")
    await ada.button("Sign in").click()
    wrong = ada.page.get_by_role("alert").filter(visible=True)
    await expect(wrong).to_contain_text(re.compile("password", re.IGNORECASE))
    await expect(ada.page.get_by_role("textbox", name="Username")).to_have_value("ada")
    await fill(ada, "ada", PASSWORD)
    await ada.button("Sign in").click()
    await expect(ada.link("Who are you?")).to_be_visible()


async def test_a_username_that_is_taken_is_told(visit: Visit) -> None:
    await register(await at_door(visit))
    other = await at_door(visit)
    other.expects("409")
    await other.button("Create an account").click()
    await fill(other, "ada", PASSWORD)
    await other.button("Register").click()
    await expect(other.page.get_by_role("alert").filter(visible=True)).to_contain_text("taken")


async def test_who_signs_out_in_one_tab_is_signed_out_in_the_other(
    model: Upstream, visit: Visit
) -> None:
    model.answers(whole("Me."))
    first = await at_door(visit)
    await register(first)
    await first.ask("Who are you?")
    await first.reads("Me.")
    second = await at_door(visit, beside=first)
    await expect(second.link("Who are you?")).to_be_visible()
    await sign_out(first)
    for each in (first, second):
        await expect(each.page.get_by_role("heading", name="Sign in")).to_be_visible()
        await expect(each.page.get_by_text("Who are you?").filter(visible=True)).to_have_count(0)


async def test_another_user_sees_nothing_of_the_former(model: Upstream, visit: Visit) -> None:
    model.answers(whole("Me."))
    ada = await at_door(visit)
    await register(ada)
    await ada.ask("Who are you?")
    await ada.reads("Me.")
    await ada.box.fill("A secret draft")
    await sign_out(ada)
    await register(ada, "bob")
    await expect(ada.links).to_have_count(0)
    await expect(ada.box).to_have_value("")
    assert "secret draft" not in await ada.page.evaluate(KEPT)


@pytest.mark.own_process(AUTH_MODE="required", ACCESS_TOKEN_SECONDS="1", ACCESS_CHECK_SECONDS="0.2")
async def test_an_access_token_that_ends_is_renewed_and_nobody_notices(
    chat: Chat, model: Upstream, visit: Visit
) -> None:
    answer = Told("It begins ")
    model.answers(answer, whole("Again."))
    ada = await at_door(visit)
    renewals: list[Response] = []

    def note(response: Response) -> None:
        if response.url.endswith("/api/auth/refresh") and response.ok:
            renewals.append(response)

    ada.page.on("response", note)
    await register(ada)
    await ada.ask("Who are you?")
    await expect(ada.text).to_have_text("It begins")
    await out_of_date(chat)
    answer.end("and ends.")
    await ada.reads("It begins and ends.")
    await ada.ask("Again?")
    await expect(ada.answers).to_have_count(2)
    await ada.reads("Again.")
    await ada.choose("Who are you?", "Rename")
    await ada.dialog.get_by_role("textbox", name="Title").fill("Later")
    await ada.dialog.get_by_role("button", name="Save").click()
    await expect(ada.link("Later")).to_be_visible()
    await expect(ada.notice).to_have_count(0)
    assert renewals


async def out_of_date(chat: Chat) -> None:
    """Returns once a token that was given out now holds no more."""
    async with chat.process.http() as http:
        body = {"username": "eve", "password": PASSWORD}
        made = await http.post("/api/auth/register", json=body)
        if made.status_code == 409:
            made = await http.post("/api/auth/login", json=body)
        headers = {"Authorization": f"Bearer {made.json()['access_token']}"}

        async def over() -> bool:
            return (await http.get("/api/auth/me", headers=headers)).status_code == 401

        await until(over)


async def test_no_token_is_kept_where_scripts_of_others_would_look(visit: Visit) -> None:
    ada = await at_door(visit)
    tokens: list[str] = []
    reading: list[asyncio.Task[None]] = []

    async def note(response: Response) -> None:
        said = await response.json()
        tokens.extend(said[name] for name in ("access_token", "refresh_token") if said.get(name))

    def heard(response: Response) -> None:
        if re.search(r"/api/auth/(register|login|refresh)", response.url) and response.ok:
            reading.append(asyncio.ensure_future(note(response)))

    ada.page.on("response", heard)
    await register(ada)
    await ada.page.reload()
    await expect(ada.box).to_be_editable()
    await asyncio.gather(*reading)
    kept = await ada.page.evaluate(KEPT)
    assert not [token for token in tokens if token in kept]
    assert "eyJ" not in kept
    assert await ada.page.evaluate("document.cookie") == ""
    cookies = await ada.page.context.cookies()
    assert cookies
    for cookie in cookies:
        assert cookie["httpOnly"]
        assert cookie["sameSite"] == "Strict"


async def test_a_session_of_somebody_else_is_not_there(chat: Chat, visit: Visit) -> None:
    async with httpx.AsyncClient(base_url=chat.url) as http:
        body = {"username": "eve", "password": PASSWORD}
        token = (await http.post("/api/auth/register", json=body)).json()["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        made = await http.post("/api/chat/session", json={"title": "Eve's"}, headers=headers)
    ada = await at_door(visit)
    ada.expects("404")
    await register(ada)
    await ada.page.goto(f"{chat.url}/#/{made.json()['session_id']}")
    await expect(ada.notice).to_be_visible()
    await expect(ada.page.get_by_text("Eve's")).to_have_count(0)
