"""The accents of known servers, byte by byte as they send them."""

import json
from collections.abc import Callable, Sequence
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from application.ports import Finish, Piece, ReasoningPiece, TextPiece
from domain.errors import ModelFailed, ModelKeyRefused, ModelRequestRefused
from domain.message import Usage, storable
from infrastructure.models.completions import Completion
from infrastructure.upstreams.server_sent_events import Event
from tests.infrastructure.replies import bytes_of, heard_of, lines

OPENAI = lines(
    '{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1763740000,"model":"gpt-9",'
    '"service_tier":"default","system_fingerprint":null,"choices":[{"index":0,"delta":{"role":'
    '"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}],'
    '"usage":null,"obfuscation":"a8Lq"}',
    '{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1763740000,"model":"gpt-9",'
    '"choices":[{"index":0,"delta":{"content":"Grüße"},"logprobs":null,"finish_reason":null}],'
    '"usage":null,"obfuscation":"zzzz"}',
    '{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1763740000,"model":"gpt-9",'
    '"choices":[{"index":0,"delta":{"content":" 😀"},"logprobs":null,"finish_reason":null}],'
    '"usage":null,"obfuscation":""}',
    '{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1763740000,"model":"gpt-9",'
    '"choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}],"usage":null}',
    '{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1763740000,"model":"gpt-9",'
    '"choices":[],"usage":{"prompt_tokens":19,"completion_tokens":10,"total_tokens":29,'
    '"prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{}}}',
    "[DONE]",
)


async def test_openai() -> None:
    heard = await heard_of(OPENAI)
    assert heard.pieces == [
        TextPiece("Grüße"),
        TextPiece(" 😀"),
        Finish("stop", Usage(19, 10)),
    ]


async def test_openai_byte_by_byte() -> None:
    assert await heard_of(*bytes_of(OPENAI)) == await heard_of(OPENAI)


async def test_azure() -> None:
    heard = await heard_of(
        lines(
            '{"choices":[],"created":0,"id":"","model":"","object":"","prompt_filter_results":'
            '[{"prompt_index":0,"content_filter_results":{"hate":{"filtered":false,"severity":"safe"}}}]}',
            '{"choices":[{"content_filter_results":{},"delta":{"content":"","refusal":null,"role":'
            '"assistant"},"finish_reason":null,"index":0,"logprobs":null}],"created":1763740000,'
            '"id":"chatcmpl-2","model":"gpt-9","object":"chat.completion.chunk","usage":null}',
            '{"choices":[{"content_filter_results":{"hate":{"filtered":false,"severity":"safe"}},'
            '"delta":{"content":"Hi"},"finish_reason":null,"index":0,"logprobs":null}],'
            '"created":1763740000,"id":"chatcmpl-2","object":"chat.completion.chunk","usage":null}',
            '{"choices":[{"content_filter_results":{},"delta":{},"finish_reason":"content_filter",'
            '"index":0,"logprobs":null}],"id":"chatcmpl-2","object":"chat.completion.chunk"}',
            '{"choices":[],"id":"chatcmpl-2","object":"chat.completion.chunk","usage":'
            '{"completion_tokens":1,"prompt_tokens":8,"total_tokens":9}}',
            "[DONE]",
        )
    )
    assert heard.pieces == [TextPiece("Hi"), Finish("content_filter", Usage(8, 1))]


async def test_vllm_reasons_and_counts_all_along() -> None:
    heard = await heard_of(
        lines(
            '{"id":"c","object":"chat.completion.chunk","created":1,"model":"q","choices":[{"index":0,'
            '"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}],'
            '"usage":{"prompt_tokens":9,"total_tokens":9,"completion_tokens":0}}',
            '{"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":'
            '{"reasoning_content":"Hm","reasoning":"Hm"},"logprobs":null,"finish_reason":null}],'
            '"usage":{"prompt_tokens":9,"total_tokens":10,"completion_tokens":1}}',
            '{"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":'
            '"So"},"logprobs":null,"finish_reason":null,"token_ids":null}],'
            '"usage":{"prompt_tokens":9,"total_tokens":11,"completion_tokens":2}}',
            '{"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":'
            '"."},"logprobs":null,"finish_reason":"length","stop_reason":null}],'
            '"usage":{"prompt_tokens":9,"total_tokens":12,"completion_tokens":3}}',
            "[DONE]",
        )
    )
    assert heard.pieces == [
        ReasoningPiece("Hm"),
        TextPiece("So"),
        TextPiece("."),
        Finish("length", Usage(9, 3)),
    ]


