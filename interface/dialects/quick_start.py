"""The quick-start routes: a name and a message in the address, and the answer as plain pieces."""

from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from application.browse import ReadMessages, ReadSession
from application.change_session import ClearHistory
from application.enter import EnterByName
from application.open_session import OpenSession, Wishes
from application.personas import ListRoles
from domain.access import Caller
from domain.errors import SessionNotFound
from domain.identifiers import SessionId
from interface.asker import Asker
from interface.bodies import read_body
from interface.dialects.ask_and_hear import AskAndHear
from interface.replies import json_reply
from interface.wire.answers import ClearedJson, StartedJson
from interface.wire.outgoing import history_json, roles_json
from interface.wire.parameters import parse_session_id

_MOST_MESSAGES: Final = 1_000
"""In a history: the newest. Older ones are at `/api/chat/sessions/{session_id}/messages`."""

_WELCOME: Final = "Welcome! Ask whatever you like."
_CLEARED: Final = "The history is cleared."


@dataclass(frozen=True, slots=True)
class QuickStartRoutes:
    who: Asker
    enter: EnterByName
    open_session: OpenSession
    stream: AskAndHear
    read_session: ReadSession
    read_messages: ReadMessages
    clear_history: ClearHistory
    list_roles: ListRoles

    def routes(self) -> list[BaseRoute]:
        return [
            route
            for prefix in ("", "/api")
            for route in (
                Route(f"{prefix}/chat/start", self.start, methods=["POST"]),
                Route(f"{prefix}/chat/stream", self.stream, methods=["GET"]),
                Route(f"{prefix}/chat/history", self.history),
                Route(f"{prefix}/chat/history/{{session_id}}", self.clear, methods=["DELETE"]),
                Route(f"{prefix}/roles", self.roles),
            )
        ]

    async def start(self, request: Request) -> Response:
        asker = await self.who.caller(request)
        await read_body(request)  # which may hold anything: all that is needed is in the address
        user = (await self.enter(asker, request.query_params.get("user_id"))).user
        session = (await self.open_session(user, Wishes())).session
        started: StartedJson = {"session_id": session.id, "welcome_message": _WELCOME}
        return json_reply(started)

    async def history(self, request: Request) -> Response:
        given = request.query_params.get("session_id", "")
        caller, session_id = await self._named(request, given)
        found = await self.read_messages(caller.user, session_id, _MOST_MESSAGES, None, True)
        session = await self.read_session(caller.user, session_id)
        messages = [shown.message for shown in reversed(found)]
        return json_reply(history_json(messages, session.message_count))

    async def clear(self, request: Request) -> Response:
        caller, session_id = await self._named(request, request.path_params["session_id"])
        await self.clear_history(caller.user, session_id)
        cleared: ClearedJson = {"message": _CLEARED}
        return json_reply(cleared)

    async def roles(self, request: Request) -> Response:
        user = await self.who(request)
        return json_reply(roles_json(await self.list_roles(user)))

    async def _named(self, request: Request, session_id: str) -> tuple[Caller, SessionId]:
        """Whose session a request is about. Raises SessionNotFound also for guests who were never
        here."""
        asker = await self.who.caller(request)
        caller = await self.enter.known(asker, request.query_params.get("user_id"))
        if caller is None:
            raise SessionNotFound
        return caller, parse_session_id(session_id)
