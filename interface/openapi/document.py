"""The document, put together of the route table and what is told about each route."""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from starlette.routing import BaseRoute, Route

from interface.openapi.areas import AREAS
from interface.openapi.operation import (
    PROBLEM,
    Access,
    Answer,
    Area,
    ErrorShape,
    Operation,
    Parameter,
    RequestBody,
)
from interface.openapi.parameters import IN_PATHS, REQUEST_ID
from interface.openapi.schemas import schemas_of
from interface.wire.encoding import Json

VERSION: Final = "0.1.0"

UNDESCRIBED: Final = frozenset(
    {
        "/",
        "/chat",
        "/page/{path}",
        "/docs",
        "/docs/{path}",
        "/openapi.json",
        "/asyncapi.json",
        "/metrics",
    }
)
"""Routes that are no part of the API: pages, documents such as this one, and what is for the
operator alone."""

_DESCRIPTION: Final = """\
A backend for streamed chat with large language models: nothing that was accepted is lost.

**Who is asking.** `Authorization: Bearer …` with an access token or an API token. A server in open
mode needs neither: who says nothing is its local user.

**Errors** are problem details (RFC 9457). Programs look at `code`, which is stable. What does not
exist and what is another user's are both 404.

**Lists** are pages: `{items, next_cursor}`; send `next_cursor` as `cursor` to read on.

**Sending twice.** With an `Idempotency-Key` a message can be sent again without being asked again.

**Streams and the WebSocket** at `/ws` are described in `/asyncapi.json`.

Answers may have further fields in time.
"""

_COMMON: Final = (
    "internal_error",
    "database_unavailable",
    "restarting",
    "foreign_origin",
    "foreign_host",
)
_MOST_IN_A_NAME: Final = 3
_FOR_CALLERS: Final = ("not_signed_in", "invalid_token", "rate_limited")

_HEADERS: Final[Mapping[str, str]] = {
    "X-Request-ID": "The name of the request: the one that was sent, or a new one.",
    "WWW-Authenticate": "How to say who you are.",
    "Retry-After": "Seconds after which it may be worth trying again.",
    "RateLimit": "Where requests are counted: how many more there may be, and in how many"
    " seconds one more than that.",
    "RateLimit-Policy": "Likewise: how many there may be in how many seconds.",
}
_ON_ALL: Final = ("X-Request-ID", "RateLimit", "RateLimit-Policy")


Key = tuple[str, str]
"""Method and path."""

Described = Mapping[Key, tuple[Area, Operation]]


def described(areas: Sequence[Area] = AREAS) -> Described:
    return {key: (area, each) for area in areas for key, each in area.operations.items()}


def keys_of(routes: Iterable[BaseRoute]) -> Sequence[Key]:
    """Of HTTP routes, with paths as tables have them. A HEAD is a GET without its body, and goes
    without saying."""
    return [
        (method, re.sub(r":\w+}", "}", route.path))
        for route in routes
        if isinstance(route, Route)
        for method in sorted(frozenset(route.methods or ()) - {"HEAD"})
    ]


def document_of(routed: Iterable[Key], areas: Sequence[Area] = AREAS) -> Json:
    """OpenAPI 3.1 of those that are described."""
    return _Document(described(areas), _schemas(areas)).of(frozenset(routed))


_Schemas = tuple[Mapping[object, Json], Json]


def _schemas(areas: Sequence[Area]) -> _Schemas:
    operations = [each for area in areas for each in area.operations.values()]
    sent = [each.body.shape for each in operations if each.body]
    answers = [answer for each in operations for answer in each.answers.values()]
    told = [shape for answer in answers for shape in (answer.shape, *answer.also.values())]
    told += [area.errors.shape for area in areas]
    return schemas_of(
        [shape for shape in sent if isinstance(shape, type)],
        [shape for shape in told if shape and not isinstance(shape, Mapping)],
    )


