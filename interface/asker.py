"""Who is asking."""

from dataclasses import dataclass
from typing import Protocol

from starlette.requests import HTTPConnection

from application.enter import EnterOpenly
from domain.identifiers import UserId


class Asker(Protocol):
    async def __call__(self, connection: HTTPConnection, /) -> UserId:
        """The user behind a request or socket."""


@dataclass(frozen=True, slots=True)
class OpenDoor:
    """Open mode: whoever can reach the server may use it."""

    enter: EnterOpenly

    async def __call__(self, _: HTTPConnection) -> UserId:
        return await self.enter()
