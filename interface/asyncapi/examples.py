"""An example of each thing that is said, made by what says it; and of what it may be told."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from application.accepting import Accepted
from application.events import (
    Chunk,
    Done,
    Entry,
    Failed,
    Reasoning,
    Reset,
    Snapshot,
    Start,
    Stopped,
    StreamEvent,
)
from domain.errors import SessionBusy
from domain.generation import Failure, Generation, GenerationStatus
from domain.identifiers import GenerationId, MessageId, SessionId, UserId
from domain.message import Usage
from domain.position import Position
from interface.problems import problem_of
from interface.websocket import PONG
from interface.wire.encoding import Json, encode
from interface.wire.events import websocket_event
from interface.wire.outgoing import (
    accepted_frame,
    cancelling_frame,
    error_frame,
    gone_json,
    opened_frame,
)

SESSION: Final = SessionId("session_4fGq0cP1mXh2")
ANOTHER: Final = SessionId("session_Zk81vTbn5aYw")
GENERATION: Final = GenerationId("gen_8uRwL2sD6kQe")
QUESTION: Final = "What is a fence?"
POSITION: Final = Position(3, 14)

_QUESTION_ID, _ANSWER_ID = MessageId(17), MessageId(18)
_REQUEST_ID: Final = "4a9a42de10c90153"
_CLIENT_MESSAGE_ID: Final = "m-1"
_RUNNING: Final = Generation(
    GENERATION,
    SESSION,
    UserId(1),
    _QUESTION_ID,
    number=1,
    status=GenerationStatus.RUNNING,
    model_name="simulated",
    api_id=None,
    persona=None,
    attempt=1,
    fence=POSITION.fence,
    created_at=datetime(2026, 11, 21, 12, tzinfo=UTC),
)
_FAILURE: Final = Failure("upstream_timeout", "The model's server has said nothing for 60 s.")

_EVENTS: Final[Sequence[StreamEvent]] = (
    Start(GENERATION, 1, "simulated", QUESTION),
    Reset(GENERATION, 2, "simulated", QUESTION, "takeover"),
    Chunk(GENERATION, "A counter"),
    Reasoning(GENERATION, "They mean a fencing token."),
    Snapshot(GENERATION, 1, "A counter, raised by", "They mean a fencing token."),
    Snapshot(GENERATION, 2, "", recovered=False),
    Done(GENERATION, _ANSWER_ID, "stop", Usage(12, 8), QUESTION),
    Done(GENERATION, _ANSWER_ID, "length", None),
    Stopped(GENERATION, _ANSWER_ID, Usage(12, 3)),
    Stopped(GENERATION, None, None),
    Failed(GENERATION, None, _FAILURE, _REQUEST_ID),
)


def said() -> Mapping[str, Sequence[Json]]:
    """By their `type`, as a WebSocket says them."""
    accepted = Accepted(SESSION, _QUESTION_ID, GENERATION)
    busy = problem_of(SessionBusy("8 messages are waiting."), "/ws", _REQUEST_ID)
    frames: list[str | bytes] = [
        *(websocket_event(SESSION, Entry(POSITION, event)) for event in _EVENTS),
        encode(gone_json(SESSION)),
        encode(opened_frame("session", SESSION, POSITION)),
        encode(opened_frame("following", ANOTHER, POSITION)),
        encode(opened_frame("unfollowed", ANOTHER, POSITION)),
        encode(accepted_frame(accepted, _CLIENT_MESSAGE_ID)),
        encode(accepted_frame(accepted, None)),
        encode(cancelling_frame(_RUNNING)),
        encode(PONG),
        encode(error_frame(busy, _CLIENT_MESSAGE_ID)),
    ]
    examples: dict[str, list[Json]] = {}
    for text in frames:
        frame = json.loads(text)
        examples.setdefault(frame["type"], []).append(frame)
    return examples


TEXTS: Final = (QUESTION, '{"a": "JSON object without a type is a message too"}')

HEARD: Final[Mapping[str, Sequence[Json]]] = {
    "send": (
        {"type": "send", "message": QUESTION, "client_message_id": _CLIENT_MESSAGE_ID},
        {
            "type": "send",
            "message": "And in this file?",
            "session_id": ANOTHER,
            "model_name": "simulated",
            "persona": "teacher",
            "file_ids": [1],
        },
    ),
    "cancel": ({"type": "cancel"}, {"type": "cancel", "generation_id": GENERATION}),
    "resume": ({"type": "resume", "last_event_id": str(POSITION)},),
    "follow": (
        {"type": "follow", "session_id": ANOTHER},
        {"type": "follow", "session_id": ANOTHER, "last_event_id": str(POSITION)},
    ),
    "unfollow": ({"type": "unfollow", "session_id": ANOTHER},),
    "ping": ({"type": "ping"},),
}
"""Frames that may be sent, by their `type`."""
