"""Errors as clients see them: RFC 9457 problem details, and the one table of codes."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from math import ceil
from typing import Annotated, Final, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from domain.errors import ChatError, Flaw

# code: status. Codes are stable; `docs/errors.md` says what each means.
STATUS: Final[Mapping[str, HTTPStatus]] = {
    "invalid_request": HTTPStatus.UNPROCESSABLE_ENTITY,
    "not_signed_in": HTTPStatus.UNAUTHORIZED,
    "invalid_token": HTTPStatus.UNAUTHORIZED,
    "invalid_credentials": HTTPStatus.UNAUTHORIZED,
    "username_taken": HTTPStatus.CONFLICT,
    "foreign_origin": HTTPStatus.FORBIDDEN,
    "foreign_host": HTTPStatus.FORBIDDEN,
    "user_not_found": HTTPStatus.NOT_FOUND,
    "not_found": HTTPStatus.NOT_FOUND,
    "session_not_found": HTTPStatus.NOT_FOUND,
    "generation_not_found": HTTPStatus.NOT_FOUND,
    "model_not_found": HTTPStatus.NOT_FOUND,
    "persona_not_found": HTTPStatus.NOT_FOUND,
    "file_not_found": HTTPStatus.NOT_FOUND,
    "file_unreadable": HTTPStatus.UNPROCESSABLE_ENTITY,
    "file_too_large": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "unsupported_file_type": HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    "unsupported_media_type": HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    "too_many_files": HTTPStatus.CONFLICT,
    "storage_quota_exceeded": HTTPStatus.CONFLICT,
    "storage_full": HTTPStatus.INSUFFICIENT_STORAGE,
    "storage_unavailable": HTTPStatus.SERVICE_UNAVAILABLE,
    "request_timeout": HTTPStatus.REQUEST_TIMEOUT,
    "api_not_found": HTTPStatus.NOT_FOUND,
    "token_not_found": HTTPStatus.NOT_FOUND,
    "method_not_allowed": HTTPStatus.METHOD_NOT_ALLOWED,
    "session_busy": HTTPStatus.CONFLICT,
    "session_closed": HTTPStatus.CONFLICT,
    "previous_call_not_found": HTTPStatus.NOT_FOUND,
    "previous_call_unanswered": HTTPStatus.CONFLICT,
    "context_length_exceeded": HTTPStatus.BAD_REQUEST,
    "nothing_to_regenerate": HTTPStatus.CONFLICT,
    "nothing_to_stop": HTTPStatus.CONFLICT,
    "answer_pending": HTTPStatus.GATEWAY_TIMEOUT,
    "name_taken": HTTPStatus.CONFLICT,
    "too_many_tokens": HTTPStatus.CONFLICT,
    "api_key_unreadable": HTTPStatus.CONFLICT,
    "idempotency_conflict": HTTPStatus.UNPROCESSABLE_ENTITY,
    "payload_too_large": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "headers_too_large": HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    "bad_request": HTTPStatus.BAD_REQUEST,
    "internal_error": HTTPStatus.INTERNAL_SERVER_ERROR,
    "database_unavailable": HTTPStatus.SERVICE_UNAVAILABLE,
    "queue_unavailable": HTTPStatus.SERVICE_UNAVAILABLE,
    "rate_limited": HTTPStatus.TOO_MANY_REQUESTS,
    "too_many_streams": HTTPStatus.TOO_MANY_REQUESTS,
    "too_many_answers": HTTPStatus.TOO_MANY_REQUESTS,
    "token_budget_spent": HTTPStatus.TOO_MANY_REQUESTS,
    "queue_full": HTTPStatus.SERVICE_UNAVAILABLE,
    "overloaded": HTTPStatus.SERVICE_UNAVAILABLE,
    "restarting": HTTPStatus.SERVICE_UNAVAILABLE,
    "upstream_error": HTTPStatus.BAD_GATEWAY,
    "upstream_truncated": HTTPStatus.BAD_GATEWAY,
    "upstream_unreachable": HTTPStatus.BAD_GATEWAY,
    "upstream_address_refused": HTTPStatus.BAD_GATEWAY,
    "upstream_key_refused": HTTPStatus.BAD_GATEWAY,
    "upstream_request_refused": HTTPStatus.BAD_GATEWAY,
    "upstream_malformed": HTTPStatus.BAD_GATEWAY,
    "upstream_overflow": HTTPStatus.BAD_GATEWAY,
    "upstream_timeout": HTTPStatus.GATEWAY_TIMEOUT,
    "upstream_rate_limited": HTTPStatus.SERVICE_UNAVAILABLE,
    "upstream_suspended": HTTPStatus.SERVICE_UNAVAILABLE,
    "answer_restarted": HTTPStatus.BAD_GATEWAY,
    "answer_stopped": HTTPStatus.CONFLICT,
    "worker_lost": HTTPStatus.INTERNAL_SERVER_ERROR,
}

RETRY_AFTER_SECONDS: Final = 2


class FlawJson(TypedDict):
    pointer: Annotated[str, Field(description="Where: a JSON pointer into what was sent.")]
    message: str


class ProblemJson(TypedDict):
    """Problem details (RFC 9457). `code` is stable, and what a program should look at."""

    type: str
    title: str
    status: int
    detail: Annotated[str, Field(description="A sentence for people.")]
    instance: str | None
    code: str
    request_id: Annotated[str | None, Field(description="Finds the request in the server's log.")]
    errors: NotRequired[list[FlawJson]]
    retry_after: NotRequired[
        Annotated[
            int, Field(description="Seconds to wait, as in `Retry-After`, which sockets lack.")
        ]
    ]
    session_id: NotRequired[
        Annotated[
            str, Field(description="If a message was accepted, and its answer is the matter.")
        ]
    ]
    generation_id: NotRequired[
        Annotated[str, Field(description="Likewise: under this the answer goes on, or has failed.")]
    ]


def problem(
    code: str,
    detail: str,
    *,
    instance: str | None,
    request_id: str | None,
    flaws: Sequence[Flaw] = (),
) -> ProblemJson:
    status = STATUS.get(code, HTTPStatus.INTERNAL_SERVER_ERROR)
    shown: ProblemJson = {
        "type": f"urn:llm-chat:problem:{code}",
        "title": code.replace("_", " ").capitalize(),
        "status": status.value,
        "detail": detail,
        "instance": instance,
        "code": code,
        "request_id": request_id,
    }
    if flaws:
        shown["errors"] = [{"pointer": flaw.pointer, "message": flaw.message} for flaw in flaws]
    return shown


def problem_of(error: ChatError, instance: str | None, request_id: str | None) -> ProblemJson:
    shown = problem(
        error.code, str(error), instance=instance, request_id=request_id, flaws=error.flaws
    )
    if error.retry_after is not None:
        shown["retry_after"] = ceil(error.retry_after)
    return shown
