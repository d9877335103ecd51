from dataclasses import dataclass
from datetime import datetime
from typing import Final

from domain.identifiers import UserId

LOCAL_USERNAME: Final = "local"
"""Who everybody is in open mode."""


@dataclass(frozen=True, slots=True)
class User:
    id: UserId
    username: str
    created_at: datetime
