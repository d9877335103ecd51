"""A page of another origin, in whose browser the server's user is."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.browser.chat import Chat, reached
from tests.browser.chat import server as started
from tests.browser.conftest import Visit
from tests.browser.visitor import CUT
from tests.end_to_end.processes import PATIENCE
from tests.readme import blocks_of
from tests.upstream import Call

pytestmark = pytest.mark.asyncio(loop_scope="package")

PAGE = b"<!doctype html><title>A page</title><link rel=icon href=data:,><a>There</a>"

# What needs nobody's leave: the browser sends it and keeps the answer from the page.
SEND = """async (url) => {
  const body = JSON.stringify({message: "Hello from elsewhere"});
  const sent = {mode: "no-cors", method: "POST", body, credentials: "include"};
  await fetch(`${url}/api/chat/message`, sent);
  await fetch(`${url}/api/chat/session`, {...sent, headers: {"Content-Type": "text/plain"}});
  navigator.sendBeacon(`${url}/api/chat/session`, body);
  await new Promise((loaded) => {
    const [frame, form] = ["iframe", "form"].map((name) => document.createElement(name));
    frame.name = "to";
    Object.assign(form, {action: `${url}/api/chat/session`, method: "post", target: "to"});
    document.body.append(frame, form);
    frame.onload = loaded; // not of the empty page before
    form.submit();
  });
}"""
HEAR = """(url) => new Promise((told) => {
  const socket = new WebSocket(url.replace("http", "ws") + "/ws");
  socket.onmessage = () => told("heard");
  socket.onerror = () => told("refused");
})"""
READ = """(url) => fetch(`${url}/api/chat/sessions`).then(() => "read", () => "refused")"""

USE = """async (url) => {
  const headers = {"Content-Type": "application/json", "X-Request-ID": "request-42"};
  const post = (path, said) =>
    fetch(url + path, {method: "POST", headers, body: JSON.stringify(said)});
  const reply = await post("/api/chat/session", {title: "Mine"});
  const {session_id} = await reply.json();
  const stream = new EventSource(`${url}/sse/${session_id}`);
  const answer = new Promise((told, failed) => {
    let text = "";
    stream.onerror = () => failed(new Error("the stream is refused"));
    stream.onmessage = ({data}) => {
      const event = JSON.parse(data);
      if (event.type === "chunk") text += event.chunk;
      if (event.is_last) { stream.close(); told(text); }
    };
  });
  await new Promise((opened) => stream.onopen = opened);
  await post(`/api/chat/sessions/${session_id}/messages`, {message: "Hi", model_name: "simulated"});
  const none = await fetch(`${url}/api/chat/sessions/none`);
  return [reply.headers.get("X-Request-ID"), await answer, (await none.json()).code];
}"""


@asynccontextmanager
async def page_of(host: str) -> AsyncIterator[str]:
    """The origin of a site that has one page."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {len(PAGE)}\r\n"
        writer.write(head.encode() + b"Connection: close\r\n\r\n" + PAGE)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        yield f"http://{host}:{listening.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_page_of_another_origin_sends_nothing_and_hears_nothing(
    chat: Chat, visit: Visit, host: str
) -> None:
    async with page_of(host) as origin:
        ada = await visit(None)
        ada.expects("403", "blocked by CORS policy", "frame-ancestors", *CUT)
        await ada.page.goto(origin)
        await ada.page.evaluate(SEND, chat.url)
        assert await ada.page.evaluate(HEAR, chat.url) == "refused"
        assert await ada.page.evaluate(READ, chat.url) == "refused"
        assert await chat.sessions() == []


async def test_a_link_of_another_origin_leads_to_the_page_and_to_nothing_behind_it(
    chat: Chat, visit: Visit
) -> None:
    async with page_of("localhost") as origin:
        ada = await visit(None)
        ada.expects("403", "favicon")  # which browsers ask for beside what is no page
        for path in ("/api/chat/sessions", "/"):
            await ada.page.goto(origin)
            await ada.page.evaluate(
                "(url) => document.querySelector('a').href = url", chat.url + path
            )
            async with ada.page.expect_navigation() as navigation:
                await ada.page.get_by_text("There").click()
            reply = await navigation.value
            assert reply is not None
            assert reply.status == (200 if path == "/" else 403)
        await ada.ask("Hello")
        await expect(ada.questions).to_contain_text(["Hello"])


async def test_an_allowed_page_uses_the_server_as_its_own(visit: Visit, tmp_path: Path) -> None:
    async with (
        page_of("localhost") as origin,
        started(tmp_path, ALLOWED_ORIGINS=f"https://app.example.com, {origin}") as own,
        reached(own) as there,
    ):
        ada = await visit(None)
        ada.expects("404")
        await ada.page.goto(origin)
        said = await ada.page.evaluate(USE, there.url)
        assert said == [
            "request-42",
            "".join(f"chunk {n}: Hi" for n in range(1, 6)),
            "session_not_found",
        ]
        assert await ada.page.evaluate(HEAR, there.url) == "heard"
        assert {session["title"] for session in await there.sessions()} > {"Mine"}


async def test_what_readme_says_of_such_a_page_runs_in_one(visit: Visit, tmp_path: Path) -> None:
    start, script = blocks_of("Use it from a page of your own")
    assert (start.language, script.language) == ("sh", "js")
    go_on = asyncio.Event()

    async def answer(call: Call) -> None:
        """Not before somebody listens, who could miss all of it otherwise."""
        await call.begin()
        await call.chunk("So ")
        await go_on.wait()
        await call.chunk("it is.")
        await call.finish()
        await call.done()

    async with (
        page_of("localhost") as origin,
        started(tmp_path, ALLOWED_ORIGINS=origin) as own,
        reached(own) as there,
    ):
        there.model.answers(answer)
        ada = await visit(None)
        await ada.page.goto(origin)
        logged: asyncio.Queue[str] = asyncio.Queue()
        ada.page.on("console", lambda said: logged.put_nowait(said.text))
        at = script.at(there.url).replace("ws://127.0.0.1:8080", there.url.replace("http", "ws"))
        connected = "await new Promise((opened) => ws.onopen = opened);"
        await ada.page.evaluate(f"async () => {{ {at}\n{connected} }}")
        text, event = "", {"type": "none"}
        async with asyncio.timeout(PATIENCE):
            while event["type"] != "done":
                event = json.loads(await logged.get())
                go_on.set()
                text += event.get("text", "") or event.get("chunk", "")
        await ada.page.goto("about:blank")  # which leaves before the server does
    assert text == "So it is."
