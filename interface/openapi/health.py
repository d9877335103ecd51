from typing import Final

from interface.openapi.operation import Access, Answer, Area, Operation
from interface.wire.answers import HealthJson, ReadinessJson

HEALTH: Final = Area(
    "Health",
    "For who watches over the server.",
    {
        ("GET", "/healthz"): Operation(
            "read_health",
            "Whether the process answers",
            {200: Answer("It does.", HealthJson)},
            access=Access.ANYBODY,
        ),
        ("GET", "/readyz"): Operation(
            "read_readiness",
            "Whether the process can take requests",
            {200: Answer("It can.", ReadinessJson)},
            "503 while the database is away, and when the process is about to end.",
            access=Access.ANYBODY,
        ),
    },
)
