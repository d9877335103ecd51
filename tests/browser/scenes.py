"""Places of the page that are worth a look: by tests for barriers, and by people."""

from collections.abc import Awaitable, Callable
from typing import Final

from playwright.async_api import ViewportSize, expect

from tests.browser.chat import Chat
from tests.browser.told import refuses, whole
from tests.browser.visitor import Visitor

SIZES: Final[dict[str, ViewportSize]] = {
    "desktop": {"width": 1280, "height": 800},
    "phone": {"width": 390, "height": 844},
}
ANSWER: Final = """## Two ways

Both give the **same** result; the second is *faster*. See [the manual](https://docs.python.org/3/).

1. Count by hand, as in `total`
2. Let Python count:
   - it is shorter
   - and it is right

```python
def total(prices: list[float]) -> float:
    \"\"\"Of all that is bought.\"\"\"
    return sum(price for price in prices if price > 0)  # no gifts
```

| way | lines | seconds |
| --- | ----: | ------: |
| by hand | 12 | 0.31 |
| `sum` | 1 | 0.02 |

> What is not written can't be wrong.
"""
NOTES: Final = b"Apples 1.20\nPears 2.40\n"

Scene = Callable[[Visitor, Chat], Awaitable[None]]


async def fill(chat: Chat) -> str:
    """Sessions as somebody has after a day; returns the one that shows most."""
    for title in ("旅行计划", "A letter to the landlord", "Why is the sky blue?"):
        await chat.add_session(title)
    session_id = await chat.add_session("Sums in Python")
    async with chat.process.http() as http:
        reply = await http.post(
            "/api/files/upload",
            data={"session_id": session_id},
            files={"file": ("prices.txt", NOTES)},
        )
        file_id = reply.json()["id"]
        chat.model.answers(whole(ANSWER), refuses)
        for question, files in (("How do I sum up these prices?", [file_id]), ("And in Rust?", [])):
            await http.post(
                "/api/chat/message",
                json={"session_id": session_id, "message": question, "file_ids": files},
            )
    return session_id


async def empty(ada: Visitor, chat: Chat) -> None:
    await expect(ada.box).to_be_editable()


async def conversation(ada: Visitor, chat: Chat) -> None:
    [session_id] = [
        each["session_id"] for each in await chat.sessions() if each["title"] == "Sums in Python"
    ]
    await ada.page.goto(f"{chat.url}/#/{session_id}")
    await expect(ada.answer).to_have_attribute("data-state", "failed")
    await expect(ada.answers.first.locator("figure.code code")).to_be_visible()


async def drawer(ada: Visitor, chat: Chat) -> None:
    await expect(ada.box).to_be_editable()
    show = ada.button("Show conversations")
    if await show.is_visible():
        await show.click()
    await expect(ada.links.first).to_be_in_viewport()


async def settings(ada: Visitor, chat: Chat) -> None:
    await drawer(ada, chat)
    await ada.open_settings()


async def sign_in(ada: Visitor, chat: Chat) -> None:
    await expect(ada.page.get_by_role("heading", name="Sign in")).to_be_visible()


SCENES: Final[dict[str, Scene]] = {
    "empty": empty,
    "conversation": conversation,
    "drawer": drawer,
    "settings": settings,
}
