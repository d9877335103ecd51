import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from application.spans import UNTRACED
from domain.errors import ModelFailed
from infrastructure.upstreams.model_server import ModelServer


class Reply(Protocol):
    """A server's answer, read as it comes."""

    @property
    def content_type(self) -> str:
        """Without parameters, in small letters."""

    async def read(self) -> bytes:
        """What has come since the last read, at most READ_BYTES; waits until there is something.
        Empty at the end.

        Raises ModelTruncated if the connection breaks.
        """

    def give_up(self, failure: ModelFailed) -> None:
        """A read that waits now, and each one that follows, raises this."""

    def close(self) -> None:
        """At once. Only a connection whose reply was read to the end can serve another call."""


class Client(Protocol):
    async def ask(
        self,
        server: ModelServer,
        model_name: str,
        messages: Sequence[dict[str, Any]],
        options: Mapping[str, Any],
        *,
        streams: bool,
        counts: bool,
    ) -> Reply:
        """Returns once the server begins to answer. Raises a kind of ModelFailed."""

    async def close(self) -> None: ...


@dataclass(slots=True)
class Connections:
    """The one client that all models share, made when one is called first: that takes a second.

    `allowed_hosts` (`host` or `host:port`) may be reached by users wherever they are. The
    operator's own servers are told the `traceparent` of a call, if it has one; users' are not.
    """

    connect_seconds: float
    allowed_hosts: frozenset[str]
    traceparent: Callable[[], str | None] = UNTRACED.traceparent
    _client: Client | None = field(default=None, init=False)
    _opening: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)

    async def open(self) -> Client:
        if self._client is None:
            async with self._opening:
                if self._client is None:
                    make = await asyncio.to_thread(_import_client)
                    self._client = make(self.connect_seconds, self.allowed_hosts, self.traceparent)
        return self._client

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()


class _MakeClient(Protocol):
    def __call__(
        self,
        connect_seconds: float,
        allowed_hosts: frozenset[str],
        traceparent: Callable[[], str | None],
        /,
    ) -> Client: ...


def _import_client() -> _MakeClient:
    from infrastructure.upstreams.openai_client import OpenAIClient

    return OpenAIClient
