"""What is told to those who can't see the page, and what would keep people out."""

import re

import pytest
from playwright.async_api import expect

from tests.browser.barriers import barriers
from tests.browser.chat import Chat
from tests.browser.conftest import Visit
from tests.browser.scenes import SCENES, SIZES, fill, sign_in
from tests.browser.told import Told, whole
from tests.browser.visitor import CUT
from tests.upstream import Upstream

pytestmark = pytest.mark.asyncio(loop_scope="package")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("colours", ["light", "dark"])
async def test_there_are_no_barriers(chat: Chat, visit: Visit, size: str, colours: str) -> None:
    await fill(chat)
    found = {}
    for name, scene in SCENES.items():
        ada = await visit(color_scheme=colours, viewport=SIZES[size], reduced_motion="reduce")
        await scene(ada, chat)
        found[name] = await barriers(ada.page)
    assert found == {name: [] for name in SCENES}


@pytest.mark.own_process(AUTH_MODE="required")
@pytest.mark.parametrize("size", SIZES)
async def test_there_are_no_barriers_at_the_door(chat: Chat, visit: Visit, size: str) -> None:
    for colours in ("light", "dark"):
        ada = await visit(color_scheme=colours, viewport=SIZES[size], reduced_motion="reduce")
        ada.expects("401")
        await sign_in(ada, chat)
        assert await barriers(ada.page) == []
        await ada.button("Create an account").click()
        assert await barriers(ada.page) == []


async def test_a_barrier_would_be_found(visit: Visit) -> None:
    ada = await visit()
    await expect(ada.box).to_be_editable()
    await ada.page.evaluate("document.body.append(document.createElement('button'))")
    assert [said for said in await barriers(ada.page) if said.startswith("button-name")]


async def test_who_listens_hears_when_an_answer_begins_and_ends_and_not_each_word(
    model: Upstream, visit: Visit
) -> None:
    answer = Told("Word ")
    model.answers(whole("Me."), answer)
    ada = await visit()
    await ada.ask("Are you there?")
    await ada.reads("Me.")
    await ada.page.evaluate(
        """() => {
          window.heard = [];
          const live = (node) => {
            const element = node.nodeType === 1 ? node : node.parentElement;
            const roles = {alert: "assertive", status: "polite", log: "polite"};
            const region = element?.closest("[aria-live], [role=status], [role=alert], [role=log]");
            const how = region?.getAttribute("aria-live") ?? roles[region?.getAttribute("role")];
            return how && how !== "off";
          };
          new MutationObserver((changes) => {
            for (const change of changes)
              for (const node of change.addedNodes.length ? change.addedNodes : [change.target])
                if (live(node) && node.textContent.trim())
                  window.heard.push(node.textContent.trim());
          }).observe(document.body, {subtree: true, childList: true, characterData: true});
        }"""
    )
    await ada.ask("Who are you?")
    await expect(ada.text).to_have_text("Word")
    for number in range(20):
        answer.say(f"word{number} ")
        await expect(ada.text).to_contain_text(f"word{number}")
    heard = await ada.page.evaluate("window.heard")
    assert not [said for said in heard if "word1 " in said or said.endswith("word19")], heard
    assert "The answer is being written." in heard
    answer.end("end.")
    await expect(ada.answer).to_have_attribute("data-state", "completed")
    await ada.page.wait_for_function("() => window.heard.at(-1) === 'The answer is complete.'")


async def test_regions_and_headings_have_names(chat: Chat, model: Upstream, visit: Visit) -> None:
    model.answers(whole("Me."))
    session_id = await chat.add_session("Talk", "Who are you?")
    ada = await visit(f"/#/{session_id}")
    await ada.reads("Me.")
    await expect(ada.side).to_be_visible()
    await expect(ada.page.get_by_role("main")).to_have_count(1)
    await expect(ada.page.get_by_role("heading", level=1)).to_have_count(1)
    await expect(ada.log).to_be_visible()
    await expect(ada.connection).to_have_role("status")
    await expect(ada.page.locator("html")).to_have_attribute("lang", "en")
    await expect(ada.page).to_have_title(re.compile(".+"))


async def test_the_state_of_the_connection_is_told(chat: Chat, visit: Visit) -> None:
    ada = await visit()
    ada.expects(*CUT)
    await expect(ada.box).to_be_editable()
    await chat.add_session("Talk")
    await expect(ada.connection).to_be_empty()
    await ada.page.reload()
    await ada.link("Talk").click()
    await expect(ada.title).to_have_text("Talk")
    chat.way.refuse()
    await expect(ada.connection).to_contain_text(re.compile("offline|reconnecting", re.IGNORECASE))
    await expect(ada.connection).to_have_role("status")
    chat.way.heal()
    await expect(ada.connection).to_be_empty()
