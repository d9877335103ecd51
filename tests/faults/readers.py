"""Who follows: each reader keeps what it was told, and comes back when it is cut off."""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import httpx
import msgspec
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage

from tests.end_to_end.processes import PATIENCE, Json, Process

ENDS: Final = ("done", "stopped", "failed")
_CUT: Final = (
    ConnectionClosed,
    InvalidHandshake,
    InvalidMessage,
    OSError,
    EOFError,
    httpx.TransportError,
    httpx.HTTPStatusError,
)
_BACK_SECONDS: Final = 0.1
"""After which a reader who was cut off comes back."""

Webs = Callable[[], Sequence[Process]]
"""Those that one may come to now."""


@dataclass(eq=False)
class Reader:
    """One who follows a session over `door`, `ws` or `sse`, and comes back at the next web process
    when it is cut off. With `dice` it also leaves by itself, now and then, and comes back over
    either door."""

    name: str
    webs: Webs
    session_id: str
    door: str
    turn: int = 0
    dice: random.Random | None = None
    cursor: str = "0-0"
    seen: list[Json] = field(default_factory=list)
    connected: asyncio.Event = field(default_factory=asyncio.Event)
    cuts: int = 0
    _heard: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def ended(self) -> set[str]:
        return {event["generation_id"] for event in self.seen if event["type"] in ENDS}

    def events_of(self, generation_id: str) -> list[Json]:
        return [event for event in self.seen if event.get("generation_id") == generation_id]

    async def hears(self, enough: Callable[["Reader"], bool]) -> None:
        """Returns once what it was told is enough."""
        while not enough(self):
            self._heard.clear()
            await self._heard.wait()

    async def read(self) -> None:
        while True:
            webs = self.webs()
            if webs:
                await self._visit(webs[self.turn % len(webs)])
            self.turn += 1
            if self.dice is not None:
                self.door = self.dice.choice(("ws", "sse"))
            await asyncio.sleep(_BACK_SECONDS)

    async def _visit(self, web: Process) -> None:
        try:
            async with asyncio.timeout(None if self.dice is None else self.dice.uniform(0.2, 2)):
                await (self._over_ws(web) if self.door == "ws" else self._over_sse(web))
        except TimeoutError:  # it leaves by itself
            return
        except _CUT:
            pass
        self.cuts += self.dice is None

    async def _over_ws(self, web: Process) -> None:
        query = f"?session_id={self.session_id}&last_event_id={self.cursor}"
        async with web.websocket(query) as socket:
            try:
                await socket.recv()
                self.connected.set()
                for _ in range(self._most()):
                    self._take(msgspec.json.decode(await socket.recv()))
            finally:  # without a word: who is cancelled while it waits for one leaves it open
                socket.transport.abort()

    async def _over_sse(self, web: Process) -> None:
        path, headers = f"/sse/{self.session_id}", {"Last-Event-ID": self.cursor}
        forever = httpx.Timeout(PATIENCE, read=None)
        async with (
            web.http() as http,
            http.stream("GET", path, headers=headers, timeout=forever) as reply,
        ):
            reply.raise_for_status()
            self.connected.set()
            event_id, left = "", self._most()
            async for line in reply.aiter_lines():
                if line.startswith("id: "):
                    event_id = line[4:]
                elif line.startswith("data: "):
                    self._take({"id": event_id, **msgspec.json.decode(line[6:])})
                    left -= 1
                    if left == 0:
                        return

    def _most(self) -> int:
        """Events until it leaves by itself."""
        return self.dice.randint(1, 12) if self.dice else 1_000_000_000

    def _take(self, event: Json) -> None:
        if event["type"] == "error":
            return  # why it is about to be cut off
        self.cursor = event["id"]
        self.seen.append(event)
        self._heard.set()
