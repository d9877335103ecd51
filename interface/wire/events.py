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
    Terminal,
)
from domain.generation import Failure
from domain.identifiers import GenerationId, SessionId
from domain.message import Usage
from interface.problems import ProblemJson, problem
from interface.wire.encoding import Json, encode


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
            return "done", {**shown, "usage": usage_json(event.usage)}
        case Stopped():
            return "stopped", {**_last(event), "usage": usage_json(event.usage)}
        case Failed():
            error = failure_json(event.failure, event.generation_id, event.request_id)
            return "failed", {**_last(event), "error": error}


def _opening(event: Opening) -> Json:
    return {
        "attempt": event.attempt,
        "model_name": event.model_name,
        "message": event.message,
    }


def _last(event: Terminal) -> Json:
    return {"chunk": "", "is_last": True, "message_id": event.message_id}


def usage_json(usage: Usage | None) -> Json | None:
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
