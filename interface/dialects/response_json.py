"""A response as OpenAI's clients know it: whole, and its items."""

from collections.abc import Iterator
from typing import Any, Final, Literal, NotRequired

from typing_extensions import TypedDict

from application.browse import Shown
from domain.call import Call
from domain.errors import GenerationNotFound
from domain.generation import Failure, Generation, GenerationStatus
from domain.identifiers import GenerationId
from domain.message import Role, Usage
from domain.prompt import PromptMessage
from interface.dialects.response_body import BACKGROUND, METADATA, PREVIOUS, text_format
from interface.wire.parameters import parse_generation_id

_GENERATION: Final = "gen_"
_RESPONSE: Final = "resp_"

ResponseStatus = Literal["queued", "in_progress", "completed", "failed", "incomplete", "cancelled"]


class OutputTextJson(TypedDict):
    type: Literal["output_text"]
    text: str
    annotations: list[Any]
    logprobs: list[Any]


class OutputMessageJson(TypedDict):
    id: str
    type: Literal["message"]
    role: Literal["assistant"]
    status: Literal["in_progress", "completed", "incomplete"]
    content: list[OutputTextJson]


class ResponseErrorJson(TypedDict):
    """`code` is one of those that OpenAI's clients know, `type` the one of `docs/errors.md`."""

    code: str
    message: str
    param: None
    type: str


class IncompleteDetailsJson(TypedDict):
    reason: Literal["max_output_tokens", "content_filter"]


class ReasoningJson(TypedDict):
    effort: str | None
    summary: None


class TextConfigJson(TypedDict):
    format: dict[str, Any]
    verbosity: NotRequired[str]


class InputTokensDetailsJson(TypedDict):
    cached_tokens: int
    cache_write_tokens: int


class OutputTokensDetailsJson(TypedDict):
    reasoning_tokens: int


class ResponseUsageJson(TypedDict):
    input_tokens: int
    input_tokens_details: InputTokensDetailsJson
    output_tokens: int
    output_tokens_details: OutputTokensDetailsJson
    total_tokens: int


class ResponseJson(TypedDict):
    id: str
    object: Literal["response"]
    created_at: int
    status: ResponseStatus
    background: bool
    completed_at: int | None
    error: ResponseErrorJson | None
    incomplete_details: IncompleteDetailsJson | None
    instructions: str | None
    max_output_tokens: int | None
    metadata: dict[str, str]
    model: str
    output: list[OutputMessageJson]
    parallel_tool_calls: bool
    previous_response_id: str | None
    reasoning: ReasoningJson
    store: bool
    temperature: float | None
    text: TextConfigJson
    tool_choice: Literal["auto"]
    tools: list[Any]
    top_p: float | None
    truncation: Literal["disabled"]
    usage: ResponseUsageJson | None
    user: str | None


class InputTextJson(TypedDict):
    type: Literal["input_text"]
    text: str


class InputMessageJson(TypedDict):
    id: str
    type: Literal["message"]
    role: str
    status: Literal["completed"]
    content: list[InputTextJson]


class FunctionCallJson(TypedDict):
    id: str
    type: Literal["function_call"]
    call_id: str
    name: str
    arguments: str
    status: Literal["completed"]


class FunctionCallOutputJson(TypedDict):
    id: str
    type: Literal["function_call_output"]
    call_id: str | None
    output: str
    status: Literal["completed"]


ItemJson = InputMessageJson | OutputMessageJson | FunctionCallJson | FunctionCallOutputJson


class ItemsJson(TypedDict):
    object: Literal["list"]
    data: list[ItemJson]
    first_id: str | None
    last_id: str | None
    has_more: bool


class DeletedResponseJson(TypedDict):
    id: str
    object: Literal["response"]
    deleted: Literal[True]


# Names: a projection of the generation's, so that there is nothing to look up.


def response_id(generation_id: GenerationId) -> str:
    return _RESPONSE + generation_id.removeprefix(_GENERATION)


def parse_response_id(text: str) -> GenerationId:
    """Raises GenerationNotFound for what can't be one."""
    if not text.startswith(_RESPONSE):
        raise GenerationNotFound
    return parse_generation_id(_GENERATION + text.removeprefix(_RESPONSE))


def message_id(generation_id: GenerationId) -> str:
    return "msg_" + generation_id.removeprefix(_GENERATION)


# Responses