async def test_an_error_of_vllm() -> None:
    heard = await heard_of(
        OPENAI.partition(b"\n\ndata: [DONE]")[0].rsplit(b"\n\n", 2)[0] + b"\n\n",
        lines(
            '{"object":"error","message":"The model is on fire","type":"BadRequestError",'
            '"param":null,"code":400}',
            "[DONE]",
        ),
    )
    assert heard.text == "Grüße 😀"
    assert isinstance(heard.failure, ModelRequestRefused)
    assert heard.finish is None


async def test_deepseek() -> None:
    heard = await heard_of(
        b": keep-alive\n\n: keep-alive\n\n",
        lines(
            '{"id":"d","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"role":'
            '"assistant","content":null,"reasoning_content":""},"finish_reason":null}]}',
            '{"id":"d","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":'
            'null,"reasoning_content":"先想"},"logprobs":null,"finish_reason":null}]}',
        ),
        b": keep-alive\n\n",
        lines(
            '{"id":"d","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":'
            '"你好","reasoning_content":null},"logprobs":null,"finish_reason":null}]}',
            '{"id":"d","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"",'
            '"reasoning_content":null},"finish_reason":"stop"}],"usage":{"prompt_tokens":5,'
            '"completion_tokens":4,"total_tokens":9,"prompt_cache_hit_tokens":0}}',
            "[DONE]",
        ),
    )
    assert heard.pieces == [
        ReasoningPiece("先想"),
        TextPiece("你好"),
        Finish("stop", Usage(5, 4)),
    ]


async def test_ollama_never_says_why_it_ended() -> None:
    heard = await heard_of(
        lines(
            '{"id":"chatcmpl-3","object":"chat.completion.chunk","created":1,"model":"qwen","system_'
            'fingerprint":"fp_ollama","choices":[{"index":0,"delta":{"role":"assistant","content":"",'
            '"reasoning":"Well"},"finish_reason":null}]}',
            '{"id":"chatcmpl-3","object":"chat.completion.chunk","created":1,"model":"qwen","system_'
            'fingerprint":"fp_ollama","choices":[{"index":0,"delta":{"role":"assistant","content":'
            '"Hi"},"finish_reason":null}]}',
            "[DONE]",
        )
    )
    assert heard.pieces == [ReasoningPiece("Well"), TextPiece("Hi"), Finish(None)]


async def test_openrouter() -> None:
    heard = await heard_of(
        b": OPENROUTER PROCESSING\n\n",
        lines(
            '{"id":"gen-1","provider":"X","model":"x/y","object":"chat.completion.chunk","choices":['
            '{"index":0,"delta":{"role":"assistant","content":"","reasoning":"Hm","reasoning_details":'
            '[{"type":"reasoning.text","text":"Hm"}]},"finish_reason":null,'
            '"native_finish_reason":null,"logprobs":null}]}'
        ),
        b": OPENROUTER PROCESSING\n\n",
        lines(
            '{"id":"gen-1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"role":'
            '"assistant","content":"Hi"},"finish_reason":"stop","native_finish_reason":"STOP"}]}',
            '{"id":"gen-1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"role":'
            '"assistant","content":""},"finish_reason":null}],"usage":{"prompt_tokens":1,'
            '"completion_tokens":2,"total_tokens":3,"cost":0.001}}',
            "[DONE]",
        ),
    )
    assert heard.pieces == [
        ReasoningPiece("Hm"),
        TextPiece("Hi"),
        Finish("stop", Usage(1, 2)),
    ]


