from dataclasses import dataclass
from datetime import datetime
from typing import Final

from domain.identifiers import ApiTokenId, UserId
from domain.secret import Secret

API_TOKEN_PREFIX: Final = "sk-"  # noqa: S105 - all begin with it
MAX_API_TOKENS: Final = 100
"""Of one user."""


@dataclass(frozen=True, slots=True)
class ApiToken:
    """A user's way in for a program. `hint` is the last 4 characters of what only its owner has;
    without `expires_at` it holds until it is deleted."""

    id: ApiTokenId
    owner: UserId
    name: str
    hint: str
    created_at: datetime
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class NewApiToken:
    owner: UserId
    name: str
    token: Secret
    expires_in_days: int | None = None
