"""What clients send: bodies, frames, parameters. Everything here raises InvalidInput."""

import json
import re
from contextlib import suppress
from datetime import datetime
from typing import Annotated, Final, Literal, TypeVar

import msgspec
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)

from domain.base_url import clean_base_url
from domain.chat_session import SessionChanges
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

MAX_LIMIT: Final = 100
DEFAULT_LIMIT: Final = 50
MAX_MODEL_NAME: Final = 200
MAX_DAYS: Final = 3_650
MAX_FILES: Final = 20
"""That one message may name."""

_MOST_FIELDS: Final = 50
_MOST_FLAWS: Final = 20


def _without_nul(text: str) -> str:
    if "\x00" in text:
        raise ValueError("must not contain a NUL character")
    return text


def _session_id(text: str) -> str:
    if not is_id(text):
        raise ValueError("must be 1 to 50 letters, digits, dots, colons, dashes and underscores")
    return text


def _api_name(text: str) -> str:
    if text in ("first", ".", ".."):  # which are addresses of something else
        raise ValueError("must not be `first`, `.` or `..`")
    return text


def _api_key(key: SecretStr) -> SecretStr:
    """Visible ASCII: all else could not stand in a header. Empty where a server wants none."""
    text = key.get_secret_value().strip()
    if not re.fullmatch(r"[\x21-\x7e]{0,512}", text):
        raise ValueError("must be up to 512 visible ASCII characters")
    return SecretStr(text)


Text = Annotated[str, AfterValidator(_without_nul)]
Name = Annotated[Text, Field(min_length=1, max_length=100)]
ModelName = Annotated[Text, Field(min_length=1, max_length=MAX_MODEL_NAME)]
Title = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=200),
    AfterValidator(_without_nul),
]
SystemPrompt = Annotated[Text, Field(max_length=32_000)]
_KEY: Final = r"[\x21-\x7e]{1,64}"
RowId = Annotated[int, Field(ge=1, lt=2**63)]
Key = Annotated[str, Field(pattern=f"^{_KEY}$")]


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class CreateSessionBody(Body):
    session_id: Annotated[str, AfterValidator(_session_id)] | None = None
    title: Title | None = None
    model_name: ModelName | None = None
    persona: Name | None = None
    system_prompt: SystemPrompt | None = None


class ChangeSessionBody(Body):
    """What is absent stays as it is; null takes a choice away."""

    title: Title | None = None
    model_name: ModelName | None = None
    persona: Name | None = None
    system_prompt: SystemPrompt | None = None

    @property
    def changes(self) -> SessionChanges:
        return SessionChanges(**{name: getattr(self, name) for name in self.model_fields_set})


class RegenerateBody(Body):
    model_name: ModelName | None = None
    persona: Name | None = None


class DefaultPersonaBody(Body):
    name: Name


class SendBody(Body):
    message: str
    model_name: ModelName | None = None
    persona: Name | None = None
    file_ids: Annotated[list[RowId], Field(max_length=MAX_FILES)] | None = None

    @property
    def files(self) -> tuple[FileId, ...]:
        return tuple(map(FileId, self.file_ids or ()))


class SendAnywhereBody(SendBody):
    """Without a session the message makes one."""

    session_id: str | None = None


ApiName = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=100),
    AfterValidator(_without_nul),
    AfterValidator(_api_name),
]
ApiModelName = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_MODEL_NAME),
    AfterValidator(_without_nul),
]
BaseUrl = Annotated[str, AfterValidator(clean_base_url)]
Provider = Annotated[Text, Field(max_length=50)]
ApiKey = Annotated[SecretStr, AfterValidator(_api_key)]


class CreateApiBody(Body):
    name: ApiName
    model_name: ApiModelName
    base_url: BaseUrl
    api_key: ApiKey
    provider: Provider = "openai"


class ChangeApiBody(Body):
    """What is absent or null stays as it is."""

    name: ApiName | None = None
    model_name: ApiModelName | None = None
    base_url: BaseUrl | None = None
    api_key: ApiKey | None = None
    provider: Provider | None = None


class CredentialsBody(Body):
    """What a username and a password must be is the domain's to say, at a registration only."""

    username: str
    password: SecretStr


class RefreshBody(Body):
    refresh_token: SecretStr


class CreateApiTokenBody(Body):
    name: Annotated[
        str,
        StringConstraints(strip_whitespace=True, min_length=1, max_length=100),
        AfterValidator(_without_nul),
    ]
    expires_in_days: Annotated[int, Field(ge=1, le=MAX_DAYS)] | None = None


class SendFrame(SendBody):
    type: Literal["send"]
    client_message_id: Key | None = None
    session_id: str | None = None


class CancelFrame(Body):
    """Without a generation it is the one that the session works on."""

    type: Literal["cancel"]
    generation_id: str | None = None
    session_id: str | None = None


class ResumeFrame(Body):
    type: Literal["resume"]
    last_event_id: str
    session_id: str | None = None


class FollowFrame(Body):
    type: Literal["follow"]
    session_id: str
    last_event_id: str | None = None


class UnfollowFrame(Body):
    type: Literal["unfollow"]
    session_id: str


class PingFrame(Body):
    type: Literal["ping"]


Frame = SendFrame | CancelFrame | ResumeFrame | FollowFrame | UnfollowFrame | PingFrame
_frames: Final[TypeAdapter[Frame]] = TypeAdapter(
    Annotated[Frame, Field(discriminator="type")],
)


def parse_frame(text: str) -> Frame:
    """A WebSocket text frame: a JSON object with `type` is a command, all else is a message.

    Raises InvalidInput.
    """
    try:
        # Numbers as text: Python refuses to read long ones.
        said = json.loads(text, parse_int=str) if text.lstrip()[:1] == "{" else None
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict) or "type" not in said:
        return SendFrame(type="send", message=text)
    _check_size(said)
    try:
        return _frames.validate_json(text)
    except ValidationError as error:
        raise _invalid(error, said.get("type")) from None


B = TypeVar("B", bound=Body)


def parse_body(kind: type[B], body: bytes) -> B:
    """A request's JSON. Raises InvalidInput."""
    with suppress(msgspec.DecodeError, ValueError, RecursionError):  # said below, and where
        _check_size(msgspec.json.decode(body))
    try:
        return kind.model_validate_json(body or b"{}")
    except ValidationError as error:
        raise _invalid(error) from None


def _check_size(said: object) -> None:
    """Many unknown fields would be many complaints: one is enough."""
    if isinstance(said, dict) and len(said) > _MOST_FIELDS:
        raise InvalidInput(Flaw("", f"An object may have {_MOST_FIELDS} fields."))


def _invalid(error: ValidationError, tag: object = None) -> InvalidInput:
    """What is wrong, and where; never the values, which may be secret or huge."""
    flaws = []
    found_errors = error.errors(include_url=False, include_context=False, include_input=False)
    for found in found_errors[:_MOST_FLAWS]:
        place = [str(part) for part in found["loc"] if part != tag]
        pointer = "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in place)
        unknown = found["type"] == "union_tag_invalid"  # its message repeats what was sent
        message = "There is no frame of this type." if unknown else found["msg"]
        flaws.append(Flaw("/type" if unknown else pointer[:200], message[:300]))
    return InvalidInput(*flaws)


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


def parse_key(text: str | None) -> str | None:
    """An idempotency key. Raises InvalidInput."""
    if text is None or re.fullmatch(_KEY, text):
        return text
    raise InvalidInput(Flaw("/Idempotency-Key", "must be 1 to 64 visible ASCII characters"))


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
