"""OpenAI's own client for JavaScript, in node."""

import asyncio
import json
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from tests.browser.chat import Chat
from tests.clients.asked import MODEL, PIECES, TEXT, broken, held, lost, whole
from tests.clients.programs import HERE, output, program
from tests.end_to_end.processes import Json
from tests.upstream import Call, Upstream

pytestmark = pytest.mark.asyncio(loop_scope="package")

BEGUN = "".join(PIECES[:2])

SaidBy = Callable[[str], Awaitable[Json]]


@pytest_asyncio.fixture(loop_scope="package")
async def said_by(chat: Chat, beside_node_modules: Path) -> SaidBy:
    """What a script there prints."""
    shutil.copytree(HERE / "node", beside_node_modules, dirs_exist_ok=True)

    async def said(script: str) -> Json:
        printed = await output(program("node"), script, chat.url, cwd=beside_node_modules)
        shown: Json = json.loads(printed)
        return shown

    return said


def kinds(events: list[Json]) -> list[str]:
    """Deltas count once, for how many there are is nobody's promise."""
    found = [event["type"].removeprefix("response.") for event in events]
    return [
        kind
        for before, kind in zip(["", *found], found, strict=False)
        if kind != "output_text.delta" or before != kind
    ]


def numbers(events: list[Json]) -> list[int]:
    return [event["sequence_number"] for event in events]


def text_of(response: Json) -> str:
    [item] = response["output"]
    [part] = item["content"]
    text: str = part["text"]
    return text


def raised(error: Json) -> tuple[str, int, str, str | None]:
    return error["class"], error["status"], error["code"], error["param"]


OPENING = ["in_progress", "output_item.added", "content_part.added"]
CLOSING = ["output_text.done", "content_part.done", "output_item.done"]


async def test_it_is_answered_streamed_to_and_refused_as_openai_does(
    said_by: SaidBy, model: Upstream
) -> None:
    model.answers(whole, whole, whole, broken)
    said = await said_by("chat.mjs")
    usage = {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}
    completion = said["whole"]
    assert completion["choices"][0]["message"]["content"] == TEXT
    assert (completion["model"], completion["usage"]) == (MODEL, usage)
    assert completion["id"] == "chatcmpl-" + said["generation"].removeprefix("gen_")
    assert said["repeated"] == completion["id"]
    assert said["streamed"] == {"text": TEXT, "finish": "stop", "usage": usage, "error": None}
    assert said["helped"] == TEXT
    assert said["broken"]["text"] == BEGUN
    told = said["broken"]["error"]
    assert (told["class"], told["code"], told["type"]) == (
        "APIError", "upstream_truncated", "server_error",
    )  # fmt: skip
    assert MODEL in said["names"]
    assert said["model"]["id"] == MODEL
    assert len(model.calls) == 4
    assert raised(said["tooHot"]) == ("BadRequestError", 400, "invalid_request", "temperature")
    assert raised(said["unknown"]) == ("NotFoundError", 404, "model_not_found", "model")
    assert raised(said["unknownToModels"]) == ("NotFoundError", 404, "model_not_found", "model")


async def test_it_has_responses_that_go_on_from_one_another(
    said_by: SaidBy, model: Upstream
) -> None:
    model.answers(whole, whole, whole, whole, broken)
    said = await said_by("responses.mjs")
    first, second = said["first"], said["second"]
    assert (first["output_text"], first["status"], first["model"]) == (TEXT, "completed", MODEL)
    assert first["usage"]["total_tokens"] == 8
    assert said["kept"] == first
    assert second["previous_response_id"] == first["id"]
    asked = [
        [(each["role"], each["content"]) for each in call.body["messages"]] for call in model.calls
    ]
    talk = [("user", "I am Ada."), ("assistant", TEXT), ("user", "Who am I?")]
    assert asked[:2] == [
        [("system", "Be brief."), ("user", "I am Ada.")],
        [("system", "Be kind."), *talk],
    ]
    assert said["items"] == [list(each) for each in talk]
    assert said["helped"]["text"] == said["helped"]["final"]["output_text"] == TEXT
    assert (said["broken"]["status"], said["broken"]["output_text"]) == ("failed", BEGUN)
    assert len(model.calls) == 5


async def test_it_hears_all_events_of_a_response_in_order(said_by: SaidBy, model: Upstream) -> None:
    model.answers(whole)
    events = (await said_by("responses.mjs"))["streamed"]
    assert kinds(events) == ["created", *OPENING, "output_text.delta", *CLOSING, "completed"]
    assert numbers(events) == sorted(set(numbers(events)))
    assert "".join(event.get("delta", "") for event in events) == TEXT
    final = events[-1]["response"]
    assert (final["id"], final["status"]) == (events[0]["response"]["id"], "completed")
    assert text_of(final) == TEXT


async def test_it_is_refused_what_is_wrong_with_a_response(said_by: SaidBy) -> None:
    said = await said_by("responses.mjs")
    assert raised(said["tools"]) == ("BadRequestError", 400, "invalid_request", "tools")
    assert raised(said["noModel"]) == ("NotFoundError", 404, "model_not_found", "model")
    nowhere = ("NotFoundError", 404, "previous_response_not_found", "previous_response_id")
    assert raised(said["nowhere"]) == nowhere
    assert raised(said["unknown"])[:3] == ("NotFoundError", 404, "generation_not_found")


async def test_it_leaves_a_response_and_hears_exactly_the_rest_cancels_and_deletes(
    said_by: SaidBy, model: Upstream
) -> None:
    go_on = asyncio.Event()

    async def let_go_on(call: Call) -> None:
        go_on.set()
        await whole(call)

    model.answers(held(go_on), let_go_on, lost)
    said = await said_by("background.mjs")
    assert len(model.calls) == 3
    cut, taken_up, final = said["cut"], said["taken_up"], said["whole"]

    assert kinds(cut["events"]) == ["created", "queued", *OPENING, "output_text.delta"]
    assert (cut["text"], said["meanwhile"]["status"]) == (BEGUN, "in_progress")
    assert kinds(taken_up["events"]) == ["output_text.delta", *CLOSING, "completed"]
    told = numbers(cut["events"] + taken_up["events"])
    assert told == sorted(set(told))
    assert cut["text"] + taken_up["text"] == text_of(final) == said["other"] == TEXT
    last = taken_up["events"][-1]["response"]
    final.pop("output_text")  # which the client adds to what comes whole
    assert last == final
    assert said["again"] == [{"text": TEXT, "others": said["others"]}] * len(told)
    assert said["helped"]["output_text"] == TEXT

    left, cancelled = said["left"], said["cancelled"]
    assert left["text"] == BEGUN
    assert (cancelled["status"], text_of(cancelled)) == ("cancelled", BEGUN)
    assert kinds(said["heard"]["events"]) == [*CLOSING, "failed"]
    assert said["heard"]["events"][-1]["response"]["status"] == "cancelled"
    assert said["kept"]["id"] == cancelled["id"]
    assert raised(said["gone"])[:3] == ("NotFoundError", 404, "generation_not_found")
    assert raised(said["goneToo"])[:3] == ("NotFoundError", 404, "generation_not_found")
