"""Names of things. Strings are at most 50 characters; integers are given by the database."""

import re
from typing import Final, NewType

UserId = NewType("UserId", int)
MessageId = NewType("MessageId", int)
SessionId = NewType("SessionId", str)
GenerationId = NewType("GenerationId", str)

_SESSION_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,49}")


def is_session_id(text: str) -> bool:
    """Whether a client may name its own session so: 1-50 letters, digits and `._:-`."""
    return _SESSION_ID.fullmatch(text) is not None
