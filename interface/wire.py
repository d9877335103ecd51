"""JSON as clients see it: the only place of field names."""

import base64
import json
import re
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from application.browse import Progress
from application.events import (
    Chunk,
    Done,
    Entry,
    Failed,
    Opening,
    Reasoning,
    Reset,
    Snapshot,
    Start,
    Stopped,
    StreamEvent,
    Terminal,
)
from application.submit_message import Accepted
from domain.chat_session import ChatSession
from domain.errors import Flaw, GenerationNotFound, InvalidInput, SessionNotFound
from domain.generation import Failure, GenerationStatus
from domain.identifiers import GenerationId, SessionId, is_id
from domain.message import Message, Usage
from domain.position import Position
from domain.repositories import SessionPage
from interface.problems import problem

Json = dict[str, Any]

MAX_LIMIT: Final = 100
DEFAULT_LIMIT: Final = 50

encode: Final[Callable[[object], bytes]] = msgspec.json.Encoder().encode


# In


def _without_nul(text: str) -> str:
    if "\x00" in text:
        raise ValueError("must not contain a NUL character")
    return text


def _session_id(text: str) -> str:
    if not is_id(text):
        raise ValueError("must be 1 to 50 letters, digits, dots, colons, dashes and underscores")
    return text


Text = Annotated[str, AfterValidator(_without_nul)]
Name = Annotated[Text, Field(min_length=1, max_length=100)]
_KEY: Final = r"[\x21-\x7e]{1,64}"
Key = Annotated[str, Field(pattern=f"^{_KEY}$")]


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class CreateSessionBody(Body):
    session_id: Annotated[str, AfterValidator(_session_id)] | None = None
    title: Annotated[Text, Field(min_length=1, max_length=200)] | None = None
    model_name: Name | None = None
    persona: Name | None = None
    system_prompt: Annotated[Text, Field(max_length=32_000)] | None = None


class SendBody(Body):
    message: str
    model_name: Name | None = None
    persona: Name | None = None
    file_ids: Annotated[list[int], Field(max_length=20)] = []


class SendFrame(SendBody):
    type: Literal["send"]
    client_message_id: Key | None = None
    session_id: str | None = None


class ResumeFrame(Body):
    type: Literal["resume"]
    last_event_id: str
    session_id: str | None = None


class FollowFrame(Body):
    type: Literal["follow"]
    session_id: str
    last_event_id: str | None = None


class UnfollowFrame(Body):
    type: Literal["unfollow"]
    session_id: str


class PingFrame(Body):
    type: Literal["ping"]


Frame = SendFrame | ResumeFrame | FollowFrame | UnfollowFrame | PingFrame
_frames: Final[TypeAdapter[Frame]] = TypeAdapter(
    Annotated[Frame, Field(discriminator="type")],
)


def parse_frame(text: str) -> Frame:
    """A WebSocket text frame: a JSON object with `type` is a command, all else is a message.

    Raises InvalidInput.
    """
    try:
        said = json.loads(text) if text.lstrip()[:1] == "{" else None
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict) or "type" not in said:
        return SendFrame(type="send", message=text)
    try:
        return _frames.validate_json(text)
    except ValidationError as error:
        raise _invalid(error, said.get("type")) from None


B = TypeVar("B", bound=Body)


def parse_body(kind: type[B], body: bytes) -> B:
    """A request's JSON. Raises InvalidInput."""
    try:
        return kind.model_validate_json(body or b"{}")
    except ValidationError as error:
        raise _invalid(error) from None


def _invalid(error: ValidationError, tag: object = None) -> InvalidInput:
    """What is wrong, and where; never the values, which may be secret or huge."""
    flaws = []
    for found in error.errors(include_url=False, include_context=False, include_input=False):
        place = [str(part) for part in found["loc"] if part != tag]
        pointer = "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in place)
        unknown = found["type"] == "union_tag_invalid"  # its message repeats what was sent
        message = "There is no frame of this type." if unknown else found["msg"]
        flaws.append(Flaw("/type" if unknown else pointer[:200], message[:300]))
    return InvalidInput(*flaws)


