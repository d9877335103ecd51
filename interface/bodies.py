"""Reading what a request carries, within limits."""

import asyncio
from typing import Final

from starlette.requests import ClientDisconnect, Request

from domain.errors import ChatError

MAX_BODY_BYTES: Final = 1024 * 1024
BODY_SECONDS: Final = 60.0
"""For all of it; a byte now and then would else keep what is read for ever."""


class PayloadTooLarge(ChatError):
    code = "payload_too_large"

    def __init__(self) -> None:
        super().__init__(f"A request's body may have {MAX_BODY_BYTES:,} bytes.")


class TooSlow(ChatError):
    code = "request_timeout"

    def __init__(self) -> None:
        super().__init__("The body came too slowly.")


class BodyCutOff(ChatError):
    """The client left within its request; nobody hears this answer."""

    code = "bad_request"

    def __init__(self) -> None:
        super().__init__("The request's body is not complete.")


async def read_body(request: Request) -> bytes:
    """Raises PayloadTooLarge, at once if the length is announced, TooSlow, BodyCutOff."""
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced[:20]) > MAX_BODY_BYTES:
        raise PayloadTooLarge
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for part in request.stream():
                body += part
                if len(body) > MAX_BODY_BYTES:
                    raise PayloadTooLarge
    except TimeoutError:
        raise TooSlow from None
    except ClientDisconnect:
        raise BodyCutOff from None
    return bytes(body)
