"""Asking a server in OpenAI's dialect: the `openai` client over aiohttp.

It takes a second to import, so nothing imports it before a model is called. The transport is our
own and short, for three reasons: the client's usual one costs most of the time of a piece
(docs/benchmarks.md), every connection must pass the guard of `addresses.py`, and nothing of this
process's environment or of other calls (proxies, cookies, extra headers, redirects) may touch a
call that carries a user's key.
"""

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Final, cast

from aiohttp import (
    ClientConnectionError,
    ClientConnectorError,
    ClientError,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    InvalidUrlClientError,
)
from httpx2 import AsyncBaseTransport, AsyncByteStream, AsyncClient, InvalidURL, Request, Response
from openai import APIStatusError, AsyncOpenAI, Omit, omit
from openai.types.chat import ChatCompletionMessageParam
from yarl import URL

from domain.errors import (
    ModelAddressRefused,
    ModelFailed,
    ModelMalformed,
    ModelRequestRefused,
    ModelTimedOut,
    ModelTruncated,
    ModelUnreachable,
)
from infrastructure.upstreams.addresses import AddressRefused
from infrastructure.upstreams.limits import READ_BYTES
from infrastructure.upstreams.model_server import ModelServer
from infrastructure.upstreams.pool import open_pool
from infrastructure.upstreams.refusals import refusal

_MOST_OF_AN_ERROR: Final = 64 * 1024
_MOST_CLIENTS: Final = 100
_REPLY: Final = "llm_chat.reply"
_TRACEPARENT: Final = "traceparent"
_PASSED_ON: Final = ("Authorization", _TRACEPARENT)
"""Of the headers that the client would send."""


class AiohttpReply:
    """A server's answer with a good status, as it comes over its connection. To be closed."""

    __slots__ = ("_connection_closed", "_response")

    def __init__(self, response: ClientResponse) -> None:
        self._response = response
        self._connection_closed = _connection_closed(response)
        if self._connection_closed is not None:
            self._connection_closed.add_done_callback(self._end)

    @property
    def content_type(self) -> str:
        return self._response.content_type

    async def read(self) -> bytes:
        content = self._response.content
        try:
            return await content.read(READ_BYTES)
        except (ClientError, OSError, RuntimeError):  # RuntimeError: after what is no HTTP
            # What came just before the break; by itself it would not be given any more.
            rest = content._read_nowait(-1)
        if not rest:
            raise _broke()
        return rest

    def give_up(self, failure: ModelFailed) -> None:
        self._response.content.set_exception(failure)

    def close(self) -> None:
        if self._connection_closed is not None:
            self._connection_closed.remove_done_callback(self._end)
        # The pool has it back already if it was read to its end.
        self._response.close()

    def _end(self, closed: "asyncio.Future[None]") -> None:
        """If it was for what is no HTTP, aiohttp tells a reader nothing of it."""
        if not closed.cancelled():
            closed.exception()  # is looked at, so nobody complains that it was not
        content = self._response.content
        if not content.is_eof() and content.exception() is None:
            content.set_exception(ClientConnectionError())


def _connection_closed(response: ClientResponse) -> "asyncio.Future[None] | None":
    """None if the pool has the connection back, or it is closed already."""
    connection = response.connection
    if connection is None or connection.protocol is None:
        return None
    return connection.protocol.closed


