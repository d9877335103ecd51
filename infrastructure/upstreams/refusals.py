"""What a server's refusal means. Its own words stay inside: they may repeat key or prompt."""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import msgspec

from domain.errors import ModelFailed, ModelKeyRefused, ModelRateLimited, ModelRequestRefused

_MEANINGS: Final = {
    "content_filter": "The model's server refused the content.",
    "content_policy_violation": "The model's server refused the content.",
    "context_length_exceeded": "The conversation is too long for this model.",
    "insufficient_quota": "The quota of this API key is used up.",
    "model_not_found": "The model's server does not know this model.",
}
_STATUS_OF: Final = {
    "authentication_error": 401,
    "invalid_api_key": 401,
    "invalid_request_error": 400,
    "permission_error": 403,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
}
_STATUS: Final = re.compile(r"[45][0-9]{2}", re.ASCII)


class CountingRefused(ModelRequestRefused):
    """The server does not know how to be asked for the usage; it may answer when it is not."""


def refusal(status: int, body: bytes, retry_after: str | None) -> ModelFailed:
    """Of a reply with a bad status: what to raise."""
    if status in (400, 422) and b"stream_options" in body:
        return CountingRefused("The model's server does not count tokens.")
    return _refusal(status, _said(body), _seconds(retry_after))


def refusal_in_stream(error: object) -> ModelFailed:
    """Of an error object within a stream whose status was good."""
    words = _words_within(error)
    statuses = [int(word) for word in words if _STATUS.fullmatch(word)]
    statuses += [_STATUS_OF[word] for word in words & _STATUS_OF.keys()]
    return _refusal(min(statuses, default=500), words, None)


def _refusal(status: int, words: frozenset[str], retry_after: float | None) -> ModelFailed:
    for word in words & _MEANINGS.keys():
        return ModelRequestRefused(_MEANINGS[word])
    if status in (401, 403):
        return ModelKeyRefused(f"The model's server does not accept the API key ({status}).")
    if status == 404:
        return ModelRequestRefused("The model's server knows no such address or model (404).")
    if status == 429:
        return _rate_limited(retry_after)
    if 300 <= status < 400:
        return ModelRequestRefused(
            f"The model's server sends callers elsewhere ({status}), which is not followed."
        )
    if status == 408 or status >= 500:
        return ModelFailed(f"The model's server failed ({status}).")
    return ModelRequestRefused(f"The model's server refused the request ({status}).")


def _rate_limited(retry_after: float | None) -> ModelRateLimited:
    when = "" if retry_after is None else f"; it said to come back in {retry_after:.0f} s"
    return ModelRateLimited(f"The model's server takes no more requests now{when}.", retry_after)


def _said(body: bytes) -> frozenset[str]:
    try:
        said = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return frozenset()
    return _words_within(said)


def _words_within(said: object) -> frozenset[str]:
    return _words(said.get("error", said) if isinstance(said, dict) else said)


def _words(error: object) -> frozenset[str]:
    if not isinstance(error, dict):
        return frozenset()
    return frozenset(str(error.get(name)) for name in ("code", "type", "status"))


def _seconds(retry_after: str | None) -> float | None:
    """RFC 9110, section 10.2.3: seconds, or a date."""
    if retry_after is None:
        return None
    try:
        if retry_after.strip().isdecimal():
            return float(retry_after[:10])
        wait = (parsedate_to_datetime(retry_after) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return None
    return max(wait, 0.0)