def begun_json(call: Call, generation: Generation, status: ResponseStatus) -> ResponseJson:
    """What can be said of it before it says anything."""
    options, notes, instructions = call.prompt.options, call.notes, call.instructions
    text: TextConfigJson = {"format": text_format(options.response_format)}
    if options.verbosity is not None:
        text["verbosity"] = options.verbosity
    return {
        "id": response_id(generation.id),
        "object": "response",
        "created_at": int(generation.created_at.timestamp()),
        "status": status,
        "background": notes[BACKGROUND],
        "completed_at": None,
        "error": None,
        "incomplete_details": None,
        "instructions": None if instructions is None else instructions.content,
        "max_output_tokens": options.max_completion_tokens,
        "metadata": notes[METADATA],
        "model": generation.model_name,
        "output": [],
        "parallel_tool_calls": True,
        "previous_response_id": notes[PREVIOUS],
        "reasoning": {"effort": options.reasoning_effort, "summary": None},
        "store": call.is_stored,
        "temperature": options.temperature,
        "text": text,
        "tool_choice": "auto",
        "tools": [],
        "top_p": options.top_p,
        "truncation": "disabled",
        "usage": None,
        "user": options.user,
    }


def response_json(call: Call, shown: Shown) -> ResponseJson:
    """As it is now, with what it has said so far."""
    generation = shown.generation
    status = status_of(generation)
    said = begun_json(call, generation, status)
    if shown.text or status in ("completed", "incomplete"):
        said["output"] = [output_json(generation.id, shown.text, status)]
    if status == "completed" and generation.ended_at is not None:
        said["completed_at"] = int(generation.ended_at.timestamp())
    if status == "failed":
        failure = generation.failure or Failure("internal_error", "The answer failed.")
        said["error"] = _error(failure)
    if status == "incomplete":
        said["incomplete_details"] = {"reason": _INCOMPLETE[generation.finish_reason or ""]}
    said["usage"] = _usage(generation.usage)
    return said


_INCOMPLETE: Final[dict[str, Literal["max_output_tokens", "content_filter"]]] = {
    "length": "max_output_tokens",
    "content_filter": "content_filter",
}


def status_of(generation: Generation) -> ResponseStatus:
    match generation.status:
        case GenerationStatus.QUEUED:
            return "in_progress" if generation.attempt else "queued"
        case GenerationStatus.RUNNING:
            return "in_progress"
        case GenerationStatus.FAILED:
            return "failed"
        case GenerationStatus.STOPPED:
            return "cancelled"
        case GenerationStatus.COMPLETED:
            return "incomplete" if generation.finish_reason in _INCOMPLETE else "completed"


def output_json(
    generation_id: GenerationId, text: str | None, status: ResponseStatus
) -> OutputMessageJson:
    """Without a text there is no part yet."""
    written: Literal["in_progress", "completed", "incomplete"] = "incomplete"
    if status == "completed":
        written = "completed"
    elif status in ("queued", "in_progress"):
        written = "in_progress"
    return {
        "id": message_id(generation_id),
        "type": "message",
        "role": "assistant",
        "status": written,
        "content": [] if text is None else [part_json(text)],
    }


def part_json(text: str) -> OutputTextJson:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _error(failure: Failure) -> ResponseErrorJson:
    code = _CODES.get(failure.code, "server_error")
    return {"code": code, "message": failure.detail, "param": None, "type": failure.code}


_CODES: Final = {
    "upstream_rate_limited": "rate_limit_exceeded",
    "upstream_request_refused": "invalid_prompt",
}


def _usage(usage: Usage | None) -> ResponseUsageJson | None:
    if usage is None:
        return None
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": usage.total_tokens,
    }


# What it was asked


def items_of(call: Call, generation_id: GenerationId) -> list[ItemJson]:
    """All that the model was given but the instructions, oldest first; also what came from the
    responses before it."""
    suffix = generation_id.removeprefix(_GENERATION)
    items: list[ItemJson] = []
    for message in call.said:
        items += _items(message, suffix, len(items))
    return items


def _items(message: PromptMessage, suffix: str, index: int) -> Iterator[ItemJson]:
    if message.role is Role.TOOL:
        yield {
            "id": f"fco_{suffix}_{index}",
            "type": "function_call_output",
            "call_id": message.tool_call_id,
            "output": message.content,
            "status": "completed",
        }
    elif message.role is not Role.ASSISTANT:
        yield {
            "id": f"msg_{suffix}_{index}",
            "type": "message",
            "role": message.role.value,
            "status": "completed",
            "content": [{"type": "input_text", "text": message.content}],
        }
    elif not message.calls_only:
        yield {
            "id": f"msg_{suffix}_{index}",
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [part_json(message.content)],
        }
    for further, each in enumerate(message.tool_calls, index):
        yield {
            "id": f"fc_{suffix}_{further}",
            "type": "function_call",
            "call_id": each.id,
            "name": each.function.name,
            "arguments": each.function.arguments,
            "status": "completed",
        }


def items_json(items: list[ItemJson], *, has_more: bool) -> ItemsJson:
    return {
        "object": "list",
        "data": items,
        "first_id": items[0]["id"] if items else None,
        "last_id": items[-1]["id"] if items else None,
        "has_more": has_more,
    }
