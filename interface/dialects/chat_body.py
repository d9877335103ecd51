"""What a chat completion is asked for."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, FailFast, Field

from domain.call import Call, prompt_of
from domain.message import Role
from domain.prompt import FunctionCall, Options, PromptMessage, ToolCall
from interface.dialects.openai_bodies import (
    MAX_MESSAGES,
    TEXT_OR_LIST,
    AsList,
    AsText,
    Bias,
    Content,
    Ignored,
    Metadata,
    Penalty,
    Temperature,
    Tokens,
    TopP,
    Unsupported,
    Who,
    Word,
    text_of,
)
from interface.wire.request_bodies import Body, ModelName, Text

DIALECT = "chat.completions"
KEPT_SECONDS = 3_600
"""Long enough to take up a stream that was cut, though calls come by the thousand."""


class _Said(BaseModel):
    """Clients send answers back as they got them, with whatever fields those had."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)


class _Function(_Said):
    name: Annotated[Text, Field(max_length=200)]
    arguments: Text = ""

    @property
    def call(self) -> FunctionCall:
        return FunctionCall(self.name, self.arguments)


class _ToolCall(_Said):
    id: Annotated[Text, Field(max_length=200)]
    type: Literal["function"] = "function"
    function: _Function


class ChatMessage(_Said):
    role: Literal["system", "user", "assistant", "function", "tool", "developer"]
    content: Content | None = None
    name: Annotated[Text, Field(max_length=200)] | None = None
    tool_call_id: Annotated[Text, Field(max_length=200)] | None = None
    tool_calls: Annotated[list[_ToolCall], Field(max_length=200)] | None = None
    function_call: _Function | None = None

    @property
    def message(self) -> PromptMessage:
        return PromptMessage(
            Role(self.role),
            text_of(self.content),
            self.name,
            self.tool_call_id,
            tuple(ToolCall(each.id, each.function.call) for each in self.tool_calls or ()),
            None if self.function_call is None else self.function_call.call,
        )


class StreamOptions(Body):
    include_usage: bool | None = None
    include_obfuscation: Ignored = None


Stop = Annotated[Text, Field(min_length=1, max_length=500)]
Stops = Annotated[
    Annotated[Stop, AsText] | Annotated[list[Stop], AsList, Field(max_length=4)], TEXT_OR_LIST
]


class ChatCompletionBody(Body):
    """Of all that OpenAI knows: what reaches the model, what changes nothing, and what this server
    can not do, which is refused. Without a model it is the default one."""

    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=MAX_MESSAGES), FailFast()]
    model: ModelName | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    metadata: Metadata | None = None

    temperature: Temperature | None = None
    top_p: TopP | None = None
    max_tokens: Tokens | None = None
    max_completion_tokens: Tokens | None = None
    stop: Stops | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    logit_bias: Annotated[dict[Word, Bias], Field(max_length=300)] | None = None
    reasoning_effort: Word | None = None
    verbosity: Word | None = None
    response_format: dict[str, Any] | None = None
    user: Who | None = None

    n: Literal[1] | None = None
    modalities: Annotated[list[Literal["text"]], Field(max_length=2)] | None = None
    tool_choice: Literal["none", "auto"] | None = None
    function_call: Literal["none", "auto"] | None = None
    tools: Unsupported = None
    functions: Unsupported = None
    logprobs: Unsupported = None
    top_logprobs: Unsupported = None
    audio: Unsupported = None
    web_search_options: Unsupported = None

    parallel_tool_calls: Ignored = None
    prediction: Ignored = None
    prompt_cache_key: Ignored = None
    prompt_cache_retention: Ignored = None
    safety_identifier: Ignored = None
    service_tier: Ignored = None
    store: Ignored = None

    @property
    def call(self) -> Call:
        prompt = prompt_of([each.message for each in self.messages], self._options)
        return Call(prompt, DIALECT, KEPT_SECONDS, {"metadata": self.metadata or {}})

    @property
    def counts(self) -> bool:
        """Whether the stream is to tell what it cost."""
        return bool(self.stream_options and self.stream_options.include_usage)

    @property
    def _options(self) -> Options:
        stop = [self.stop] if isinstance(self.stop, str) else self.stop
        return Options(
            self.temperature,
            self.top_p,
            self.max_tokens,
            self.max_completion_tokens,
            tuple(stop) if stop else None,
            self.seed,
            self.presence_penalty,
            self.frequency_penalty,
            self.logit_bias,
            self.reasoning_effort,
            self.verbosity,
            self.response_format,
            self.user,
        )