async def test_an_error_of_openrouter_is_no_end() -> None:
    heard = await heard_of(
        lines('{"choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":null}]}'),
        lines(
            '{"id":"gen-2","object":"chat.completion.chunk","created":1,"model":"x/y","provider":"X",'
            '"error":{"code":502,"message":"Provider disconnected"},"choices":[{"index":0,"delta":'
            '{"content":""},"finish_reason":"error","native_finish_reason":"error"}]}',
            "[DONE]",
        ),
    )
    assert heard.pieces == [TextPiece("Hi")]
    assert type(heard.failure) is ModelFailed


async def test_an_end_by_error_is_no_end_even_if_no_more_is_said() -> None:
    heard = await heard_of(
        lines(
            '{"choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":null}]}',
            '{"choices":[{"index":0,"delta":{"content":""},"finish_reason":"error"}]}',
            "[DONE]",
        )
    )
    assert heard.pieces == [TextPiece("Hi")]
    assert type(heard.failure) is ModelFailed


async def test_litellm() -> None:
    heard = await heard_of(
        lines(
            '{"id":"l","created":1,"object":"chat.completion.chunk","choices":[{"index":0,"delta":'
            '{"content":"Hi","role":"assistant"}}]}',
            '{"id":"l","created":1,"object":"chat.completion.chunk","choices":[{"finish_reason":'
            '"stop","index":0,"delta":{}}]}',
            '{"id":"l","created":1,"object":"chat.completion.chunk","choices":[{"index":0,"delta":{}}'
            '],"usage":{"completion_tokens":2,"prompt_tokens":1,"total_tokens":3}}',
            "[DONE]",
        )
    )
    assert heard.pieces == [TextPiece("Hi"), Finish("stop", Usage(1, 2))]


async def test_an_error_of_litellm() -> None:
    heard = await heard_of(
        lines('{"error": {"message": "litellm.APIError", "type": "None", "code": "500"}}'),
    )
    assert heard.pieces == []
    assert type(heard.failure) is ModelFailed


async def test_transformers_never_says_done() -> None:
    heard = await heard_of(
        lines(
            '{"id":"t","choices":[{"delta":{"content":"Hi","role":"assistant"},"index":0}],"created":'
            '1,"model":"m@main","object":"chat.completion.chunk","system_fingerprint":""}',
            '{"id":"t","choices":[{"delta":{},"finish_reason":"stop","index":0}],"created":1,'
            '"model":"m@main","object":"chat.completion.chunk","system_fingerprint":""}',
        )
    )
    assert heard.pieces == [TextPiece("Hi"), Finish("stop")]


async def test_an_error_of_transformers() -> None:
    heard = await heard_of(lines('{"error": "CUDA out of memory"}'))
    assert type(heard.failure) is ModelFailed


async def test_llama_cpp_escapes_all_that_is_not_ascii() -> None:
    heard = await heard_of(
        lines(
            '{"choices": [{"finish_reason": null, "index": 0, "delta": {"role": "assistant", '
            '"content": null}}], "created": 1, "object": "chat.completion.chunk"}',
            '{"choices": [{"finish_reason": null, "index": 0, "delta": {"content": '
            '"\\u4f60\\ud83d\\ude00"}}], "created": 1, "object": "chat.completion.chunk"}',
            '{"choices": [{"finish_reason": "stop", "index": 0, "delta": {}}], "timings": '
            '{"prompt_n": 1}, "object": "chat.completion.chunk"}',
            "[DONE]",
        )
    )
    assert heard.pieces == [TextPiece("你😀"), Finish("stop")]


async def test_an_empty_body_of_llama_cpp_is_no_answer() -> None:
    assert (await heard_of()).code == "upstream_truncated"
    assert (await heard_of(content_type="application/json")).code == "upstream_malformed"


# Text of all kinds


