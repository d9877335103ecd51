"""JSON schemas of all shapes, by their names."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, get_args

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from interface.wire.encoding import Json
from interface.wire.event_shapes import EventJson, GoneEvent
from interface.wire.frame_shapes import FrameJson
from interface.wire.frames import Frame

EVENTS: Final[Sequence[type[Any]]] = (*get_args(EventJson), GoneEvent)
FRAMES_OUT: Final[Sequence[type[Any]]] = get_args(FrameJson)
FRAMES_IN: Final[Sequence[type[Any]]] = get_args(Frame)

_PLACE: Final = "#/components/schemas/"
_Direction = Literal["validation", "serialization"]


class _WithoutFieldTitles(GenerateJsonSchema):
    """A title would only repeat the field's name."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002
        return False


def json_schemas() -> Mapping[str, Json]:
    told = [_input(shape, "serialization") for shape in (*EVENTS, *FRAMES_OUT)]
    heard = [_input(shape, "validation") for shape in FRAMES_IN]
    _, made = TypeAdapter.json_schemas(
        [*told, *heard], ref_template=_PLACE + "{model}", schema_generator=_WithoutFieldTitles
    )
    schemas: Mapping[str, Json] = made["$defs"]
    return schemas


def _input(shape: type[Any], direction: _Direction) -> tuple[str, _Direction, TypeAdapter[Any]]:
    return shape.__name__, direction, TypeAdapter(shape)


def schema_of(shape: type[Any]) -> Json:
    return {"$ref": _PLACE + shape.__name__}


def described(field: Any) -> Json:
    """The schema of what is no object."""
    return TypeAdapter(field).json_schema(schema_generator=_WithoutFieldTitles)
