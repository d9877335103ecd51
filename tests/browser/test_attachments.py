"""Files that go with a message."""

import asyncio
import json
from typing import Any

import pytest
from playwright.async_api import FilePayload, Locator, Route, expect

from tests.browser.chat import Chat, until
from tests.browser.conftest import Visit
from tests.browser.told import whole
from tests.browser.visitor import Visitor
from tests.upstream import Upstream

pytestmark = pytest.mark.asyncio(loop_scope="package")

TRANSFER = """([name, text]) => {
  const files = new DataTransfer();
  files.items.add(new File([text], name, {type: "text/plain"}));
  return files;
}"""
PASTE = """(box, files) => box.dispatchEvent(
  new ClipboardEvent("paste", {clipboardData: files, bubbles: true, cancelable: true}))"""


def file(name: str, text: str) -> FilePayload:
    return {"name": name, "mimeType": "text/plain", "buffer": text.encode()}


def attached(ada: Visitor) -> Locator:
    return ada.page.get_by_role("list", name="Attached files").get_by_role("listitem")


async def attach(ada: Visitor, *files: FilePayload) -> None:
    async with ada.page.expect_file_chooser() as choosing:
        await ada.button("Attach files").click()
    await (await choosing.value).set_files(list(files))


async def uploaded(ada: Visitor, *names: str) -> None:
    await expect(attached(ada)).to_contain_text(list(names))
    await expect(attached(ada)).to_have_count(len(names))
    await expect(attached(ada).locator("progress")).to_have_count(0)


async def test_the_text_of_files_reaches_the_model(
    chat: Chat, model: Upstream, visit: Visit
) -> None:
    model.answers(whole("I have read them."))
    ada = await visit()
    await attach(
        ada, file("notes.txt", "The parcel leaves on Tuesday."), file("a.py", "x = 41 + 1")
    )
    await uploaded(ada, "notes.txt", "a.py")
    await ada.ask("What is in them?")
    await ada.reads("I have read them.")
    told = json.dumps(model.calls[-1].body["messages"][-1])
    assert "The parcel leaves on Tuesday." in told
    assert "x = 41 + 1" in told
    await expect(attached(ada)).to_have_count(0)
    await expect(ada.questions.last).to_contain_text("notes.txt")
    await ada.page.reload()
    await expect(ada.questions.last).to_contain_text("notes.txt")
    await expect(ada.questions.last).to_contain_text("a.py")
    [session] = await chat.sessions()
    [question, _] = await chat.messages(session["session_id"])
    assert [each["file_name"] for each in question["files"]] == ["notes.txt", "a.py"]


async def test_a_file_is_dropped(model: Upstream, visit: Visit) -> None:
    model.answers(whole("I have read it."))
    ada = await visit()
    files = await ada.page.evaluate_handle(TRANSFER, ["dropped.txt", "What was dropped."])
    for event in ("dragenter", "dragover", "drop"):
        await ada.box.dispatch_event(event, {"dataTransfer": files})
    await uploaded(ada, "dropped.txt")
    await ada.ask("What is it?")
    await ada.reads("I have read it.")
    assert "What was dropped." in json.dumps(model.calls[-1].body)


async def test_a_file_is_pasted(model: Upstream, visit: Visit) -> None:
    model.answers(whole("I have read it."))
    ada = await visit()
    files = await ada.page.evaluate_handle(TRANSFER, ["pasted.txt", "What was pasted."])
    await ada.box.fill("Text stays")
    await ada.box.evaluate(PASTE, files)
    await uploaded(ada, "pasted.txt")
    await expect(ada.box).to_have_value("Text stays")
    await ada.box.press("Enter")
    await ada.reads("I have read it.")
    assert "What was pasted." in json.dumps(model.calls[-1].body)


@pytest.mark.own_process(UPLOAD_FILE_BYTES="1000")
@pytest.mark.parametrize(
    ("name", "text"), [("large.txt", "x" * 2000), ("archive.zip", "no text by its name")]
)
async def test_a_refused_file_is_told_and_takes_nothing_with_it(
    model: Upstream, visit: Visit, name: str, text: str
) -> None:
    model.answers(whole("I have read it."))
    ada = await visit()
    ada.expects("413", "415")
    await ada.box.fill("What is it?")
    await attach(ada, file("kept.txt", "What is kept."))
    await uploaded(ada, "kept.txt")
    await attach(ada, file(name, text))
    await expect(ada.page.get_by_role("alert").filter(visible=True).first).to_contain_text(name)
    await expect(ada.box).to_have_value("What is it?")
    await expect(attached(ada).filter(has_text="kept.txt")).to_be_visible()
    if await ada.button(f"Remove {name}").count():
        await ada.button(f"Remove {name}").click()
    await uploaded(ada, "kept.txt")
    await ada.box.press("Enter")
    await ada.reads("I have read it.")
    assert "What is kept." in json.dumps(model.calls[-1].body)