def parse_session_id(text: str) -> SessionId:
    """Raises SessionNotFound for what can't be one: it is not even looked for."""
    if not is_id(text):
        raise SessionNotFound
    return SessionId(text)


def parse_generation_id(text: str) -> GenerationId:
    """Raises GenerationNotFound, likewise."""
    if not is_id(text):
        raise GenerationNotFound
    return GenerationId(text)


def parse_key(text: str | None) -> str | None:
    """An idempotency key. Raises InvalidInput."""
    if text is None or re.fullmatch(_KEY, text):
        return text
    raise InvalidInput(Flaw("/Idempotency-Key", "must be 1 to 64 visible ASCII characters"))


def parse_limit(text: str | None) -> int:
    """How many to list: 1-100. Raises InvalidInput."""
    if text is None:
        return DEFAULT_LIMIT
    if text.isascii() and text.isdigit() and len(text) < 4 and 1 <= int(text) <= MAX_LIMIT:
        return int(text)
    raise InvalidInput(Flaw("/limit", f"limit must be a whole number from 1 to {MAX_LIMIT}."))


def parse_session_cursor(text: str | None) -> SessionPage | None:
    """Raises InvalidInput."""
    match _opened(text):
        case None:
            return None
        case [str(time), str(session_id)]:
            try:
                updated_at = datetime.fromisoformat(time)
            except ValueError:
                raise _BAD_CURSOR from None
            if updated_at.tzinfo is not None:
                return SessionPage(updated_at, SessionId(session_id))
    raise _BAD_CURSOR


def parse_message_cursor(text: str | None) -> int | None:
    """Raises InvalidInput."""
    match _opened(text):
        case None:
            return None
        case [int(number)] if number is not True and 0 < number < 2**63:
            return number
    raise _BAD_CURSOR


_BAD_CURSOR: Final = InvalidInput(Flaw("/cursor", "cursor must be a next_cursor of this list."))


def _opened(cursor: str | None) -> Any:
    if cursor is None:
        return None
    try:
        opened = msgspec.json.decode(base64.urlsafe_b64decode(cursor.encode("ascii")))
    except (ValueError, RecursionError):  # not ASCII, not base64, not JSON
        raise _BAD_CURSOR from None
    return [] if opened is None else opened


def _closed(*parts: object) -> str:
    return base64.urlsafe_b64encode(encode(parts)).decode("ascii")


# Out


def session_json(session: ChatSession) -> Json:
    active = session.active
    return {
        "session_id": session.id,
        "title": session.title,
        "model_name": session.model_name,
        "persona": session.persona,
        "message_count": session.message_count,
        "created_at": session.created_at,
        "updated_at": session.updated_at,
        "active_generation": active
        and {"generation_id": active.generation_id, "status": active.status.value},
    }


def session_cursor(last: ChatSession) -> str:
    return _closed(last.updated_at.isoformat(), last.id)


def message_json(message: Message) -> Json:
    shown: Json = {
        "id": message.id,
        "session_id": message.session_id,
        "role": message.role.value,
        "content": message.content,
        "created_at": message.created_at,
        "generation_id": message.generation_id,
    }
    if message.status is not None:
        shown["status"] = message.status.value
        shown["finish_reason"] = message.finish_reason
        shown["usage"] = _usage(message.usage)
    return shown


def message_cursor(last: Message) -> str:
    return _closed(last.number)


def accepted_json(accepted: Accepted) -> Json:
    return {
        "session_id": accepted.session_id,
        "message_id": accepted.message_id,
        "generation_id": accepted.generation_id,
        "status": GenerationStatus.QUEUED.value,
    }


