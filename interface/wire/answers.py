"""The shapes of what clients are told, for type checkers and for the API's description.

They are dicts while the program runs; msgspec writes times in RFC 3339 and enums as their values.
"""

from datetime import datetime
from typing import Annotated, Generic, Literal, NotRequired, TypeVar

from pydantic import Field
from typing_extensions import TypedDict

from application.list_models import ModelSource
from domain.generation import GenerationStatus
from domain.message import AnswerStatus, Role
from interface.problems import ProblemJson
from interface.wire.event_shapes import UsageJson

T = TypeVar("T")


class PageJson(TypedDict, Generic[T]):
    items: list[T]
    next_cursor: Annotated[
        str | None, Field(description="Send it as `cursor` to read on; null at the end.")
    ]


class ActiveGenerationJson(TypedDict):
    generation_id: str
    status: GenerationStatus


class SessionJson(TypedDict):
    session_id: str
    title: str | None
    model_name: Annotated[
        str | None, Field(description="Null if it takes whichever is the default.")
    ]
    persona: str | None
    message_count: int
    created_at: datetime
    updated_at: datetime
    active_generation: Annotated[
        ActiveGenerationJson | None,
        Field(description="The answer that is being written, else the first that waits."),
    ]


class FileJson(TypedDict):
    id: int
    session_id: str
    file_name: str
    file_size: Annotated[int, Field(description="Bytes.")]
    file_type: Annotated[str, Field(description="A media type.")]
    sha256: Annotated[str, Field(description="In hexadecimal.")]
    is_processed: Annotated[bool, Field(description="Whether its text could be read.")]
    error: Annotated[str | None, Field(description="Why its text could not be read.")]
    created_at: datetime


class MessageJson(TypedDict):
    """`status`, `finish_reason` and `usage` are there for answers only."""

    id: int
    session_id: str
    role: Role
    content: str
    created_at: datetime
    generation_id: Annotated[
        str | None, Field(description="What answers this question, or wrote this answer.")
    ]
    status: NotRequired[AnswerStatus]
    finish_reason: NotRequired[str | None]
    usage: NotRequired[UsageJson | None]
    files: NotRequired[
        Annotated[
            list[FileJson],
            Field(description="Those that the message names and that are still there."),
        ]
    ]


class AcceptedJson(TypedDict):
    session_id: str
    message_id: int
    generation_id: Annotated[str, Field(description="The answer that is to come.")]
    status: GenerationStatus


class AnsweredJson(TypedDict):
    session_id: str
    generation_id: str
    message: Annotated[
        MessageJson | None, Field(description="Null if it was stopped before its first word.")
    ]
    finish_reason: str | None
    usage: UsageJson | None


class SpokenJson(TypedDict):
    role: Role
    content: str
    timestamp: datetime


class HistoryJson(TypedDict):
    messages: Annotated[list[SpokenJson], Field(description="The newest 1,000, oldest first.")]
    total: Annotated[int, Field(description="Of all messages.")]


class StartedJson(TypedDict):
    session_id: str
    welcome_message: str


class ClearedJson(TypedDict):
    message: str


class RolesJson(TypedDict):
    roles: Annotated[dict[str, str], Field(description="What each tells the model, by its name.")]
    default_role: str | None


class GenerationJson(TypedDict):
    generation_id: str
    session_id: str
    status: GenerationStatus
    attempt: Annotated[int, Field(description="0 while it waits.")]
    model_name: str
    text: Annotated[str, Field(description="As far as it is written.")]
    finish_reason: str | None
    usage: UsageJson | None
    error: Annotated[ProblemJson | None, Field(description="Why it failed.")]
    message_id: Annotated[int | None, Field(description="The stored answer, if there is one.")]
    last_event_id: Annotated[
        str | None, Field(description="Up to where `text` goes: follow the stream from there.")
    ]
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None


class StoppingJson(TypedDict):
    generation_id: str
    status: GenerationStatus


class ApiJson(TypedDict):
    """A model configuration. Of its key the hint only."""

    id: int
    name: str
    model_name: str
    base_url: str
    provider: str
    key_hint: Annotated[
        str, Field(description="The key's last 4 characters; empty if there is no key.")
    ]
    created_at: datetime
    updated_at: datetime


class TrialJson(TypedDict):
    ok: bool
    latency_ms: int
    detail: Annotated[str, Field(description="A sentence for people.")]


class ListedModelJson(TypedDict):
    model_name: str
    provider: str
    source: ModelSource


class ModelsJson(TypedDict):
    models: list[ListedModelJson]
    default: Annotated[str, Field(description="What answers where none is named.")]


class PersonasJson(TypedDict):
    personas: list[str]
    default: Annotated[
        str | None,
        Field(description="For sessions without their own, unless their messages name one."),
    ]


class UserJson(TypedDict):
    id: int
    username: str
    created_at: datetime


class SignedInJson(TypedDict):
    user: UserJson
    access_token: str
    token_type: Literal["bearer"]
    expires_in: Annotated[int, Field(description="Seconds for which the access token is good.")]
    refresh_token: NotRequired[
        Annotated[str, Field(description="Absent if it was asked to be in a cookie.")]
    ]


class TicketJson(TypedDict):
    ticket: str
    expires_in: Annotated[int, Field(description="Seconds.")]


class ApiTokenJson(TypedDict):
    id: int
    name: str
    hint: Annotated[str, Field(description="The token's last 4 characters.")]
    created_at: datetime
    expires_at: Annotated[
        datetime | None, Field(description="Null if it is good until it is deleted.")
    ]


class MadeApiTokenJson(ApiTokenJson):
    token: Annotated[str, Field(description="Shown this once.")]


class HealthJson(TypedDict):
    status: Literal["ok"]


class ReadinessJson(TypedDict):
    status: Annotated[
        Literal["ready", "degraded"],
        Field(description="Degraded: all is taken, but answers take longer to begin."),
    ]
    database: Literal["ok"]
    queue: Literal["ok", "away"]