class _Document:
    def __init__(self, known: Described, schemas: _Schemas) -> None:
        self._known = known
        self._references, self._schemas = schemas
        self._errors: dict[str, Json] = {}
        self._all_links: dict[str, Json] = {}

    def of(self, routed: Collection[Key]) -> Json:
        in_order = [key for key in self._known if key in routed]
        paths: dict[str, Json] = defaultdict(
            lambda: {"parameters": [_reference("parameters", "RequestId")]}
        )
        for method, path in in_order:
            area, operation = self._known[method, path]
            shown = operation.shown_as or path
            paths[shown][method.lower()] = self._operation(area, operation, path, in_order)
        return {
            "openapi": "3.1.0",
            "info": {
                "title": "llm-chat",
                "version": VERSION,
                "summary": "Streamed chat with large language models.",
                "description": _DESCRIPTION,
                "license": {"name": "MIT", "identifier": "MIT"},
            },
            "servers": [{"url": "/"}],
            "security": [{}, {"bearer": []}],
            "tags": [
                {"name": area.heading, "description": area.description}
                for area in dict.fromkeys(self._known[key][0] for key in in_order)
            ],
            "paths": dict(paths),
            "components": {
                "securitySchemes": _SECURITY_SCHEMES,
                "parameters": {"RequestId": _parameter(REQUEST_ID)},
                "headers": {
                    name.replace("-", ""): {"description": text, "schema": {"type": "string"}}
                    for name, text in _HEADERS.items()
                },
                "responses": dict(sorted(self._errors.items())),
                "links": self._all_links,
                "schemas": self._schemas,
            },
        }

    def _operation(
        self, area: Area, operation: Operation, path: str, routed: Sequence[Key]
    ) -> Json:
        shown: Json = {"operationId": operation.name, "summary": operation.summary}
        if operation.description:
            shown["description"] = operation.description
        shown["tags"] = [area.heading]
        if operation.access is not Access.CALLER:
            shown["security"] = _SECURITY[operation.access]
        parameters = [*_path_parameters(path, operation.shown_as), *operation.parameters]
        if parameters:
            shown["parameters"] = [_parameter(each) for each in parameters]
        if operation.body is not None:
            shown["requestBody"] = self._body(operation.body)
        shown["responses"] = {
            **{
                str(status): self._answer(each, routed)
                for status, each in operation.answers.items()
            },
            **{
                str(status): self._error(status, codes, area.errors)
                for status, codes in errors_of(operation, area.errors)
            },
        }
        return shown

    def _body(self, body: RequestBody) -> Json:
        examples = {name: {"value": value} for name, value in body.examples.items()}
        content = {"schema": self._schema(body.shape), "examples": examples}
        return {"required": body.required, "content": {body.media_type: content}}

    def _answer(self, answer: Answer, routed: Sequence[Key]) -> Json:
        headers = {
            name: {"description": text, "schema": {"type": "string"}}
            for name, text in answer.headers.items()
        }
        shown: Json = {
            "description": answer.description,
            "headers": {**_header_references(*_ON_ALL), **headers},
        }
        if answer.shape is not None:
            shapes = {answer.media_type: answer.shape, **answer.also}
            shown["content"] = {
                media_type: {"schema": self._schema(shape)} for media_type, shape in shapes.items()
            }
        if answer.gives:
            shown["links"] = dict(self._links(answer.gives, routed))
        return shown

    def _links(self, gives: Mapping[str, str], routed: Sequence[Key]) -> Iterator[tuple[str, Json]]:
        """To all operations whose path needs nothing else."""
        for key in routed:
            operation = self._known[key][1]
            names = re.findall(r"{(\w+)}", key[1])
            if names and gives.keys() >= set(names):
                shown = re.findall(r"{(\w+)}", operation.shown_as or key[1])
                values = {
                    f"path.{name}": f"$response.body#{gives[own]}"
                    for name, own in zip(shown, names, strict=True)
                }
                link = {"operationId": operation.name, "parameters": values}
                assert self._all_links.setdefault(operation.name, link) == link
                yield operation.name, _reference("links", operation.name)

    def _error(self, status: HTTPStatus, codes: Sequence[str], told: ErrorShape) -> Json:
        """A reference to what is said once for all who can give these few codes; or of many, that
        itself."""
        names = dict.fromkeys(map(told.name_of, codes))
        name = "Or".join(code.title().replace("_", "") for code in codes) + told.dialect
        headers = [*_ON_ALL]
        if status == HTTPStatus.UNAUTHORIZED:
            headers.append("WWW-Authenticate")
        if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
            headers.append("Retry-After")
        error = {
            "description": f"{status.phrase}: {', '.join(f'`{each}`' for each in names)}.",
            "headers": _header_references(*headers),
            "content": {told.media_type: {"schema": self._schema(told.shape)}},
            "x-codes": list(names),
        }
        if len(codes) > _MOST_IN_A_NAME:
            return error
        self._errors[name] = error
        return _reference("responses", name)

    def _schema(self, shape: Any) -> Any:
        return shape if isinstance(shape, Mapping) else self._references[shape]


def errors_of(
    operation: Operation, told: ErrorShape = PROBLEM
) -> list[tuple[HTTPStatus, Sequence[str]]]:
    """The codes that it can give, by status: its own, and those that come with what it is."""
    codes = [*operation.errors, *_COMMON]
    if operation.access is not Access.ANYBODY:
        codes += _FOR_CALLERS
    body = operation.body
    if body is not None and isinstance(body.shape, type):
        codes += ("payload_too_large", "request_timeout")
    if body is not None or any(each.checked for each in operation.parameters):
        codes.append("invalid_request")
    by_status: dict[HTTPStatus, list[str]] = defaultdict(list)
    for code in dict.fromkeys(codes):
        by_status[told.status_of(code)].append(code)
    return sorted((status, sorted(found)) for status, found in by_status.items())


def _path_parameters(path: str, shown_as: str | None) -> Iterator[Parameter]:
    names = re.findall(r"{(\w+)}", path)
    for name, shown in zip(names, re.findall(r"{(\w+)}", shown_as or path), strict=True):
        description, schema = IN_PATHS[name]
        yield Parameter(shown, "path", description, schema)


def _parameter(parameter: Parameter) -> Json:
    return {
        "name": parameter.name,
        "in": parameter.place,
        "required": parameter.required or parameter.place == "path",
        "description": parameter.description,
        "schema": parameter.schema,
    }


def _reference(kind: str, name: str) -> Json:
    return {"$ref": f"#/components/{kind}/{name}"}


def _header_references(*names: str) -> Json:
    return {name: _reference("headers", name.replace("-", "")) for name in names}


_SECURITY_SCHEMES: Final[Json] = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "An access token of a sign-in, or an API token (`sk-…`).",
    },
    "ticket": {
        "type": "apiKey",
        "in": "query",
        "name": "ticket",
        "description": "Good once; for browsers, whose `EventSource` can't send a header.",
    },
}
_SECURITY: Final[Mapping[Access, list[Json]]] = {
    Access.ANYBODY: [],
    Access.CALLER_OR_TICKET: [{}, {"bearer": []}, {"ticket": []}],
}
