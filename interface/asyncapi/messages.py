"""What is said in each channel. An event has its id inside over a WebSocket and before it over SSE,
so there it is two messages of one shape."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, get_args, get_type_hints

from interface.asyncapi.examples import HEARD, TEXTS, said
from interface.asyncapi.schemas import EVENTS, FRAMES_IN, FRAMES_OUT, described, schema_of
from interface.wire.encoding import Json
from interface.wire.event_shapes import EventId, GoneEvent

TEXT: Final = "text"
"""The frame that is no JSON object with a `type`."""


def types_of(shape: type[Any]) -> Sequence[str]:
    """What may stand in its `type`."""
    types: Sequence[str] = get_args(get_type_hints(shape)["type"])
    return types


def names_of(shapes: Iterable[type[Any]]) -> Sequence[str]:
    return [name for shape in shapes for name in types_of(shape)]


def socket_messages() -> Mapping[str, Json]:
    """By the `type` of the frame, in both directions; and the plain text."""
    examples = {**said(), **HEARD}
    messages = {
        name: _message(name, shape, _over_a_socket(name, shape), examples[name])
        for shape in (*EVENTS, *FRAMES_OUT, *FRAMES_IN)
        for name in types_of(shape)
    }
    messages[TEXT] = {
        "name": TEXT,
        "title": TEXT,
        "summary": "A message, as it is: any text that is no JSON object with a `type`.",
        "contentType": "text/plain",
        "payload": {"type": "string", "description": "1 to 32,000 characters after trimming."},
        "examples": [{"payload": text} for text in TEXTS],
    }
    return messages


def stream_messages() -> Mapping[str, Json]:
    """By the `type` of the event."""
    examples = said()
    return {
        name: _before_it(_message(name, shape, schema_of(shape), examples[name]))
        for shape in EVENTS
        for name in types_of(shape)
    }


def _message(name: str, shape: type[Any], payload: Json, examples: Sequence[Json]) -> Json:
    return {
        "name": name,
        "title": name,
        "summary": " ".join((shape.__doc__ or "").split()),
        "contentType": "application/json",
        "payload": payload,
        "examples": [{"payload": example} for example in examples],
    }


def _over_a_socket(name: str, shape: type[Any]) -> Json:
    narrowed: Json = {}
    if shape in EVENTS and shape is not GoneEvent:
        narrowed = {"properties": {"id": described(EventId)}, "required": ["id"]}
    elif len(types_of(shape)) > 1:
        narrowed = {"properties": {"type": {"const": name}}}
    return {"allOf": [schema_of(shape), narrowed]} if narrowed else schema_of(shape)


def _before_it(message: Json) -> Json:
    """The `id:` line as a header, as AsyncAPI calls what goes with a payload."""
    bare = []
    for example in message["examples"]:
        payload = dict(example["payload"])
        number = payload.pop("id", None)
        bare.append(
            {"payload": payload}
            if number is None
            else {"headers": {"id": number}, "payload": payload}
        )
    if message["name"] in types_of(GoneEvent):
        return {**message, "examples": bare}
    headers = {"type": "object", "properties": {"id": described(EventId)}, "required": ["id"]}
    return {**message, "headers": headers, "examples": bare}
