"""OpenAI's responses: each is a call, answered like any message. A response is named after the
generation that answers it, so that nothing of this dialect is kept but the notes of its call."""

from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from application.accepting import Accepted
from application.await_answer import AwaitAnswer
from application.browse import ReadGeneration, Shown
from application.change_session import DeleteSession
from application.follow_session import FollowGeneration
from application.read_call import ReadCall, ShownCall
from application.stop_generation import StopGeneration
from application.submit_call import SubmitCall
from domain.access import Caller
from domain.call import Call
from domain.errors import (
    AnswerPending,
    DatabaseUnavailable,
    Flaw,
    GenerationNotFound,
    InvalidInput,
    PreviousCallNotFound,
    SessionNotFound,
)
from domain.identifiers import GenerationId, UserId
from domain.position import ORIGIN
from interface.asker import Asker
from interface.bodies import read_body
from interface.dialects.response_body import DIALECT, ResponseBody
from interface.dialects.response_json import (
    DeletedResponseJson,
    ItemJson,
    items_json,
    items_of,
    parse_response_id,
    response_id,
    response_json,
)
from interface.dialects.response_numbers import MOST, Before, Place, place_of
from interface.dialects.response_telling import TellResponse
from interface.messages import pending_reply
from interface.replies import json_reply
from interface.request_id import request_id_of
from interface.sse import Streams
from interface.waiting import CLIENT_LEFT, unless_left
from interface.wire.parameters import parse_key, parse_limit
from interface.wire.request_bodies import parse_body

_ITEMS_AT_ONCE: Final = 20
"""OpenAI's default."""


@dataclass(frozen=True, slots=True)
class Responses:
    who: Asker
    submit_call: SubmitCall
    read_call: ReadCall
    read_generation: ReadGeneration
    await_answer: AwaitAnswer
    await_stop: AwaitAnswer
    stop_generation: StopGeneration
    delete_session: DeleteSession
    follow_generation: FollowGeneration
    streams: Streams

    def routes(self) -> list[BaseRoute]:
        one = "/v1/responses/{response_id}"
        return [
            Route("/v1/responses", _Create(self), methods=["POST"]),
            Route(one, _Retrieve(self), methods=["GET"]),
            Route(one, self.delete, methods=["DELETE"]),
            Route(f"{one}/cancel", self.cancel, methods=["POST"]),
            Route(f"{one}/input_items", self.input_items, methods=["GET"]),
        ]

    async def cancel(self, request: Request) -> Response:
        """One in the foreground too. It is awaited, but not for long: an answer whose worker is
        lost is stopped later."""
        user = await self.who(request)
        found = await self.found(request, user)
        generation = await self.stop_generation(user, found.answer.generation.id)
        if not generation.ended:
            with suppress(AnswerPending):
                await unless_left(request, self.await_stop(user, generation.id))
        return _whole(await self.found(request, user))

    async def delete(self, request: Request) -> Response:
        """Whatever it is at."""
        user = await self.who(request)
        generation = (await self.found(request, user)).answer.generation
        try:
            await self.delete_session(user, generation.session_id)
        except SessionNotFound:  # somebody else was faster
            raise GenerationNotFound from None
        deleted: DeletedResponseJson = {
            "id": response_id(generation.id),
            "object": "response",
            "deleted": True,
        }
        return json_reply(deleted)

    async def input_items(self, request: Request) -> Response:
        found = await self.found(request, await self.who(request))
        query = request.query_params
        limit = parse_limit(query.get("limit", str(_ITEMS_AT_ONCE)))
        order = query.get("order", "desc")
        if order not in ("asc", "desc"):
            raise InvalidInput(Flaw("/order", "order must be asc or desc."))
        items = items_of(found.call, found.answer.generation.id)
        if order == "desc":
            items.reverse()
        rest = _after(items, query.get("after"))
        return json_reply(items_json(rest[:limit], has_more=len(rest) > limit))

    async def found(self, request: Request, user: UserId) -> ShownCall:
        """The one that the address names. Raises GenerationNotFound."""
        generation_id = parse_response_id(request.path_params["response_id"])
        return await self.read_call(user, generation_id, DIALECT)

    async def stream(
        self,
        request: Request,
        send: Send,
        caller: Caller,
        shown: ShownCall,
        place: Place,
        headers: list[tuple[bytes, bytes]],
    ) -> None:
        """Raises GenerationNotFound and DatabaseUnavailable, before anything is sent."""
        generation, user = shown.answer.generation, caller.user
        read = partial(self.read_generation, user, generation.id)
        tell = TellResponse(shown.call, generation, place, read, request_id_of(request.scope))
        # From the origin on: only the whole text shows where the client is in it.
        async with self.follow_generation(user, generation.id, ORIGIN) as following:
            await self.streams(
                request.scope, request.receive, send, caller, following, tell, headers
            )


