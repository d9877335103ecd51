"""OpenAI's chat completions: each is a call, answered like any message."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from application.accepting import Accepted
from application.await_answer import AwaitAnswer
from application.follow_session import FollowGeneration
from application.submit_call import SubmitCall
from domain.access import Caller
from domain.errors import AnswerPending, DatabaseUnavailable
from domain.generation import GenerationStatus
from domain.position import ORIGIN
from interface.asker import Asker
from interface.bodies import read_body
from interface.dialects.chat_body import ChatCompletionBody
from interface.dialects.chat_telling import AnswerStopped, TellCompletion, completion_json
from interface.messages import failed_reply, pending_reply
from interface.problems import problem_of
from interface.replies import json_reply, problem_reply
from interface.request_id import request_id_of
from interface.sse import Streams
from interface.waiting import CLIENT_LEFT, unless_left
from interface.wire.parameters import parse_key
from interface.wire.request_bodies import parse_body


@dataclass(frozen=True, slots=True, eq=False)
class ChatCompletions:
    """An ASGI endpoint, since some of its answers are streams."""

    who: Asker
    submit_call: SubmitCall
    await_answer: AwaitAnswer
    follow_generation: FollowGeneration
    streams: Streams

    def routes(self) -> list[BaseRoute]:
        return [Route("/v1/chat/completions", self, methods=["POST"])]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        caller = await self.who.caller(request, key=request.headers.get("idempotency-key"))
        async with self.streams.seats.of(caller.user):
            await self._call(request, send, caller)

    async def _call(self, request: Request, send: Send, caller: Caller) -> None:
        scope, receive = request.scope, request.receive
        body = parse_body(ChatCompletionBody, await read_body(request))
        key = parse_key(request.headers.get("idempotency-key"))
        request_id = request_id_of(scope)
        accepted = await self.submit_call(caller.user, body.call, body.model, key, request_id)
        if not body.stream:
            reply = await self._whole(request, caller, accepted)
            reply.headers["X-Generation-Id"] = accepted.generation_id
            await reply(scope, receive, send)
            return
        headers = [(b"x-generation-id", accepted.generation_id.encode())]
        follow = self.follow_generation
        try:
            # From the origin on: each event of this answer, though it may have begun by now.
            async with follow(caller.user, accepted.generation_id, ORIGIN) as following:
                tell = TellCompletion(accepted.generation_id, body.counts, request_id)
                await self.streams(scope, receive, send, caller, following, tell, headers)
        except DatabaseUnavailable:  # before the stream; but the call is accepted
            reply = pending_reply(request, AnswerPending(), accepted)
            reply.headers["X-Generation-Id"] = accepted.generation_id
            await reply(scope, receive, send)

    async def _whole(self, request: Request, caller: Caller, accepted: Accepted) -> Response:
        awaited = self.await_answer(caller.user, accepted.generation_id)
        try:
            answered = await unless_left(request, awaited, self.streams.visit_of(caller))
        except AnswerPending as error:
            return pending_reply(request, error, accepted)
        if answered is None:
            return Response(status_code=CLIENT_LEFT)
        generation = answered.generation
        if generation.failure is not None:
            return failed_reply(request, generation, generation.failure)
        if generation.status is GenerationStatus.STOPPED:
            stopped = problem_of(AnswerStopped(), request.url.path, request_id_of(request.scope))
            return problem_reply(stopped)
        return json_reply(completion_json(answered))
