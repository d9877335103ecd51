"""Models that people add themselves."""

import re

import pytest
from playwright.async_api import Locator, expect

from tests.browser.chat import Chat
from tests.browser.conftest import Visit
from tests.browser.told import refuses, whole
from tests.browser.visitor import Visitor
from tests.upstream import Call, Upstream

pytestmark = pytest.mark.asyncio(loop_scope="package")

KEY = "sk-seeded-5e7d1c0a9b8f7e6d"


async def asks_for_the_key(call: Call) -> None:
    right = call.headers.get("authorization") == f"Bearer {KEY}"
    await (whole("Own answer.") if right else refuses)(call)


async def add(dialog: Locator, model: Upstream, key: str = KEY) -> None:
    for name, value in {
        "Name": "Mine",
        "Model": "my-model",
        "Base URL": model.base_url,
        "API key": key,
    }.items():
        await dialog.get_by_label(name, exact=True).fill(value)
    await dialog.get_by_role("button", name="Save", exact=True).click()
    await expect(listed(dialog)).to_contain_text(["Mine"])


def listed(dialog: Locator) -> Locator:
    return dialog.get_by_role("listitem").filter(has_text="Mine")


async def test_an_own_model_is_added_and_answers(chat: Chat, model: Upstream, visit: Visit) -> None:
    model.answers(asks_for_the_key)
    ada = await visit()
    dialog = await ada.open_settings()
    await add(dialog, model)
    await ada.page.keyboard.press("Escape")
    await expect(dialog).to_be_hidden()
    await ada.page.get_by_role("combobox", name="Model").select_option("my-model")
    await ada.ask("Who are you?")
    await ada.reads("Own answer.")
    assert model.calls[-1].body["model"] == "my-model"
    [session] = await chat.sessions()
    assert session["model_name"] == "my-model"


async def test_the_connection_is_tested(model: Upstream, visit: Visit) -> None:
    model.answers(asks_for_the_key)
    ada = await visit()
    dialog = await ada.open_settings()
    await add(dialog, model, key="sk-wrong")
    await listed(dialog).get_by_role("button", name="Test").click()
    await expect(dialog.get_by_text(re.compile("^No connection: .*key"))).to_be_visible()
    await listed(dialog).get_by_role("button", name="Edit").click()
    await dialog.get_by_label("API key", exact=True).fill(KEY)
    await dialog.get_by_role("button", name="Save", exact=True).click()
    await listed(dialog).get_by_role("button", name="Test").click()
    await expect(dialog.get_by_text(re.compile("^Connected in"))).to_be_visible()


async def test_a_key_is_never_shown_again(chat: Chat, model: Upstream, visit: Visit) -> None:
    ada = await visit()
    dialog = await ada.open_settings()
    await add(dialog, model)
    await ada.page.reload()
    dialog = await ada.open_settings()
    await expect(listed(dialog)).to_be_visible()
    await listed(dialog).get_by_role("button", name="Edit").click()
    await expect(dialog.get_by_label("Model", exact=True)).to_have_value("my-model")
    await expect(dialog.get_by_label("API key", exact=True)).to_have_value("")
    assert KEY not in await everything(ada)


async def everything(ada: Visitor) -> str:
    """That a page holds, and what it keeps."""
    said: str = await ada.page.evaluate(
        """() => document.documentElement.outerHTML
          + [...document.querySelectorAll("input, textarea")].map(each => each.value).join("\\n")
          + JSON.stringify({...localStorage}) + JSON.stringify({...sessionStorage})"""
    )
    return said


async def test_an_own_model_is_changed_without_its_key_and_deleted(
    chat: Chat, model: Upstream, visit: Visit
) -> None:
    model.answers(asks_for_the_key)
    ada = await visit()
    dialog = await ada.open_settings()
    await add(dialog, model)
    await listed(dialog).get_by_role("button", name="Edit").click()
    name = dialog.get_by_label("Model", exact=True)
    await expect(name).to_have_value("my-model")
    await name.fill("my-other-model")
    await dialog.get_by_role("button", name="Save", exact=True).click()
    await expect(listed(dialog)).to_contain_text("my-other-model")
    await listed(dialog).get_by_role("button", name="Test").click()
    await expect(dialog.get_by_text(re.compile("^Connected in"))).to_be_visible()
    await dialog.get_by_role("button", name="Delete Mine").click()
    sure = ada.page.get_by_role("dialog").filter(has=ada.button("Cancel")).last
    if await sure.get_by_role("button", name="Delete", exact=True).count():
        await sure.get_by_role("button", name="Delete", exact=True).click()
    await expect(listed(dialog)).to_have_count(0)
    assert (await chat.get("/api/user/apis"))["items"] == []


async def test_what_is_wrong_with_a_model_is_told_and_what_was_typed_stays(
    model: Upstream, visit: Visit
) -> None:
    ada = await visit()
    ada.expects("409", "422")
    dialog = await ada.open_settings()
    await add(dialog, model)
    for name, value in {"Name": "Mine", "Model": "other", "Base URL": model.base_url}.items():
        await dialog.get_by_label(name, exact=True).fill(value)
    await dialog.get_by_label("API key", exact=True).fill(KEY)
    await dialog.get_by_role("button", name="Save", exact=True).click()
    await expect(dialog.get_by_text("This name is taken.")).to_be_visible()
    await expect(dialog.get_by_label("Model", exact=True)).to_have_value("other")
