"""What there is to say about one route."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from http import HTTPStatus
from typing import Any, Final, Literal

from pydantic import BaseModel

from interface.problems import STATUS, ProblemJson

Schema = Mapping[str, Any]
"""JSON Schema, as it stands in the document."""

JSON: Final = "application/json"
EVENT_STREAM: Final = "text/event-stream"


class Access(Enum):
    """Who may come in."""

    ANYBODY = auto()
    CALLER = auto()
    CALLER_OR_TICKET = auto()


@dataclass(frozen=True, slots=True)
class Parameter:
    """In a query or header, where it may be absent unless it is `required`; or in a path.
    `checked`: what is wrong is refused (422), and not taken for absent. An `example` may name what
    is in paths, in braces."""

    name: str
    place: Literal["query", "header", "path"]
    description: str
    schema: Schema
    checked: bool = True
    required: bool = False
    example: str | None = None


@dataclass(frozen=True, slots=True)
class RequestBody:
    """`shape`: a model, whose examples are sent as JSON; or a schema, for another media type. One
    that is not `required` may be left out altogether."""

    shape: type[BaseModel] | Schema
    examples: Mapping[str, Mapping[str, Any]]
    required: bool = True
    media_type: str = JSON


@dataclass(frozen=True, slots=True)
class Answer:
    """`shape`: a TypedDict, or a schema; None for an answer without content. `also`: shapes by
    other media types, for who asks for them. `gives`: parameters of other operations' paths, and
    where in this answer their values are; `headers`: descriptions."""

    description: str
    shape: object = None
    media_type: str = JSON
    also: Mapping[str, object] = field(default_factory=dict)
    gives: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Operation:
    """`name` is what a generated client calls it. `errors` are the codes beside those that all
    have. `shown_as`: the path in the document, where another route has the same one but for a
    parameter's name, which OpenAPI takes for the same."""

    name: str
    summary: str
    answers: Mapping[int, Answer]
    description: str = ""
    body: RequestBody | None = None
    parameters: Sequence[Parameter] = ()
    errors: Sequence[str] = ()
    access: Access = Access.CALLER
    shown_as: str | None = None


@dataclass(frozen=True, slots=True)
class ErrorShape:
    """How errors are told. `dialect` tells them apart from others of the same codes, for which it
    may have other names and statuses."""

    shape: object
    media_type: str
    dialect: str = ""
    name_of: Callable[[str], str] = str
    status_of: Callable[[str], HTTPStatus] = STATUS.__getitem__


NO_ROOM: Final = ("too_many_answers", "token_budget_spent", "queue_full")
"""Why a message that would be accepted at another time is not."""
PROBLEM: Final = ErrorShape(ProblemJson, "application/problem+json")


@dataclass(frozen=True, slots=True, eq=False)
class Area:
    """Operations by method and path, under one heading."""

    heading: str
    description: str
    operations: Mapping[tuple[str, str], Operation]
    errors: ErrorShape = PROBLEM


ANY_EVENTS: Final[Schema] = {}
"""The schema of a stream beside JSON: what its events are is told in words."""
NO_CONTENT: Final = Answer("Done.")
EVENTS: Final = Answer(
    "Server-sent events. `/asyncapi.json` describes what is in them.",
    {"type": "string"},
    EVENT_STREAM,
)
