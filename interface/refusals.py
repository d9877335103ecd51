"""Answers of the protocols themselves, to what never becomes a request of the application."""

from typing import Final

from interface.precautions import PRECAUTIONS
from interface.problems import STATUS, problem
from interface.wire.encoding import encode

HEAD_TOO_LARGE: Final = "headers_too_large", "The head of the request is too large."
NOT_HTTP: Final = "bad_request", "This is not a valid HTTP request."
BODY_TOO_SLOW: Final = "request_timeout", "The rest of the request's body did not come."


def refusal(code: str, detail: str, request_id: str | None = None) -> bytes:
    """A whole HTTP answer, after which the connection is to be closed."""
    status = STATUS[code]
    body = encode(problem(code, detail, instance=None, request_id=request_id))
    precautions = "".join(f"{name.decode()}: {said.decode()}\r\n" for name, said in PRECAUTIONS)
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\n"
        "content-type: application/problem+json\r\n"
        f"content-length: {len(body)}\r\n"
        f"{precautions}"
        "connection: close\r\n\r\n"
    )
    return head.encode() + body
