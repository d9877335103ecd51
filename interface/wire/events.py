"""The events of a stream. Each is encoded once for all subscribers of a transport."""

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
)
from domain.generation import Failure
from domain.identifiers import GenerationId, SessionId
from domain.message import Usage
from interface.problems import ProblemJson, problem
from interface.wire.encoding import encode
from interface.wire.event_shapes import (
    DoneEvent,
    EventJson,
    OfAnswer,
    OfLast,
    OfOpening,
    SnapshotEvent,
    UsageJson,
)


def sse_event(session_id: SessionId, entry: Entry) -> bytes:
    if entry.as_sse is None:
        data = encode(_event(session_id, entry.event))
        entry.as_sse = b"id: %b\ndata: %b\n\n" % (str(entry.position).encode(), data)
    return entry.as_sse


def websocket_event(session_id: SessionId, entry: Entry) -> str:
    if entry.as_frame is None:
        shown = {"id": str(entry.position), **_event(session_id, entry.event)}
        entry.as_frame = encode(shown).decode()
    return entry.as_frame


def _event(session_id: SessionId, event: StreamEvent) -> EventJson:
    of: OfAnswer = {"session_id": session_id, "generation_id": event.generation_id}
    match event:
        case Chunk():
            return {"type": "chunk", **of, "chunk": event.text, "is_last": False}
        case Reasoning():
            return {"type": "reasoning", **of, "chunk": event.text, "is_last": False}
        case Start():
            return {"type": "start", **of, **_opening(event)}
        case Reset():
            return {"type": "reset", **of, **_opening(event), "reason": event.reason}
        case Snapshot():
            return _snapshot(session_id, event)
        case Done():
            return _done(session_id, event)
        case Stopped():
            return {"type": "stopped", **of, **_last(event), "usage": usage_json(event.usage)}
        case Failed():
            error = failure_json(event.failure, event.generation_id, event.request_id)
            return {"type": "failed", **of, **_last(event), "error": error}


def _snapshot(session_id: SessionId, event: Snapshot) -> SnapshotEvent:
    shown: SnapshotEvent = {
        "type": "snapshot",
        "session_id": session_id,
        "generation_id": event.generation_id,
        "text": event.text,
        "attempt": event.attempt,
        "recovered": event.recovered,
    }
    if event.reasoning:
        shown["reasoning"] = event.reasoning
    return shown


def _done(session_id: SessionId, event: Done) -> DoneEvent:
    shown: DoneEvent = {
        "type": "done",
        "session_id": session_id,
        "generation_id": event.generation_id,
        "chunk": "",
        "is_last": True,
        "message_id": event.message_id,
        "finish_reason": event.finish_reason,
        "usage": usage_json(event.usage),
    }
    if event.title is not None:
        shown["title"] = event.title
    return shown


def _opening(event: Opening) -> OfOpening:
    return {
        "attempt": event.attempt,
        "model_name": event.model_name,
        "message": event.message,
    }


def _last(event: Stopped | Failed) -> OfLast:
    return {"chunk": "", "is_last": True, "message_id": event.message_id}


def usage_json(usage: Usage | None) -> UsageJson | None:
    if usage is None:
        return None
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
    }


def failure_json(
    failure: Failure, generation_id: GenerationId, request_id: str | None
) -> ProblemJson:
    return problem(
        failure.code,
        failure.detail,
        instance=f"/api/chat/generations/{generation_id}",
        request_id=request_id,
    )
