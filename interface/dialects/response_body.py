"""What a response is asked for."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, FailFast, Field

from domain.call import INSTRUCTED, STORED, Call, prompt_of
from domain.errors import Flaw, InvalidInput
from domain.message import Role
from domain.prompt import FunctionCall, Options, PromptMessage, ToolCall
from interface.dialects.openai_bodies import (
    MAX_MESSAGES,
    Ignored,
    Metadata,
    Part,
    Temperature,
    Tokens,
    TopP,
    Unsupported,
    Who,
    Word,
)
from interface.wire.encoding import Json
from interface.wire.request_bodies import Body, ModelName, Text

DIALECT: Final = "responses"
STORED_SECONDS: Final = 30 * 24 * 3_600
"""After the last activity, as OpenAI has it."""
UNSTORED_SECONDS: Final = 3_600
"""As long as a chat completion."""

# Notes of a call, beside those that the domain knows.
METADATA: Final = "metadata"
BACKGROUND: Final = "background"
PREVIOUS: Final = "previous_response_id"


def _as_parts(content: object) -> object:
    return [{"type": "input_text", "text": content}] if isinstance(content, str) else content


def _as_items(given: object) -> object:
    return [{"role": "user", "content": given}] if isinstance(given, str) else given


Parts = Annotated[
    list[Part],
    Field(max_length=MAX_MESSAGES),
    BeforeValidator(_as_parts, json_schema_input_type=str | list[Part]),
]


class InputItem(BaseModel):
    """A message, or one of the items of an earlier response, as clients send them back, with
    whatever fields those had. Which of these each type needs is checked by `items_of`."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)

    type: Literal["message", "function_call", "function_call_output", "reasoning"] | None = None
    role: Literal["user", "assistant", "system", "developer"] | None = None
    content: Parts | None = None
    call_id: Annotated[Text, Field(max_length=200)] | None = None
    name: Annotated[Text, Field(max_length=200)] | None = None
    arguments: Text | None = None
    output: Parts | None = None

    @property
    def lacks(self) -> str | None:
        """The first field that is missing."""
        needed = {
            None: ("role", "content"),
            "message": ("role", "content"),
            "function_call": ("call_id", "name", "arguments"),
            "function_call_output": ("call_id", "output"),
            "reasoning": (),
        }
        return next((each for each in needed[self.type] if getattr(self, each) is None), None)

    @property
    def message(self) -> PromptMessage:
        """Of a message, or of what a function said."""
        if self.type in (None, "message"):
            assert self.role is not None
            return PromptMessage(Role(self.role), _text(self.content))
        return PromptMessage(Role.TOOL, _text(self.output), tool_call_id=self.call_id)

    @property
    def tool_call(self) -> ToolCall:
        assert self.call_id is not None
        return ToolCall(self.call_id, FunctionCall(self.name or "", self.arguments or ""))


def _text(parts: Sequence[Part] | None) -> str:
    return "".join(part.said for part in parts or ())


Items = Annotated[
    list[InputItem],
    Field(min_length=1, max_length=MAX_MESSAGES),
    FailFast(),
    BeforeValidator(_as_items, json_schema_input_type=str | list[InputItem]),
]


class ReasoningOptions(Body):
    effort: Word | None = None
    context: Ignored = None
    generate_summary: Ignored = None
    mode: Ignored = None
    summary: Ignored = None