@dataclass(frozen=True, slots=True, eq=False)
class _Create:
    """An ASGI endpoint, since some of its answers are streams."""

    responses: Responses

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        key = request.headers.get("idempotency-key")
        caller = await self.responses.who.caller(request, key=key)
        async with self.responses.streams.seats.of(caller.user):
            await self._create(request, send, caller)

    async def _create(self, request: Request, send: Send, caller: Caller) -> None:
        doors, scope, receive = self.responses, request.scope, request.receive
        body = parse_body(ResponseBody, await read_body(request))
        key = parse_key(request.headers.get("idempotency-key"))
        call, previous = body.call, _previous(body)
        accepted = await doors.submit_call(
            caller.user, call, body.model, key, request_id_of(scope), previous
        )
        try:
            if body.stream:
                answer = await doors.read_generation(caller.user, accepted.generation_id)
                headers = [(b"x-generation-id", accepted.generation_id.encode())]
                shown = ShownCall(call, answer)
                await doors.stream(request, send, caller, shown, Before.NOTHING, headers)
                return
            reply = await self._reply(request, caller, body, call, accepted)
        except (AnswerPending, DatabaseUnavailable):  # but the call is accepted
            reply = pending_reply(request, AnswerPending(), accepted)
        reply.headers["X-Generation-Id"] = accepted.generation_id
        await reply(scope, receive, send)

    async def _reply(
        self, request: Request, caller: Caller, body: ResponseBody, call: Call, accepted: Accepted
    ) -> Response:
        doors = self.responses
        if body.background:
            shown = await doors.read_generation(caller.user, accepted.generation_id)
            return _whole(ShownCall(call, shown))
        awaited = doors.await_answer(caller.user, accepted.generation_id)
        answered = await unless_left(request, awaited, doors.streams.visit_of(caller))
        if answered is None:
            return Response(status_code=CLIENT_LEFT)
        generation = answered.generation
        return _whole(ShownCall(call, Shown(generation, generation.text, generation.end)))


def _previous(body: ResponseBody) -> GenerationId | None:
    """Raises PreviousCallNotFound."""
    if body.previous_response_id is None:
        return None
    try:
        return parse_response_id(body.previous_response_id)
    except GenerationNotFound:
        raise PreviousCallNotFound from None


@dataclass(frozen=True, slots=True, eq=False)
class _Retrieve:
    responses: Responses

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        caller = await self.responses.who.caller(request)
        place = _place(request)
        found = await self.responses.found(request, caller.user)
        if place is None:
            await _whole(found)(scope, receive, send)
        else:
            async with self.responses.streams.seats.of(caller.user):
                await self.responses.stream(request, send, caller, found, place, [])


def _whole(shown: ShownCall) -> Response:
    return json_reply(response_json(shown.call, shown.answer))


def _place(request: Request) -> Place | None:
    """Where the stream is to be taken up; None if no stream is wanted. Raises InvalidInput."""
    query = request.query_params
    after, stream = query.get("starting_after"), query.get("stream", "false")
    if stream not in ("true", "false"):
        raise InvalidInput(Flaw("/stream", "stream must be true or false."))
    place = Before.NOTHING if after is None else place_of(_number(after))
    return place if stream == "true" else None


def _number(after: str) -> int:
    """Raises InvalidInput."""
    number = int(after) if after.isascii() and after.isdigit() and len(after) < 17 else MOST + 1
    if number > MOST:
        said = "starting_after must be the sequence_number of an event."
        raise InvalidInput(Flaw("/starting_after", said))
    return number


def _after(items: list[ItemJson], item_id: str | None) -> list[ItemJson]:
    """Raises InvalidInput."""
    if item_id is None:
        return items
    for index, item in enumerate(items):
        if item["id"] == item_id:
            return items[index + 1 :]
    raise InvalidInput(Flaw("/after", "after must be the id of one of these items."))
