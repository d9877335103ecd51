from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from application.accepting import Accepted
from application.enter import EnterByName
from application.follow_session import FollowGeneration
from application.personas import ChooseRole
from application.submit_message import Submission, SubmitMessage
from domain.access import Caller
from domain.errors import AnswerPending, DatabaseUnavailable, GenerationNotFound, SessionNotFound
from domain.message import clean_message
from interface.asker import Asker
from interface.dialects.contents import Place, TellContents
from interface.messages import pending_reply
from interface.request_id import request_id_of
from interface.sse import Streams
from interface.wire.parameters import parse_key, parse_session_id


@dataclass(frozen=True, slots=True, eq=False)
class AskAndHear:
    """An ASGI endpoint: the message in the address is sent, and its answer is told.

    A browser's EventSource asks at the same address again whenever its stream ends. So a request
    that says how far the last one came sends nothing, whatever it says: it goes on from there, or
    is refused.
    """

    who: Asker
    enter: EnterByName
    choose_role: ChooseRole
    submit_message: SubmitMessage
    follow_generation: FollowGeneration
    streams: Streams

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        query = request.query_params
        key = request.headers.get("idempotency-key") or query.get("idempotency_key")
        asker = await self.who.caller(request, key=key)
        async with self.streams.seats.of(asker.user):
            await self._hear(request, send, asker)

    async def _hear(self, request: Request, send: Send, asker: Caller) -> None:
        scope, receive = request.scope, request.receive
        said = request.headers.get("last-event-id") or request.query_params.get("last_event_id")
        accepted = None
        if said:
            caller, place = await self._returned(request, asker, said)
        else:
            submission = self._submission(request)
            if scope["method"] == "HEAD":
                await Response(media_type="text/event-stream")(scope, receive, send)
                return
            caller, accepted = await self._asked(request, asker, submission)
            place = Place(accepted.generation_id)
        try:
            # Without a cursor, so from the beginning: what the client knows of it, it says itself.
            async with self.follow_generation(caller.user, place.generation_id, None) as following:
                if place.mark is None:  # and an EventSource does not come back for more
                    await Response(status_code=204)(scope, receive, send)
                    return
                tell = TellContents(place, request_id_of(scope))
                ids = [
                    (b"x-session-id", following.session_id.encode()),
                    (b"x-generation-id", place.generation_id.encode()),
                ]
                await self.streams(scope, receive, send, caller, following, tell, ids)
        except DatabaseUnavailable:  # before the stream; but what was sent is accepted
            if accepted is None:
                raise
            reply = pending_reply(request, AnswerPending(), accepted)
            await reply(scope, receive, send)

    async def _returned(self, request: Request, asker: Caller, said: str) -> tuple[Caller, Place]:
        caller = await self.enter.known(asker, request.query_params.get("user_id"))
        place = Place.parse(said)
        if caller is None or place is None:
            raise GenerationNotFound
        return caller, place

    async def _asked(
        self, request: Request, asker: Caller, submission: Submission
    ) -> tuple[Caller, Accepted]:
        name = request.query_params.get("user_id")
        given = request.query_params.get("session_id")
        if given is None:
            caller = await self.enter(asker, name)
            return caller, await self.submit_message(caller.user, None, submission)
        known = await self.enter.known(asker, name)
        if known is None:
            raise SessionNotFound
        session_id = parse_session_id(given)
        return known, await self.submit_message(known.user, session_id, submission)

    def _submission(self, request: Request) -> Submission:
        """Looked at as a whole before a guest is made for it. Raises InvalidInput,
        PersonaNotFound."""
        query = request.query_params
        in_header = parse_key(request.headers.get("idempotency-key"))
        in_query = parse_key(query.get("idempotency_key"), "/idempotency_key")
        return Submission(
            clean_message(query.get("message", "")),
            persona=self.choose_role(query.get("role")),
            idempotency_key=in_header or in_query,
            request_id=request_id_of(request.scope),
        )