class TextFormat(BaseModel):
    """Flat here, while chat completions have its fields in an object of their own."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    type: Literal["text", "json_object", "json_schema"]
    name: Annotated[Text, Field(min_length=1, max_length=64)] | None = None
    description: Annotated[Text, Field(max_length=10_000)] | None = None
    schema_: Annotated[dict[str, Any] | None, Field(alias="schema")] = None
    strict: bool | None = None

    @property
    def response_format(self) -> Json | None:
        if self.type == "text":
            return None
        if self.type == "json_object":
            return {"type": self.type}
        if self.name is None or self.schema_ is None:
            missing = "name" if self.name is None else "schema"
            raise InvalidInput(Flaw(f"/text/format/{missing}", "Field required"))
        given = {"name": self.name, "schema": self.schema_, "strict": self.strict}
        named = {**given, "description": self.description}
        said = {name: value for name, value in named.items() if value is not None}
        return {"type": self.type, "json_schema": said}


def text_format(response_format: Mapping[str, Any] | None) -> Json:
    """The flat one of which it was made."""
    if response_format is None:
        return {"type": "text"}
    return {"type": response_format["type"], **response_format.get("json_schema", {})}


class TextOptions(Body):
    format: TextFormat | None = None
    verbosity: Word | None = None


def _unless_zero(value: object) -> object:
    if value not in (None, 0):
        raise ValueError("this server can not do this; leave it out")
    return value


class ResponseBody(Body):
    """Of all that OpenAI knows: what reaches the model, what changes nothing, and what this server
    can not do, which is refused. Without a model it is the default one."""

    input: Items
    model: ModelName | None = None
    instructions: Text | None = None
    previous_response_id: Annotated[Text, Field(min_length=1, max_length=100)] | None = None
    stream: bool | None = None
    background: bool | None = None
    store: bool | None = None
    metadata: Metadata | None = None

    temperature: Temperature | None = None
    top_p: TopP | None = None
    max_output_tokens: Tokens | None = None
    reasoning: ReasoningOptions | None = None
    text: TextOptions | None = None
    user: Who | None = None

    tool_choice: Literal["none", "auto"] | None = None
    truncation: Literal["auto", "disabled"] | None = None
    tools: Unsupported = None
    conversation: Unsupported = None
    prompt: Unsupported = None
    context_management: Unsupported = None
    moderation: Unsupported = None
    top_logprobs: Annotated[Any, AfterValidator(_unless_zero)] = None

    access_programs: Ignored = None
    background_options: Ignored = None
    image: Ignored = None
    include: Ignored = None
    max_tool_calls: Ignored = None
    parallel_tool_calls: Ignored = None
    prompt_cache_key: Ignored = None
    prompt_cache_options: Ignored = None
    prompt_cache_retention: Ignored = None
    safety_identifier: Ignored = None
    service_tier: Ignored = None
    stream_options: Ignored = None

    @property
    def call(self) -> Call:
        """What it brings itself; what it goes on from is not in it. Raises InvalidInput."""
        stored = self.store is not False
        if self.background and not stored:
            raise InvalidInput(Flaw("/background", "A response in the background must be stored."))
        said = list(messages_of(self.input))
        if not said:
            raise InvalidInput(Flaw("/input", "There is no message in it."))
        if instructed := self.instructions is not None:
            said.insert(0, PromptMessage(Role.SYSTEM, self.instructions or ""))
        notes: Json = {
            STORED: stored,
            INSTRUCTED: instructed,
            METADATA: self.metadata or {},
            BACKGROUND: bool(self.background),
            PREVIOUS: self.previous_response_id,
        }
        kept_seconds = STORED_SECONDS if stored else UNSTORED_SECONDS
        return Call(prompt_of(said, self._options), DIALECT, kept_seconds, notes)

    @property
    def _options(self) -> Options:
        text = self.text or TextOptions()
        return Options(
            temperature=self.temperature,
            top_p=self.top_p,
            max_completion_tokens=self.max_output_tokens,
            reasoning_effort=self.reasoning.effort if self.reasoning else None,
            verbosity=text.verbosity,
            response_format=text.format.response_format if text.format else None,
            user=self.user,
        )


def messages_of(items: Sequence[InputItem]) -> Iterator[PromptMessage]:
    """Calls that follow one another are those of one answer: models insist that what the functions
    said comes right after it. Raises InvalidInput."""
    for index, item in enumerate(items):
        if (missing := item.lacks) is not None:
            raise InvalidInput(Flaw(f"/input/{index}/{missing}", "Field required"))
    told = [item for item in items if item.type != "reasoning"]
    for is_call, group in groupby(told, lambda item: item.type == "function_call"):
        if is_call:
            calls = tuple(item.tool_call for item in group)
            yield PromptMessage(Role.ASSISTANT, "", tool_calls=calls)
        else:
            yield from (item.message for item in group)
