"""The description of the HTTP interface, in OpenAPI 3.1: `GET /openapi.json`.

To describe a route, put an `Operation` into the file of its area (`sessions.py`, `files.py`, …),
under its method and its path as the route has it. A new area is a new file and a word in
`areas.py`. What is sent and told are the types of `interface/wire/`: a pydantic model of
`request_bodies.py`, a `TypedDict` of `answers.py`. Of errors an operation names the codes that are
its own; their statuses, and the errors that all have, are `document.py`'s to add. An area whose
errors have another shape says so once. A parameter in a path needs a line in `parameters.py`, once.
A route that is no part of the API is named in `document.UNDESCRIBED`.

Tests say what is missing, send each example to the real application, and hold real answers against
their schemas (`tests/interface/test_openapi.py`, `tests/end_to_end/test_openapi.py`).
"""