async def test_a_file_that_is_removed_is_not_sent(
    chat: Chat, model: Upstream, visit: Visit
) -> None:
    model.answers(whole("Me."))
    ada = await visit()
    await attach(ada, file("secret.txt", "Never mind."), file("kept.txt", "What is kept."))
    await uploaded(ada, "secret.txt", "kept.txt")
    await ada.button("Remove secret.txt").click()
    await uploaded(ada, "kept.txt")
    session_id = await ada.session_id()

    async def deleted() -> bool:
        files = (await chat.get(f"/api/files/session/{session_id}"))["items"]
        return [each["file_name"] for each in files] == ["kept.txt"]

    await until(deleted)
    await ada.ask("What is it?")
    await ada.reads("Me.")
    told = json.dumps(model.calls[-1].body)
    assert "Never mind." not in told
    assert "What is kept." in told


async def test_html_in_names_of_files_is_text(visit: Visit) -> None:
    name = "<img src=x onerror=alert(1)>.txt"
    ada = await visit()
    await attach(ada, file(name, "x"))
    await uploaded(ada, name)
    await expect(ada.button(f"Remove {name}")).to_be_visible()
    await expect(ada.page.locator('img[src="x"]')).to_have_count(0)


async def test_what_is_sent_while_its_files_are_on_their_way_waits_for_them(
    chat: Chat, model: Upstream, visit: Visit
) -> None:
    model.answers(whole("I have read it."))
    ada = await visit()
    come = asyncio.Event()

    async def slow(route: Route) -> None:
        await come.wait()
        await route.continue_()

    await ada.page.route("**/api/files/upload", slow)
    await attach(ada, file("notes.txt", "The parcel leaves on Tuesday."))
    await ada.ask("What is in it?")
    await expect(ada.page.get_by_text("as soon as its files are uploaded")).to_be_visible()
    await expect(ada.box).to_have_value("What is in it?")
    come.set()
    await ada.reads("I have read it.")
    await expect(ada.box).to_have_value("")
    assert "The parcel leaves on Tuesday." in json.dumps(model.calls[-1].body["messages"][-1])


@pytest.mark.parametrize("change", ["more is written", "a file is refused"])
async def test_what_was_to_wait_for_its_files_does_not_go_without_a_look(
    chat: Chat, visit: Visit, change: str
) -> None:
    ada = await visit()
    ada.expects("413")
    come = asyncio.Event()
    too_large: dict[str, Any] = {"status": 413, "json": {"code": "file_too_large", "status": 413}}

    async def slow(route: Route) -> None:
        await come.wait()
        await (route.fulfill(**too_large) if "refused" in change else route.continue_())

    await ada.page.route("**/api/files/upload", slow)
    await attach(ada, file("notes.txt", "The parcel leaves on Tuesday."))
    await ada.ask("What is")
    if change == "more is written":
        await ada.box.press_sequentially(" in it")
    come.set()
    if change == "more is written":
        await uploaded(ada, "notes.txt")
    else:
        await expect(ada.notice).to_contain_text("notes.txt")
    await expect(ada.page.get_by_text("Enter sends")).to_be_visible()
    await expect(ada.questions).to_have_count(0)
    assert "What is" in await ada.box.input_value()


async def test_a_file_of_the_conversation_is_opened_as_it_was_given(
    chat: Chat, model: Upstream, visit: Visit
) -> None:
    model.answers(whole("I have read it."))
    ada = await visit()
    await attach(ada, file("notes.txt", "The parcel leaves on Tuesday."))
    await uploaded(ada, "notes.txt")
    await ada.ask("What is in it?")
    await ada.reads("I have read it.")
    async with ada.page.expect_download() as coming:
        await ada.questions.last.get_by_role("button", name="notes.txt").click()
    download = await coming.value
    assert download.suggested_filename == "notes.txt"
    assert (await download.path()).read_text() == "The parcel leaves on Tuesday."