def generation_json(progress: Progress) -> Json:
    generation = progress.generation
    return {
        "generation_id": generation.id,
        "session_id": generation.session_id,
        "status": generation.status.value,
        "attempt": generation.attempt,
        "model_name": generation.model_name,
        "text": progress.text,
        "finish_reason": generation.finish_reason,
        "usage": _usage(generation.usage),
        "error": generation.failure
        and _failure(generation.failure, generation.id, generation.request_id),
        "message_id": generation.answer_id,
        "last_event_id": progress.position and str(progress.position),
        "created_at": generation.created_at,
        "started_at": generation.started_at,
        "ended_at": generation.ended_at,
    }


def sse_event(session_id: SessionId, entry: Entry) -> bytes:
    encoded = entry.encodings.get("sse")
    if encoded is None:
        data = encode(_event(session_id, entry.event))
        encoded = b"id: %b\ndata: %b\n\n" % (str(entry.position).encode(), data)
        entry.encodings["sse"] = encoded
    return encoded


def websocket_event(session_id: SessionId, entry: Entry) -> str:
    encoded = entry.encodings.get("websocket")
    if encoded is None:
        shown = {"id": str(entry.position), **_event(session_id, entry.event)}
        encoded = entry.encodings["websocket"] = encode(shown)
    return encoded.decode()


def gone_json(session_id: SessionId) -> Json:
    return {"type": "gone", "session_id": session_id, "generation_id": None}


def opened_frame(kind: str, session_id: SessionId, position: Position) -> Json:
    """`session`, `following` and `unfollowed`: where the stream of that session stands."""
    return {"type": kind, "session_id": session_id, "last_event_id": str(position)}


def accepted_frame(accepted: Accepted, client_message_id: str | None) -> Json:
    return {
        "type": "accepted",
        "session_id": accepted.session_id,
        "client_message_id": client_message_id,
        "message_id": accepted.message_id,
        "generation_id": accepted.generation_id,
    }


def error_frame(error: Json, client_message_id: str | None = None) -> Json:
    frame: Json = {"type": "error", "error": error}
    if client_message_id is not None:
        frame["client_message_id"] = client_message_id
    return frame


def _event(session_id: SessionId, event: StreamEvent) -> Json:
    kind, fields = _told(event)
    return {
        "type": kind,
        "session_id": session_id,
        "generation_id": event.generation_id,
        **fields,
    }


def _told(event: StreamEvent) -> tuple[str, Json]:
    match event:
        case Chunk():
            return "chunk", {"chunk": event.text, "is_last": False}
        case Reasoning():
            return "reasoning", {"chunk": event.text, "is_last": False}
        case Start():
            return "start", _opening(event)
        case Reset():
            return "reset", {**_opening(event), "reason": event.reason}
        case Snapshot():
            shown: Json = {"text": event.text, "attempt": event.attempt}
            if event.reasoning:
                shown["reasoning"] = event.reasoning
            return "snapshot", {**shown, "recovered": event.recovered}
        case Done():
            shown = {**_last(event), "finish_reason": event.finish_reason}
            if event.title is not None:
                shown["title"] = event.title
            return "done", {**shown, "usage": _usage(event.usage)}
        case Stopped():
            return "stopped", {**_last(event), "usage": _usage(event.usage)}
        case Failed():
            error = _failure(event.failure, event.generation_id, event.request_id)
            return "failed", {**_last(event), "error": error}


def _opening(event: Opening) -> Json:
    return {
        "attempt": event.attempt,
        "model_name": event.model_name,
        "message": event.message,
    }


def _last(event: Terminal) -> Json:
    return {"chunk": "", "is_last": True, "message_id": event.message_id}


def _usage(usage: Usage | None) -> Json | None:
    if usage is None:
        return None
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
    }


def _failure(failure: Failure, generation_id: GenerationId, request_id: str | None) -> Json:
    return problem(
        failure.code,
        failure.detail,
        instance=f"/api/chat/generations/{generation_id}",
        request_id=request_id,
    )
