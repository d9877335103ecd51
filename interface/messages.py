"""Sending messages over HTTP, in three ways: accepted at once, answered whole, answered as a
stream."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from application.accepting import Accepted, Wished
from application.await_answer import Answered, AwaitAnswer
from application.browse import ReadMessages
from application.change_session import ClearHistory
from application.follow_session import FollowGeneration
from application.regenerate_answer import RegenerateAnswer
from application.submit_message import Submission, SubmitMessage
from domain.access import Caller
from domain.errors import AnswerPending, DatabaseUnavailable, Flaw, InvalidInput
from domain.generation import Failure, Generation
from domain.identifiers import UserId
from domain.position import ORIGIN
from interface.asker import Asker
from interface.bodies import read_body
from interface.problems import problem_of
from interface.replies import json_reply, page_reply, problem_reply
from interface.request_id import request_id_of
from interface.sessions import session_id_of
from interface.sse import Streams
from interface.waiting import CLIENT_LEFT, unless_left
from interface.wire.events import failure_json
from interface.wire.outgoing import accepted_json, answered_json, message_cursor, with_files_json
from interface.wire.parameters import parse_key, parse_limit, parse_number_cursor, parse_session_id
from interface.wire.request_bodies import RegenerateBody, SendAnywhereBody, SendBody, parse_body


@dataclass(frozen=True, slots=True)
class MessageRoutes:
    who: Asker
    read_messages: ReadMessages
    clear_history: ClearHistory
    submit_message: SubmitMessage
    regenerate_answer: RegenerateAnswer
    await_answer: AwaitAnswer
    follow_generation: FollowGeneration
    streams: Streams

    def routes(self) -> list[BaseRoute]:
        session = "/api/chat/sessions/{session_id}"
        return [
            Route(f"{session}/messages", self.list),
            Route(f"{session}/messages", self.send, methods=["POST"]),
            Route(f"{session}/messages", self.clear, methods=["DELETE"]),
            Route(f"{session}/regenerate", self.regenerate, methods=["POST"]),
            Route("/api/chat/message", self.send_and_wait, methods=["POST"]),
            Route("/api/chat/message/stream", _SendAndFollow(self), methods=["POST"]),
        ]

    async def list(self, request: Request) -> Response:
        user = await self.who(request)
        limit = parse_limit(request.query_params.get("limit"))
        after = parse_number_cursor(request.query_params.get("cursor"))
        order = request.query_params.get("order", "asc")
        if order not in ("asc", "desc"):
            raise InvalidInput(Flaw("/order", "order must be asc or desc."))
        found = await self.read_messages(
            user, session_id_of(request), limit + 1, after, order == "desc"
        )
        return page_reply(found, limit, with_files_json, message_cursor)

    async def clear(self, request: Request) -> Response:
        user = await self.who(request)
        await self.clear_history(user, session_id_of(request))
        return Response(status_code=204)

    async def send(self, request: Request) -> Response:
        user = await self.who(request, key=_key(request))
        body = parse_body(SendBody, await read_body(request))
        submission = _submission(request, body)
        accepted = await self.submit_message(user, session_id_of(request), submission)
        return json_reply(accepted_json(accepted), 202)

    async def regenerate(self, request: Request) -> Response:
        user = await self.who(request, key=_key(request))
        body = parse_body(RegenerateBody, await read_body(request))
        wished = Wished(body.model_name, body.persona, request_id_of(request.scope))
        key = parse_key(_key(request))
        accepted = await self.regenerate_answer(user, session_id_of(request), wished, key)
        return json_reply(accepted_json(accepted), 202)

    async def send_and_wait(self, request: Request) -> Response:
        caller = await self.who.caller(request, key=_key(request))
        async with self.streams.seats.of(caller.user):
            return await self._send_and_wait(request, caller)

    async def _send_and_wait(self, request: Request, caller: Caller) -> Response:
        accepted = await self.submit_anywhere(request, caller.user)
        awaited = self.await_answer(caller.user, accepted.generation_id)
        try:
            answered = await unless_left(request, awaited, self.streams.visit_of(caller))
        except AnswerPending as error:
            return pending_reply(request, error, accepted)
        return Response(status_code=CLIENT_LEFT) if answered is None else _answer(request, answered)

    async def submit_anywhere(self, request: Request, user: UserId) -> Accepted:
        body = parse_body(SendAnywhereBody, await read_body(request))
        given = body.session_id
        session_id = None if given is None else parse_session_id(given)
        return await self.submit_message(user, session_id, _submission(request, body))


@dataclass(frozen=True, slots=True, eq=False)
class _SendAndFollow:
    """An ASGI endpoint, as those that only follow are."""

    messages: MessageRoutes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        caller = await self.messages.who.caller(request, key=_key(request))
        async with self.messages.streams.seats.of(caller.user):
            await self._send(request, send, caller)

    async def _send(self, request: Request, send: Send, caller: Caller) -> None:
        scope, receive = request.scope, request.receive
        accepted = await self.messages.submit_anywhere(request, caller.user)
        follow = self.messages.follow_generation
        try:
            # From the origin on: each event of this generation, though it may have begun by now.
            async with follow(caller.user, accepted.generation_id, ORIGIN) as following:
                await self.messages.streams(scope, receive, send, caller, following)
        except DatabaseUnavailable:  # before the stream; but what was sent is accepted
            reply = pending_reply(request, AnswerPending(), accepted)
            await reply(scope, receive, send)


def _submission(request: Request, body: SendBody) -> Submission:
    return Submission(
        body.message,
        body.model_name,
        body.persona,
        body.files,
        parse_key(_key(request)),
        request_id_of(request.scope),
    )


def _key(request: Request) -> str | None:
    return request.headers.get("idempotency-key")


def pending_reply(request: Request, error: AnswerPending, accepted: Accepted) -> Response:
    """What was sent is accepted, but its answer can't be had now."""
    shown = problem_of(error, request.url.path, request_id_of(request.scope))
    shown["session_id"] = accepted.session_id
    shown["generation_id"] = accepted.generation_id
    return problem_reply(shown)


def _answer(request: Request, answered: Answered) -> Response:
    generation = answered.generation
    if generation.failure is None:
        return json_reply(answered_json(answered))
    return failed_reply(request, generation, generation.failure)


def failed_reply(request: Request, generation: Generation, failure: Failure) -> Response:
    shown = failure_json(failure, generation.id, request_id_of(request.scope))
    shown["instance"] = request.url.path
    shown["session_id"] = generation.session_id
    shown["generation_id"] = generation.id
    return problem_reply(shown)