class OpenAIClient:
    """All connections to models' servers: those that the operator named, and those of users."""

    def __init__(
        self,
        connect_seconds: float,
        allowed_hosts: frozenset[str],
        traceparent: Callable[[], str | None],
    ) -> None:
        """`allowed_hosts`: `host` or `host:port`, which users may reach wherever they are.
        `traceparent`: of a call to one of the operator's own servers."""
        self._traceparent = traceparent
        anywhere, outside = open_pool(guarded=False), open_pool(guarded=True)
        self._sessions = (anywhere, outside)
        timeout = ClientTimeout(total=None, connect=connect_seconds)
        trusted = _Transport(timeout, anywhere)
        guarded = _Transport(timeout, anywhere, outside, allowed_hosts)
        self._trusted = AsyncClient(transport=trusted, trust_env=False)
        self._guarded = AsyncClient(transport=guarded, trust_env=False)
        self._client = functools.lru_cache(_MOST_CLIENTS)(self._make_client)

    async def close(self) -> None:
        for session in self._sessions:
            await session.close()

    def _make_client(self, base_url: str, trusted: bool) -> AsyncOpenAI:
        return AsyncOpenAI(
            api_key="is given with each call",
            base_url=base_url,
            http_client=self._trusted if trusted else self._guarded,
            max_retries=0,
        )

    async def ask(
        self,
        server: ModelServer,
        model_name: str,
        messages: Sequence[dict[str, Any]],
        options: Mapping[str, Any],
        *,
        streams: bool,
        counts: bool,
    ) -> AiohttpReply:
        try:
            response = await self._answer(server, model_name, messages, options, streams, counts)
        except APIStatusError as error:
            response = error.response
        except (InvalidURL, ValueError):
            response = None
        # Out of the handlers: the client's errors hold the whole request, and in it the key.
        if response is None:
            raise ModelRequestRefused(
                "The model's server can't be asked: its address or the key is not valid."
            )
        reply = response.extensions[_REPLY]
        assert isinstance(reply, ClientResponse)
        if not response.is_success:
            raise refusal(reply.status, response.content, reply.headers.get("Retry-After"))
        return AiohttpReply(reply)

    async def _answer(
        self,
        server: ModelServer,
        model_name: str,
        messages: Sequence[dict[str, Any]],
        options: Mapping[str, Any],
        streams: bool,
        counts: bool,
    ) -> Response:
        client = self._client(server.base_url, server.trusted)
        headers: dict[str, str | Omit] = {
            "Authorization": f"Bearer {server.key.reveal()}" if server.key else Omit()
        }
        traceparent = self._traceparent() if server.user is None else None
        if traceparent is not None:
            headers[_TRACEPARENT] = traceparent
        answer = await client.chat.completions.with_streaming_response.create(
            model=model_name,
            messages=cast("list[ChatCompletionMessageParam]", messages),
            stream=streams,
            stream_options={"include_usage": True} if streams and counts else omit,
            extra_headers=headers,
            extra_body=dict(options) or None,
        ).__aenter__()
        return answer.http_response


class _Transport(AsyncBaseTransport):
    """Sends a request over the pool that fits its address."""

    def __init__(
        self,
        timeout: ClientTimeout,
        anywhere: ClientSession,
        outside: ClientSession | None = None,
        allowed_hosts: frozenset[str] = frozenset(),
    ) -> None:
        self._timeout = timeout
        self._anywhere = anywhere
        self._outside = outside or anywhere
        self._allowed_hosts = allowed_hosts

    async def handle_async_request(self, request: Request) -> Response:
        url = URL(str(request.url), encoded=True)
        host = str(url.host).rstrip(".")
        named = {host, f"{host}:{url.port}"}
        session = self._anywhere if named & self._allowed_hosts else self._outside
        given = ((name, request.headers.get(name)) for name in _PASSED_ON)
        try:
            response = await session.request(
                request.method,
                url,
                data=request.content,
                headers={name: value for name, value in given if value is not None},
                allow_redirects=False,
                timeout=self._timeout,
            )
        except (ClientError, TimeoutError, OSError) as error:
            failure = _unanswered(error)
        else:
            return self._answered(response)
        # Out of the handler: what aiohttp says may repeat what the server said.
        raise failure

    @staticmethod
    def _answered(response: ClientResponse) -> Response:
        encoding = response.headers.get("Content-Encoding", "identity").lower()
        if 200 <= response.status < 300 and encoding != "identity":
            response.close()
            raise ModelMalformed("The model's server packs its answer, which it was not asked for.")
        # Without its headers: the client would obey them, and unpack what says that it is packed.
        return Response(
            response.status,
            stream=_ErrorBody(response),
            extensions={_REPLY: response},
        )


def _broke() -> ModelTruncated:
    return ModelTruncated("The connection to the model's server broke.")


def _unanswered(error: Exception) -> ModelFailed:
    """There is no reply: why."""
    if isinstance(error, TimeoutError):
        return ModelTimedOut("No connection to the model's server could be made in time.")
    inside = isinstance(error, ClientConnectorError) and isinstance(error.os_error, AddressRefused)
    if inside or isinstance(
        error, InvalidUrlClientError
    ):  # such as one way too many to write 127.0.0.1
        return ModelAddressRefused("The model's server is at an address that may not be reached.")
    if isinstance(error, ClientConnectionError):
        return ModelUnreachable("The model's server can't be reached.")
    return ModelMalformed("What the model's server sent is no HTTP.")


class _ErrorBody(AsyncByteStream):
    """What the client itself reads: the begin of an error's body."""

    def __init__(self, response: ClientResponse) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = _MOST_OF_AN_ERROR
        try:
            while left > 0 and (part := await self._response.content.read(left)):
                left -= len(part)
                yield part
        except (ClientError, OSError):
            return  # what came of it may be enough

    async def aclose(self) -> None:
        self._response.close()
