from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from application.browse import ListSessions, ReadMessages, ReadSession
from application.open_session import OpenSession, Wishes
from application.submit_message import Submission, SubmitMessage
from domain.errors import Flaw, InvalidInput
from domain.identifiers import SessionId
from interface.asker import Asker
from interface.bodies import read_body
from interface.replies import json_reply, page_reply
from interface.request_id import request_id_of
from interface.wire.incoming import (
    CreateSessionBody,
    SendBody,
    parse_body,
    parse_key,
    parse_limit,
    parse_number_cursor,
    parse_session_cursor,
    parse_session_id,
)
from interface.wire.outgoing import (
    accepted_json,
    message_cursor,
    message_json,
    session_cursor,
    session_json,
)


@dataclass(frozen=True, slots=True)
class SessionRoutes:
    """Sessions and their messages, over HTTP."""

    who: Asker
    open_session: OpenSession
    list_sessions: ListSessions
    read_session: ReadSession
    read_messages: ReadMessages
    submit_message: SubmitMessage

    def routes(self) -> list[BaseRoute]:
        one = "/api/chat/sessions/{session_id}"
        return [
            Route("/api/chat/session", self.create, methods=["POST"]),
            Route("/api/chat/sessions", self.list),
            Route(one, self.read),
            Route(f"{one}/messages", self.messages),
            Route(f"{one}/messages", self.send, methods=["POST"]),
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
        return json_reply(session_json(await self.read_session(user, _session_id(request))))

    async def messages(self, request: Request) -> Response:
        user = await self.who(request)
        limit = parse_limit(request.query_params.get("limit"))
        after = parse_number_cursor(request.query_params.get("cursor"))
        order = request.query_params.get("order", "asc")
        if order not in ("asc", "desc"):
            raise InvalidInput(Flaw("/order", "order must be asc or desc."))
        found = await self.read_messages(
            user, _session_id(request), limit + 1, after, order == "desc"
        )
        return page_reply(found, limit, message_json, message_cursor)

    async def send(self, request: Request) -> Response:
        user = await self.who(request)
        body = parse_body(SendBody, await read_body(request))
        submission = Submission(
            body.message,
            body.model_name,
            body.persona,
            tuple(body.file_ids),
            parse_key(request.headers.get("idempotency-key")),
            request_id_of(request.scope),
        )
        accepted = await self.submit_message(user, _session_id(request), submission)
        return json_reply(accepted_json(accepted), 202)


def _session_id(request: Request) -> SessionId:
    return parse_session_id(request.path_params["session_id"])
