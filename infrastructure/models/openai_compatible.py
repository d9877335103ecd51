"""Any server that speaks OpenAI's chat completions."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import stamina

from application.ports import Piece
from domain.errors import ModelFailed, ModelRateLimited, ModelTimedOut, ModelUnreachable
from domain.prompt import FunctionCall, Prompt, PromptMessage
from infrastructure.models.answer_reader import AnswerReader
from infrastructure.upstreams.breaker import Breaker
from infrastructure.upstreams.connections import Client, Connections, Reply
from infrastructure.upstreams.limits import Limits
from infrastructure.upstreams.model_server import ModelServer
from infrastructure.upstreams.refusals import CountingRefused

# By default it would write warnings that name no cause, and load whatever it could write them with.
stamina.instrumentation.set_on_retry_hooks(())

_CALLS: Final = 3
"""How often a server may be called for one answer: until its first piece, never after."""

_LONGEST_WAIT: Final = 20.0
"""Seconds between two calls. A server that asks for more is not called again."""


@dataclass(frozen=True, slots=True)
class OpenAICompatibleModel:
    """A model of a server. One that does not stream gives its answer in one piece."""

    server: ModelServer
    model_name: str
    streams: bool
    connections: Connections
    breaker: Breaker
    limits: Limits

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Piece, None]:
        end = _now() + self.limits.total
        try:
            async with asyncio.timeout_at(end):
                reader, pieces = await self._begin(prompt, end)
        except TimeoutError:
            raise ModelTimedOut("The model's answer took too long.") from None
        with closing(reader):
            while pieces:
                for piece in pieces:
                    yield piece
                pieces = await reader.next()

    async def _begin(self, prompt: Prompt, end: float) -> tuple[AnswerReader, Sequence[Piece]]:
        """The first call that gives a piece."""
        async for attempt in stamina.retry_context(
            on=_again, attempts=_CALLS, timeout=None, wait_initial=0.5, wait_max=4, wait_jitter=0.5
        ):
            with attempt, self.breaker.call():
                return await self._call(prompt, end)
        raise AssertionError("the last attempt returns or raises")

    async def _call(self, prompt: Prompt, end: float) -> tuple[AnswerReader, Sequence[Piece]]:
        client = await self.connections.open()
        patience = self.limits.first_event if self.streams else self.limits.total
        begin_by = min(_now() + patience, end)
        try:
            async with asyncio.timeout_at(begin_by):
                reply = await self._ask(client, prompt)
        except TimeoutError:
            raise ModelTimedOut("The model's server did not begin to answer in time.") from None
        reader = AnswerReader(reply, self.limits, begin_by, end)
        try:
            return reader, await reader.next()
        except BaseException:
            reader.close()
            raise

    async def _ask(self, client: Client, prompt: Prompt) -> Reply:
        messages = [_message(message) for message in prompt.messages]
        ask = partial(
            client.ask,
            self.server,
            self.model_name,
            messages,
            prompt.options.given,
            streams=self.streams,
        )
        try:
            return await ask(counts=True)
        except CountingRefused:
            return await ask(counts=False)


def _again(error: Exception) -> bool | float:
    """Whether to call once more, or after how many seconds."""
    if isinstance(error, ModelRateLimited) and error.retry_after is not None:
        return error.retry_after if error.retry_after <= _LONGEST_WAIT else False
    failed_by_itself = type(error) is ModelFailed
    return failed_by_itself or isinstance(error, ModelRateLimited | ModelUnreachable)


def _message(message: PromptMessage) -> dict[str, Any]:
    said: dict[str, Any] = {"role": message.role.value, "content": message.content}
    if message.name is not None:
        said["name"] = message.name
    if message.tool_call_id is not None:
        said["tool_call_id"] = message.tool_call_id
    if message.tool_calls:
        said["tool_calls"] = [
            {"id": call.id, "type": "function", "function": _function(call.function)}
            for call in message.tool_calls
        ]
    if message.function_call is not None:
        said["function_call"] = _function(message.function_call)
    if message.calls_only:
        said["content"] = None
    return said


def _function(call: FunctionCall) -> dict[str, str]:
    return {"name": call.name, "arguments": call.arguments}


def _now() -> float:
    return asyncio.get_running_loop().time()
