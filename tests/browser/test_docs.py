"""The page that shows the API, in a browser that is told of all it asks for."""

import json
from typing import Any, Final

import pytest
from playwright.async_api import Route, expect

from tests.browser.chat import Chat
from tests.browser.conftest import Visit

pytestmark = pytest.mark.asyncio(loop_scope="package")

OPENAPI: Final[dict[str, Any]] = {
    "openapi": "3.1.0",
    "info": {"title": "A small API", "version": "1", "description": "With *Markdown*."},
    "servers": [{"url": "/"}],
    "paths": {
        "/api/chat/session": {
            "post": {
                "summary": "Make a session",
                "requestBody": {
                    "content": {
                        "application/json": {
                            "schema": {"$ref": "#/components/schemas/Body"},
                            "example": {"title": "Made at /docs"},
                        }
                    }
                },
                "responses": {
                    "201": {
                        "description": "Made",
                        "content": {
                            "application/json": {"schema": {"$ref": "#/components/schemas/Body"}}
                        },
                    }
                },
            }
        },
        "/api/models": {
            "get": {"summary": "All models", "responses": {"200": {"description": "They"}}}
        },
    },
    "components": {
        "schemas": {
            "Body": {
                "type": "object",
                "properties": {"title": {"type": ["string", "null"], "maxLength": 200}},
            }
        },
        "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
    },
    "security": [{"bearer": []}],
}


async def tell(route: Route) -> None:
    await route.fulfill(json=OPENAPI)


async def test_all_routes_are_shown_and_can_be_tried_and_nobody_else_is_asked(
    chat: Chat, visit: Visit
) -> None:
    ada = await visit(None)
    asked: list[str] = []
    ada.page.on("request", lambda request: asked.append(request.url))
    await ada.page.route("**/openapi.json", tell)
    await ada.page.goto(f"{chat.url}/docs")
    await expect(ada.page.get_by_role("heading", name="A small API")).to_be_visible()
    await expect(ada.page.locator(".opblock")).to_have_count(2)

    session = ada.page.locator(".opblock", has_text="Make a session")
    await session.locator(".opblock-summary-control").click()
    await ada.button("Try it out").click()
    await expect(session.locator("textarea")).to_have_value(
        json.dumps({"title": "Made at /docs"}, indent=2)
    )
    await ada.button("Execute").click()
    reply = session.locator(".live-responses-table")
    await expect(reply.locator(".response-col_status")).to_contain_text(["201"])
    await expect(reply.locator(".highlight-code").first).to_contain_text("Made at /docs")
    assert [made["title"] for made in await chat.sessions()] == ["Made at /docs"]

    assert f"{chat.url}/openapi.json" in asked
    assert all(url.startswith((f"{chat.url}/", "data:")) for url in asked), asked


async def test_a_token_is_sent_and_is_forgotten_with_the_page(chat: Chat, visit: Visit) -> None:
    ada = await visit(None)
    ada.expects("401")
    await ada.page.route("**/openapi.json", tell)
    await ada.page.goto(f"{chat.url}/docs")
    await ada.page.locator(".scheme-container .btn.authorize").click()
    await ada.page.locator(".modal-ux input").fill("sk-nobodys")
    await ada.page.locator(".modal-ux .btn.authorize").click()
    await ada.page.locator(".modal-ux .btn-done").click()

    models = ada.page.locator(".opblock", has_text="All models")
    await models.locator(".opblock-summary-control").click()
    await ada.button("Try it out").click()
    async with ada.page.expect_request("**/api/models") as asking:
        await ada.button("Execute").click()
    assert (await (await asking.value).all_headers())["authorization"] == "Bearer sk-nobodys"
    await expect(models.locator(".live-responses-table")).to_contain_text("invalid_token")

    await ada.page.reload()
    await expect(ada.page.locator(".scheme-container .btn.authorize")).to_have_class(
        "btn authorize unlocked"
    )
    assert await ada.page.evaluate("Object.keys(localStorage).length") == 0


async def test_it_leads_to_the_chat_the_documents_and_examples_of_this_server(
    chat: Chat, visit: Visit
) -> None:
    ada = await visit(None)
    await ada.page.route("**/openapi.json", tell)
    await ada.page.goto(f"{chat.url}/docs")
    links = ada.page.get_by_role("navigation").get_by_role("link")
    assert [await link.get_attribute("href") for link in await links.all()] == [
        "/",
        "#examples",
        "/openapi.json",
        "/asyncapi.json",
    ]
    examples = ada.page.get_by_role("region", name="Quick examples")
    await expect(examples).to_contain_text(f"curl -X POST {chat.url}/api/chat/message")
    await expect(examples).to_contain_text(f"{chat.url.replace('http', 'ws')}/ws")
    reply = await ada.page.goto(f"{chat.url}/asyncapi.json")
    assert reply is not None
    assert (await reply.json())["asyncapi"] == "3.0.0"