def delta(field: str, json_text: str, reason: str = "null") -> str:
    return '{"choices":[{"index":0,"delta":{"%s":%s},"finish_reason":%s}]}' % (  # noqa: UP031
        field,
        json_text,
        reason,
    )


async def test_a_character_in_two_halves_in_two_events_is_one() -> None:
    heard = await heard_of(
        lines(
            delta("content", '"a\\ud83d"'),
            delta("reasoning", '"\\ud83e"'),
            delta("content", '"\\ude00b"'),
            delta("reasoning", '"\\udd14"'),
            "[DONE]",
        )
    )
    told = [storable(piece.text) for piece in heard.pieces if not isinstance(piece, Finish)]
    assert told == ["a", "😀b", "🤔"]


@pytest.mark.parametrize("last", ['"b"', '"\\ud83d\\ude00"', '""'])
async def test_half_a_character_whose_other_half_never_comes_harms_nothing_else(last: str) -> None:
    heard = await heard_of(lines(delta("content", '"a\\ud83d"'), delta("content", last), "[DONE]"))
    assert heard.text.startswith("a")
    assert heard.text.endswith(("a", "b", "😀", "\ud83d"))
    assert heard.finish == Finish(None)


async def test_nul_and_all_other_control_characters_are_text() -> None:
    heard = await heard_of(lines(delta("content", '"a\\u0000b\\u001b\\u2028"'), "[DONE]"))
    assert heard.text == "a\x00b\x1b\u2028"


async def test_of_several_choices_the_first_is_the_answer() -> None:
    heard = await heard_of(
        lines(
            '{"choices":[{"index":1,"delta":{"content":"no"},"finish_reason":null},'
            '{"index":0,"delta":{"content":"yes"},"finish_reason":null}]}',
            '{"choices":[{"index":1,"delta":{},"finish_reason":"length"}]}',
            delta("content", '"!"'),
            '{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}',
            "[DONE]",
        )
    )
    assert heard.pieces == [TextPiece("yes"), TextPiece("!"), Finish("stop")]


async def test_of_several_choices_of_a_whole_answer_the_first_is_the_answer() -> None:
    choice = '{"index":%d,"message":{"content":"%s"},"finish_reason":"stop"}'
    body = '{"choices":[%s,%s]}' % (choice % (0, "yes"), choice % (1, "no"))  # noqa: UP031
    heard = await heard_of(body.encode(), content_type="application/json")
    assert heard.pieces == [TextPiece("yes"), Finish("stop")]


async def test_the_end_of_another_choice_is_not_the_end() -> None:
    heard = await heard_of(
        lines(
            delta("content", '"Hi"'),
            '{"choices":[{"index":1,"delta":{},"finish_reason":"stop"}]}',
        )
    )
    assert heard.pieces == [TextPiece("Hi")]
    assert heard.code == "upstream_truncated"


async def test_a_refusal_is_an_answer() -> None:
    heard = await heard_of(
        lines(delta("refusal", '"I can not."'), delta("content", "null", '"stop"'), "[DONE]")
    )
    assert heard.pieces == [TextPiece("I can not."), Finish("stop")]


async def test_calls_of_tools_are_no_text() -> None:
    heard = await heard_of(
        lines(
            delta("tool_calls", '[{"index":0,"function":{"arguments":"{}"}}]'),
            delta("content", "null", '"tool_calls"'),
            "[DONE]",
        )
    )
    assert heard.pieces == [Finish("tool_calls")]


@pytest.mark.parametrize(
    "usage",
    [
        *('"much"', "7", "[]", "{}", "true", '{"prompt_tokens":-1,"completion_tokens":1}'),
        '{"prompt_tokens":1.5}',
        '{"prompt_tokens":99999999999999999999}',
        '{"prompt_tokens":null}',
    ],
)
async def test_what_is_no_usage_is_no_usage_and_no_failure(usage: str) -> None:
    heard = await heard_of(
        lines(
            '{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}',
            '{"choices":[],"usage":%s}' % usage,  # noqa: UP031
            "[DONE]",
        )
    )
    assert heard.pieces == [Finish(None, Usage(3, 2))]


