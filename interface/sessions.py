from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from application.browse import ListSessions, ReadSession
from application.change_session import ChangeSession, DeleteSession
from application.open_session import OpenSession, Wishes
from domain.identifiers import SessionId
from interface.asker import Asker
from interface.bodies import read_body
from interface.replies import json_reply, page_reply
from interface.wire.outgoing import session_cursor, session_json
from interface.wire.parameters import parse_limit, parse_session_cursor, parse_session_id
from interface.wire.request_bodies import ChangeSessionBody, CreateSessionBody, parse_body


@dataclass(frozen=True, slots=True)
class SessionRoutes:
    who: Asker
    open_session: OpenSession
    list_sessions: ListSessions
    read_session: ReadSession
    change_session: ChangeSession
    delete_session: DeleteSession

    def routes(self) -> list[BaseRoute]:
        one = "/api/chat/sessions/{session_id}"
        return [
            Route("/api/chat/session", self.create, methods=["POST"]),
            Route("/api/chat/sessions", self.list),
            Route(one, self.read),
            Route(one, self.change, methods=["PATCH"]),
            Route(one, self.delete, methods=["DELETE"]),
        ]

    async def create(self, request: Request) -> Response:
        user = await self.who(request)
        body = parse_body(CreateSessionBody, await read_body(request))
        wishes = Wishes(
            SessionId(body.session_id) if body.session_id else None,
            body.title,
            body.model_name,
            body.persona,
            body.system_prompt,
        )
        opened = await self.open_session(user, wishes)
        return json_reply(session_json(opened.session), 201 if opened.created else 200)

    async def list(self, request: Request) -> Response:
        user = await self.who(request)
        limit = parse_limit(request.query_params.get("limit"))
        after = parse_session_cursor(request.query_params.get("cursor"))
        found = await self.list_sessions(user, limit + 1, after)
        return page_reply(found, limit, session_json, session_cursor)

    async def read(self, request: Request) -> Response:
        user = await self.who(request)
        return json_reply(session_json(await self.read_session(user, session_id_of(request))))

    async def change(self, request: Request) -> Response:
        user = await self.who(request)
        changes = parse_body(ChangeSessionBody, await read_body(request)).changes
        session = await self.change_session(user, session_id_of(request), changes)
        return json_reply(session_json(session))

    async def delete(self, request: Request) -> Response:
        user = await self.who(request)
        await self.delete_session(user, session_id_of(request))
        return Response(status_code=204)


def session_id_of(request: Request) -> SessionId:
    return parse_session_id(request.path_params["session_id"])
