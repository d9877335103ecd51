from typing import Final

from interface.openapi.operation import NO_CONTENT, Answer, Area, Operation, RequestBody
from interface.wire.answers import PersonasJson
from interface.wire.request_bodies import DefaultPersonaBody

PERSONAS: Final = Area(
    "Personas",
    "Manners of answering.",
    {
        ("GET", "/api/personas/"): Operation(
            "list_personas",
            "List all personas, and your default",
            {200: Answer("All of them.", PersonasJson)},
        ),
        ("PUT", "/api/personas/default"): Operation(
            "choose_default_persona",
            "Choose the persona of your sessions that have none of their own",
            {204: NO_CONTENT},
            body=RequestBody(DefaultPersonaBody, {"teacher": {"name": "teacher"}}),
            errors=["persona_not_found"],
        ),
    },
)