async def test_a_reason_is_kept_short_and_storable() -> None:
    reason = "x" * 30 + "\\u0000\\ud83d" + "y" * 100
    heard = await heard_of(lines(delta("content", '""', f'"{reason}"')))
    assert heard.pieces == [Finish("x" * 30 + "\ufffd\ufffd" + "y" * 8)]


async def test_an_empty_reason_is_none() -> None:
    heard = await heard_of(lines(delta("content", '"Hi"', '""')))
    assert heard.code == "upstream_truncated"


# Errors within a stream


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (
            '{"message":"x","type":"invalid_request_error","code":"context_length_exceeded"}',
            "upstream_request_refused",
        ),
        ('{"message":"x","type":"rate_limit_error","code":null}', "upstream_rate_limited"),
        ('{"message":"x","code":429}', "upstream_rate_limited"),
        ('{"message":"x","code":"429"}', "upstream_rate_limited"),
        ('{"message":"x","code":"invalid_api_key"}', "upstream_key_refused"),
        ('{"message":"x","type":"server_error"}', "upstream_error"),
        ('{"message":"x","code":1234}', "upstream_error"),
        ('{"message":"x","code":404,"status":"500"}', "upstream_request_refused"),
        ('"429"', "upstream_error"),
        ("true", "upstream_error"),
        ('["x"]', "upstream_error"),
        ('{"code":{"code":429}}', "upstream_error"),
    ],
)
async def test_an_error_within_a_stream_means_what_its_status_would(error: str, code: str) -> None:
    whole = '{"error":' + error + "}"
    assert (await heard_of(lines(whole, "[DONE]"))).code == code
    assert (await heard_of(b"event: error\n" + lines(error))).code == code
    assert (await heard_of(whole.encode(), content_type="application/json")).code == code


@pytest.mark.parametrize("body", ["", "x", "null", "[]", '{"message":"\\ud83d"}', "[" * 5_000])
async def test_an_event_named_error_is_one_whatever_it_says(body: str) -> None:
    heard = await heard_of(
        lines(delta("content", '"Hi"')), b"event: error\ndata: " + body.encode() + b"\n\n"
    )
    assert heard.text == "Hi"
    assert type(heard.failure) is ModelFailed


async def test_an_event_named_error_may_hold_the_whole_object() -> None:
    heard = await heard_of(b'event: error\ndata: {"error":{"message":"x","code":401}}\n\n')
    assert isinstance(heard.failure, ModelKeyRefused)


@pytest.mark.parametrize("nothing", ["null", "{}", '""', "false", "[]"])
async def test_an_error_that_says_nothing_is_none(nothing: str) -> None:
    heard = await heard_of(lines('{"error":' + nothing + ',"choices":[]}', "[DONE]"))
    assert heard.pieces == [Finish(None)]


# What is no answer

FIELDS = st.sampled_from(
    ["choices", "delta", "message", "index", "content", "finish_reason", "usage", "error", "object"]
)
NEAR_ANSWERS = st.recursive(
    st.none() | st.integers(-1, 1) | st.sampled_from(["", "x", "error", "\ud83d", "\x00"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(FIELDS, inner, max_size=4),
    max_leaves=12,
)


@given(st.binary(max_size=60) | NEAR_ANSWERS.map(lambda said: json.dumps(said).encode()))
def test_whatever_comes_it_is_an_answer_or_a_failure_of_the_model(data: bytes) -> None:
    heard: list[Callable[[], Sequence[Piece]]] = [
        lambda: Completion().hear(Event(b"", data)),
        lambda: Completion().hear(Event(b"error", data)),
        lambda: Completion().hear_whole(data),
    ]
    for hear in heard:
        with suppress(ModelFailed):
            assert all(piece.text for piece in hear() if not isinstance(piece, Finish))
