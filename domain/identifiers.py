"""Names of things. Strings are at most 50 characters; integers are given by the database."""

import re
from typing import Final, NewType

UserId = NewType("UserId", int)
MessageId = NewType("MessageId", int)
ApiId = NewType("ApiId", int)
ApiTokenId = NewType("ApiTokenId", int)
FileId = NewType("FileId", int)
SessionId = NewType("SessionId", str)
GenerationId = NewType("GenerationId", str)
SignInId = NewType("SignInId", str)
FileKey = NewType("FileKey", str)
"""Under which a file's content is stored."""

_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,49}")


def is_id(text: str) -> bool:
    """Whether a session or generation may have this id: 1-50 letters, digits and `._:-`."""
    return _ID.fullmatch(text) is not None
