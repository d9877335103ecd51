"""What the model is given."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any, Final

from domain.attachment import CountTokens, attach
from domain.identifiers import FileId
from domain.message import Message, Role
from domain.uploaded_file import FileText

_FILES_SHARE: Final = 0.75
"""Of what is left beside the system prompt and the question, for the files of that."""


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """What a model wanted to be called; the arguments are JSON as it wrote it."""

    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ToolCall:
    id: str
    function: FunctionCall


@dataclass(frozen=True, slots=True)
class PromptMessage:
    """`name` is who speaks, which a function's result must say; `tool_call_id` is the call that a
    tool's result answers, one of the `tool_calls` of an answer before it. Before there were tools
    an answer could have one `function_call`."""

    role: Role
    content: str
    name: str | None = None
    tool_call_id: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    function_call: FunctionCall | None = None

    @property
    def calls_only(self) -> bool:
        """It is an answer that says nothing, but what is to be called."""
        return not self.content and bool(self.tool_calls or self.function_call)


@dataclass(frozen=True, slots=True)
class Options:
    """How an answer is to be made, in the words of OpenAI's chat completions, which all servers
    have learned; None leaves it to the model. Both bounds of its tokens are kept as they were
    given: some servers know the one only, some the other."""

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    stop: tuple[str, ...] | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logit_bias: Mapping[str, float] | None = None
    reasoning_effort: str | None = None
    verbosity: str | None = None
    response_format: Mapping[str, Any] | None = None
    user: str | None = None

    @property
    def most_tokens(self) -> int | None:
        bounds = (self.max_tokens, self.max_completion_tokens)
        return min((bound for bound in bounds if bound is not None), default=None)

    @property
    def given(self) -> Mapping[str, Any]:
        """Those that do not leave it to the model, by their names."""
        said = ((each.name, getattr(self, each.name)) for each in fields(self))
        return {name: value for name, value in said if value is not None}


@dataclass(frozen=True, slots=True)
class Prompt:
    """The conversation for one answer, oldest first; the last message is the question, unless
    `asked` says otherwise: what its sender wrote, without the text of files."""

    messages: tuple[PromptMessage, ...]
    asked: str | None = None
    options: Options = Options()

    @property
    def question(self) -> str:
        return self.messages[-1].content if self.asked is None else self.asked


@dataclass(frozen=True, slots=True)
class ContextWindow:
    """How much of a conversation the model is given: at most so many messages, the question
    included, and so many tokens, the system prompt included."""

    messages: int
    tokens: int
    count: CountTokens


def build_prompt(
    system_prompt: str | None,
    recent: Sequence[Message],
    window: ContextWindow,
    files: Mapping[FileId, FileText] = MappingProxyType({}),
) -> Prompt:
    """The system prompt, then the end of `recent` that fits: oldest first, the question last. Each
    message brings the `files` that it names.

    The system prompt and the question are given whatever they cost. The oldest messages go first,
    and an answer whose question is gone goes with it: many models insist that a user begins. Files
    get what messages leave, those of the newest message first; but those of the question are sure
    of most of the window, so that a long conversation does not crowd them out.
    """
    count, question = window.count, recent[-1]
    left = window.tokens - (count(system_prompt) if system_prompt else 0)
    asked_about = [files[each] for each in question.file_ids if each in files]
    reserved = _share_of_files(left - count(question.content), asked_about, count)
    fitting = list(_fitting(recent[-window.messages :], left - reserved, count))
    while len(fitting) > 1 and fitting[-1].role is Role.ASSISTANT:
        fitting.pop()
    left -= sum(count(message.content) for message in fitting)
    given = []
    for message in fitting:
        attached = attach([files[e] for e in message.file_ids if e in files], left, count)
        left -= count(attached) if attached else 0
        given.append(PromptMessage(message.role, attached + message.content))
    system = [PromptMessage(Role.SYSTEM, system_prompt)] if system_prompt else []
    return Prompt((*system, *reversed(given)), question.content if asked_about else None)


def _share_of_files(left: int, asked_about: Sequence[FileText], count: CountTokens) -> int:
    if not asked_about:
        return 0
    return max(0, min(count(attach(asked_about, left, count)), int(left * _FILES_SHARE)))


def _fitting(recent: Sequence[Message], left: int, count: CountTokens) -> Iterator[Message]:
    """From the newest back, as long as there are tokens left; the newest in any case."""
    for age, message in enumerate(reversed(recent)):
        left -= count(message.content)
        if left < 0 and age > 0:
            return
        yield message
