"""What stands in addresses, queries and headers."""

import re
from datetime import datetime
from typing import Final

from domain.errors import (
    ApiConfigNotFound,
    ApiTokenNotFound,
    FileNotFound,
    Flaw,
    GenerationNotFound,
    InvalidInput,
    SessionNotFound,
)
from domain.identifiers import ApiId, ApiTokenId, FileId, GenerationId, SessionId, is_id
from domain.repositories import SessionPage
from interface.wire.encoding import open_cursor
from interface.wire.request_bodies import KEY, MAX_MODEL_NAME

MAX_LIMIT: Final = 100
DEFAULT_LIMIT: Final = 50


def parse_session_id(text: str) -> SessionId:
    """Raises SessionNotFound for what can't be one: it is not even looked for."""
    if not is_id(text):
        raise SessionNotFound
    return SessionId(text)


def parse_generation_id(text: str) -> GenerationId:
    """Raises GenerationNotFound, likewise."""
    if not is_id(text):
        raise GenerationNotFound
    return GenerationId(text)


def parse_api_id(text: str) -> ApiId:
    """Raises ApiConfigNotFound, likewise."""
    number = _row_id(text)
    if number is None:
        raise ApiConfigNotFound
    return ApiId(number)


def parse_api_token_id(text: str) -> ApiTokenId:
    """Raises ApiTokenNotFound, likewise."""
    number = _row_id(text)
    if number is None:
        raise ApiTokenNotFound
    return ApiTokenId(number)


def parse_file_id(text: str) -> FileId:
    """Raises FileNotFound, likewise."""
    number = _row_id(text)
    if number is None:
        raise FileNotFound
    return FileId(number)


def _row_id(text: str) -> int | None:
    if not re.fullmatch(r"[1-9][0-9]{0,18}", text) or int(text) >= 2**63:
        return None
    return int(text)


def parse_api_name(text: str) -> str:
    """Raises ApiConfigNotFound, likewise."""
    if not text or "\x00" in text:
        raise ApiConfigNotFound
    return text


def parse_model_name(text: str | None) -> str | None:
    """Raises InvalidInput."""
    if text is None or (0 < len(text) <= MAX_MODEL_NAME and "\x00" not in text):
        return text
    raise InvalidInput(Flaw("/model_name", f"must be 1 to {MAX_MODEL_NAME} characters"))


def parse_key(text: str | None, pointer: str = "/Idempotency-Key") -> str | None:
    """An idempotency key. Raises InvalidInput."""
    if text is None or re.fullmatch(KEY, text):
        return text
    raise InvalidInput(Flaw(pointer, "must be 1 to 64 visible ASCII characters"))


def parse_limit(text: str | None) -> int:
    """How many to list: 1-100. Raises InvalidInput."""
    if text is None:
        return DEFAULT_LIMIT
    if text.isascii() and text.isdigit() and len(text) < 4 and 1 <= int(text) <= MAX_LIMIT:
        return int(text)
    raise InvalidInput(Flaw("/limit", f"limit must be a whole number from 1 to {MAX_LIMIT}."))


def parse_session_cursor(text: str | None) -> SessionPage | None:
    """Raises InvalidInput."""
    match _opened(text):
        case None:
            return None
        case [str(time), str(session_id)]:
            try:
                updated_at = datetime.fromisoformat(time)
            except ValueError:
                raise _BAD_CURSOR from None
            if updated_at.tzinfo is not None and is_id(session_id):
                return SessionPage(updated_at, SessionId(session_id))
    raise _BAD_CURSOR


def parse_number_cursor(text: str | None) -> int | None:
    """Raises InvalidInput."""
    match _opened(text):
        case None:
            return None
        case [int(number)] if number is not True and 0 < number < 2**63:
            return number
    raise _BAD_CURSOR


def parse_api_cursor(text: str | None) -> ApiId | None:
    """Raises InvalidInput."""
    number = parse_number_cursor(text)
    return None if number is None else ApiId(number)


def parse_file_cursor(text: str | None) -> FileId | None:
    """Raises InvalidInput."""
    number = parse_number_cursor(text)
    return None if number is None else FileId(number)


def parse_api_token_cursor(text: str | None) -> ApiTokenId | None:
    """Raises InvalidInput."""
    number = parse_number_cursor(text)
    return None if number is None else ApiTokenId(number)


_BAD_CURSOR: Final = InvalidInput(Flaw("/cursor", "cursor must be a next_cursor of this list."))


def _opened(cursor: str | None) -> object:
    if cursor is None:
        return None
    try:
        opened = open_cursor(cursor)
    except (ValueError, RecursionError):  # not ASCII, not base64, not JSON
        raise _BAD_CURSOR from None
    return [] if opened is None else opened
