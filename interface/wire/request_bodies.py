"""What requests bring in JSON, and the types of its fields."""

import re
from contextlib import suppress
from typing import Annotated, Final, TypeVar

import msgspec
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    ValidationError,
)
from pydantic.config import JsonDict

from domain.base_url import MAX_BASE_URL_CHARACTERS, clean_base_url
from domain.chat_session import SessionChanges
from domain.errors import (
    Flaw,
    InvalidInput,
)
from domain.identifiers import FileId, is_id
from domain.message import MAX_MESSAGE_CHARACTERS
from domain.secret import Secret
from domain.user import PASSWORD_CHARACTERS, USERNAME_CHARACTERS

MAX_MODEL_NAME: Final = 200
MAX_DAYS: Final = 3_650
MAX_FILES: Final = 20
"""That one message may name."""

_MOST_EXACT: Final = 2**53
"""Beyond it a float may have been another integer."""
_MOST_FIELDS: Final = 50
_MOST_FLAWS: Final = 20


def _without_nul(text: str) -> str:
    if "\x00" in text:
        raise ValueError("must not contain a NUL character")
    return text


def _whole(number: object) -> object:
    """JSON has one kind of numbers: 30.0 is an integer, and some languages write it so."""
    if isinstance(number, float) and number.is_integer() and abs(number) <= _MOST_EXACT:
        return int(number)
    return number


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


# What of the rules above and of the domain's can be said in the API's description.
ID_SCHEMA: Final[JsonDict] = {"type": "string", "pattern": r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,49}$"}
_NOT_BLANK: Final[JsonDict] = {"pattern": r"\S"}
_MESSAGE: Final[JsonDict] = {
    "minLength": 1,
    "maxLength": MAX_MESSAGE_CHARACTERS,
    "description": "Trimmed before it is counted.",
    **_NOT_BLANK,
}
_API_NAME: Final[JsonDict] = {"description": "Not `first`, `.` or `..`.", **_NOT_BLANK}
_BASE_URL: Final[JsonDict] = {
    "format": "uri",
    "maxLength": MAX_BASE_URL_CHARACTERS,
    "description": "An http or https address: a host, perhaps a port and a path.",
}
_API_KEY: Final[JsonDict] = {
    "pattern": r"^[\x21-\x7e]*$",
    "maxLength": 512,
    "description": "Empty where the server wants none.",
}
_USERNAME: Final[JsonDict] = {
    "minLength": USERNAME_CHARACTERS.start,
    "maxLength": USERNAME_CHARACTERS.stop - 1,
    "pattern": r"^\S+$",
}
_PASSWORD: Final[JsonDict] = {
    "minLength": PASSWORD_CHARACTERS.start,
    "maxLength": PASSWORD_CHARACTERS.stop - 1,
}

Text = Annotated[str, AfterValidator(_without_nul)]
Name = Annotated[Text, Field(min_length=1, max_length=100)]
ModelName = Annotated[Text, Field(min_length=1, max_length=MAX_MODEL_NAME)]
Title = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=200),
    AfterValidator(_without_nul),
    Field(json_schema_extra=_NOT_BLANK),
]
SystemPrompt = Annotated[Text, Field(max_length=32_000)]
KEY: Final = r"[\x21-\x7e]{1,64}"
RowId = Annotated[int, Field(ge=1, lt=2**63), BeforeValidator(_whole)]
Key = Annotated[str, Field(pattern=f"^{KEY}$")]


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class CreateSessionBody(Body):
    session_id: (
        Annotated[
            str,
            AfterValidator(_session_id),
            Field(json_schema_extra={**ID_SCHEMA, "description": "If you want to choose it."}),
        ]
        | None
    ) = None
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
    message: Annotated[str, Field(json_schema_extra=_MESSAGE)]
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
    Field(json_schema_extra=_API_NAME),
]
ApiModelName = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_MODEL_NAME),
    AfterValidator(_without_nul),
    Field(json_schema_extra=_NOT_BLANK),
]
BaseUrl = Annotated[str, AfterValidator(clean_base_url), Field(json_schema_extra=_BASE_URL)]
Provider = Annotated[Text, Field(max_length=50)]
ApiKey = Annotated[SecretStr, AfterValidator(_api_key), Field(json_schema_extra=_API_KEY)]


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


Cookie = Annotated[
    bool, Field(description="For web pages: the refresh token in a cookie, not in JSON.")
]


class CredentialsBody(Body):
    # What they must be is the domain's to say, at a registration only.
    username: Annotated[str, Field(json_schema_extra=_USERNAME)]
    password: Annotated[SecretStr, Field(json_schema_extra=_PASSWORD)]
    cookie: Cookie = False


class RefreshBody(Body):
    """The token, or that it is in the cookie."""

    refresh_token: SecretStr | None = None
    cookie: Cookie = False

    @property
    def token(self) -> Secret | None:
        """None: it is in the cookie. Raises InvalidInput: it is nowhere, or in two places."""
        sent = self.refresh_token
        if self.cookie == (sent is not None):
            raise InvalidInput(Flaw("/refresh_token", "Send a token, or say `cookie`; not both."))
        return None if sent is None else Secret(sent.get_secret_value())


class CreateApiTokenBody(Body):
    name: Annotated[
        str,
        StringConstraints(strip_whitespace=True, min_length=1, max_length=100),
        AfterValidator(_without_nul),
        Field(json_schema_extra=_NOT_BLANK),
    ]
    expires_in_days: Annotated[int, Field(ge=1, le=MAX_DAYS), BeforeValidator(_whole)] | None = None


B = TypeVar("B", bound=Body)


def parse_body(kind: type[B], body: bytes) -> B:
    """A request's JSON. Raises InvalidInput."""
    with suppress(msgspec.DecodeError, ValueError, RecursionError):  # said below, and where
        check_size(msgspec.json.decode(body))
    try:
        return kind.model_validate_json(body or b"{}")
    except ValidationError as error:
        raise invalid(error) from None


def check_size(said: object) -> None:
    """Many unknown fields would be many complaints: one is enough."""
    if isinstance(said, dict) and len(said) > _MOST_FIELDS:
        raise InvalidInput(Flaw("", f"An object may have {_MOST_FIELDS} fields."))


_OURS: Final = "Value error, "
"""By which pydantic begins what our own checks say."""


def invalid(error: ValidationError, tag: object = None) -> InvalidInput:
    """What is wrong, and where; never the values, which may be secret or huge."""
    flaws = []
    for found in error.errors(include_url=False, include_context=False)[:_MOST_FLAWS]:
        # A part in angle brackets is no name, but which of several forms it was taken for.
        place = [str(part) for part in found["loc"] if part != tag and str(part)[:1] != "<"]
        pointer = "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in place)
        unknown = found["type"] == "union_tag_invalid"  # its message repeats what was sent
        said = _said(found["msg"], found["input"])
        message = "There is no frame of this type." if unknown else said
        flaws.append(Flaw("/type" if unknown else pointer[:200], message[:300]))
    return InvalidInput(*flaws)


_LENGTH: Final = re.compile(r"\w+ (should have at (?:least|most) [0-9]+) item(s?) after .*")


def _said(message: str, given: object) -> str:
    """As people say it. Of what was checked otherwise before, pydantic counts only items."""
    length = _LENGTH.fullmatch(message)
    if length is None:
        return message.removeprefix(_OURS)
    kind, part = "List", "item"
    if isinstance(given, str):
        kind, part = "String", "character"
    elif isinstance(given, dict):
        kind, part = "Object", "field"
    return f"{kind} {length[1]} {part}{length[2]}"
