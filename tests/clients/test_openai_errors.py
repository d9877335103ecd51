"""What OpenAI's client raises, and what it asks again."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
import pytest_asyncio
from openai import AsyncOpenAI

from tests.browser.chat import Chat, Server, reached
from tests.clients.asked import (
    HELLO,
    MODEL,
    PIECES,
    TEXT,
    broken,
    held,
    read,
    sdk,
    started,
    stream_of,
    text_of,
    whole,
)
from tests.upstream import Call, Upstream

pytestmark = pytest.mark.asyncio(loop_scope="package")


async def raised(client: AsyncOpenAI, kind: type[openai.APIError], **asked: Any) -> Any:
    """What a chat raises, which is just of this kind."""
    with pytest.raises(kind) as caught:
        await client.chat.completions.create(**{"model": MODEL, "messages": HELLO, **asked})
    assert type(caught.value) is kind
    return caught.value


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"temperature": 3}, "temperature"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "nobody", "content": "Hello"}]}, "messages[0].role"),
        ({"n": 2}, "n"),
        ({"tools": [{"type": "function", "function": {"name": "add"}}]}, "tools"),
        ({"extra_body": {"no_such_thing": 1}}, "no_such_thing"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.parametrize("streams", [False, True])
async def test_what_can_not_be_done_is_a_bad_request_that_names_the_parameter(
    client: AsyncOpenAI, model: Upstream, asked: dict[str, Any], param: str, streams: bool
) -> None:
    error = await raised(client, openai.BadRequestError, stream=streams, **asked)
    assert (error.status_code, error.code, error.param) == (400, "invalid_request", param)
    assert error.type == "invalid_request_error"
    assert param in error.body["message"]
    assert error.request_id
    assert model.calls == []


@pytest.mark.parametrize("streams", [False, True])
async def test_an_unknown_model_is_not_found(client: AsyncOpenAI, streams: bool) -> None:
    error = await raised(client, openai.NotFoundError, model="nobody", stream=streams)
    assert (error.code, error.param) == ("model_not_found", "model")
    with pytest.raises(openai.NotFoundError) as caught:
        await client.models.retrieve("nobody")
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")


async def test_what_this_server_can_not_do_is_refused_in_plain_words(client: AsyncOpenAI) -> None:
    tools = [{"type": "function", "function": {"name": "add"}}]
    error = await raised(client, openai.BadRequestError, tools=tools)
    assert error.body["message"] == "tools: this server can not do this; leave it out"


async def test_a_door_that_is_not_there_is_not_found(client: AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        await client.embeddings.create(model=MODEL, input="Hello")
    assert caught.value.code == "not_found"


async def test_another_call_under_the_same_key_is_refused(client: AsyncOpenAI) -> None:
    under = {"extra_headers": {"Idempotency-Key": "the-same"}}
    await client.chat.completions.create(model=MODEL, messages=HELLO, **under)  # type: ignore[call-overload]
    other = [{"role": "user", "content": "Something else"}]
    error = await raised(client, openai.UnprocessableEntityError, messages=other, **under)
    assert (error.code, error.type) == ("idempotency_conflict", "invalid_request_error")


async def test_a_model_that_refuses_is_told_once_and_not_asked_again(
    client: AsyncOpenAI, model: Upstream
) -> None:
    async def refuse(call: Call) -> None:
        await call.reply(400, {"error": {"message": "a secret of the model's server"}})

    model.answers(refuse)
    error = await raised(client, openai.InternalServerError)
    assert (error.status_code, error.code) == (502, "upstream_request_refused")
    assert error.type == "server_error"
    assert "secret" not in str(error)
    assert len(model.calls) == 1


async def test_a_model_that_breaks_off_is_an_error_and_not_asked_again(
    client: AsyncOpenAI, model: Upstream
) -> None:
    model.answers(broken)
    error = await raised(client, openai.InternalServerError)
    assert (error.status_code, error.code) == (502, "upstream_truncated")
    assert len(model.calls) == 1


async def test_a_model_that_breaks_off_is_an_error_within_the_stream(
    client: AsyncOpenAI, model: Upstream
) -> None:
    model.answers(broken)
    stream = await client.chat.completions.create(model=MODEL, messages=HELLO, stream=True)
    assert await read(stream, len("".join(PIECES[:2]))) == "".join(PIECES[:2])
    with pytest.raises(openai.APIError) as caught:
        await read(stream, 10_000)
    assert type(caught.value) is openai.APIError
    assert (caught.value.code, caught.value.type) == ("upstream_truncated", "server_error")
    assert caught.value.message
    assert len(model.calls) == 1


async def test_a_stream_that_somebody_stops_ends_with_an_error(
    chat: Chat, client: AsyncOpenAI, model: Upstream
) -> None:
    """Else it would look like a whole answer."""
    model.answers(held(asyncio.Event()))
    reply = await stream_of(client)
    stream = reply.parse()
    await read(stream, 1)
    generation_id = reply.headers["X-Generation-Id"]
    await chat.call("POST", f"/api/chat/generations/{generation_id}/cancel")
    with pytest.raises(openai.APIError) as caught:
        await read(stream, 10_000)
    assert caught.value.code == "answer_stopped"


@pytest.mark.own_process(SYNC_TIMEOUT="0.5")
async def test_an_answer_that_takes_too_long_is_not_asked_for_again_but_goes_on(
    client: AsyncOpenAI, model: Upstream
) -> None:
    go_on = asyncio.Event()
    model.answers(held(go_on), whole)
    under: Any = {"extra_headers": {"Idempotency-Key": "long"}}
    error = await raised(client, openai.InternalServerError, **under)
    assert (error.status_code, error.code) == (504, "answer_pending")
    assert error.response.request.headers["x-stainless-retry-count"] == "0"
    generation_id = error.response.headers["X-Generation-Id"]
    assert generation_id.startswith("gen_")
    go_on.set()
    reply = await stream_of(client, **under)  # under its key it is taken up, and now as a stream
    assert reply.headers["X-Generation-Id"] == generation_id
    assert text_of([chunk async for chunk in reply.parse()]) == TEXT
    assert len(model.calls) == 1


@pytest_asyncio.fixture(scope="module", loop_scope="package")
async def locked(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    async with started(tmp_path_factory.mktemp("locked"), AUTH_MODE="required") as made:
        yield made


@pytest.mark.parametrize("key", ["unused", "sk-nobodys", "sk-" + "a" * 43])
async def test_where_people_sign_in_a_key_must_be_one(locked: Server, key: str) -> None:
    async with reached(locked) as chat, sdk(chat.url, key) as client:
        for streams in (False, True):
            error = await raised(client, openai.AuthenticationError, stream=streams)
            assert (error.status_code, error.code) == (401, "invalid_api_key")
            assert key not in str(error)
        with pytest.raises(openai.AuthenticationError):
            await client.models.list()
    assert locked.model.calls == []


async def test_an_api_token_is_a_key_until_it_is_deleted(locked: Server) -> None:
    async with reached(locked) as chat:
        who = {"username": "ada", "password": "correct horse"}
        token = (await chat.call("POST", "/api/auth/register", json=who))["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        made = await chat.call(
            "POST", "/api/user/tokens", json={"name": "my script"}, headers=headers
        )
        async with sdk(chat.url, made["token"]) as client:
            reply = await stream_of(client)
            assert text_of([chunk async for chunk in reply.parse()]) == "Hello"
            await chat.call("DELETE", f"/api/user/tokens/{made['id']}", headers=headers)
            assert (await raised(client, openai.AuthenticationError)).code == "invalid_api_key"
