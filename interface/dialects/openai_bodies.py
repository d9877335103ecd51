"""What OpenAI's dialects have in common in what they bring."""

from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    WithJsonSchema,
)

from interface.wire.request_bodies import Text

MAX_MESSAGES: Final = 2_000
_EMPTY: Final[tuple[object, ...]] = (None, False, [], {})


def _unsupported(value: object) -> object:
    if value not in _EMPTY:
        raise ValueError("this server can not do this; leave it out")
    return value


Unsupported = Annotated[
    Any,
    AfterValidator(_unsupported),
    WithJsonSchema({"enum": list(_EMPTY), "description": "This server can not do it."}),
]
"""Whoever relies on it must hear that it is not done. To decline it by oneself is allowed."""

Ignored = Annotated[Any, Field(description="It changes nothing here.")]
"""It changes nothing in an answer of ours."""


class Part(BaseModel):
    """Of a message; what has other fields besides is read all the same."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)

    type: Literal["text", "input_text", "output_text", "refusal"]
    text: Text | None = None
    refusal: Text | None = None

    @property
    def said(self) -> str:
        return self.text or self.refusal or ""


AsText: Final = Tag("<text>")
AsList: Final = Tag("<list>")
TEXT_OR_LIST: Final = Discriminator(lambda value: "<list>" if isinstance(value, list) else "<text>")
"""What is wrong with one is not told of the other, too."""

Content = Annotated[
    Annotated[Text, AsText] | Annotated[list[Part], AsList, Field(max_length=MAX_MESSAGES)],
    TEXT_OR_LIST,
]


def text_of(content: Content | None) -> str:
    """Parts are one text: there are no others that this server could pass on."""
    if content is None or isinstance(content, str):
        return content or ""
    return "".join(part.said for part in content)


MetadataKey = Annotated[Text, Field(max_length=64)]
MetadataValue = Annotated[Text, Field(max_length=512)]
Metadata = Annotated[dict[MetadataKey, MetadataValue], Field(max_length=16)]
Temperature = Annotated[float, Field(ge=0, le=2)]
TopP = Annotated[float, Field(ge=0, le=1)]
Penalty = Annotated[float, Field(ge=-2, le=2)]
Bias = Annotated[float, Field(ge=-100, le=100)]
Tokens = Annotated[int, Field(ge=1, lt=2**31)]
Word = Annotated[Text, Field(min_length=1, max_length=40)]
Who = Annotated[Text, Field(max_length=512)]
