"""The web application: routes, errors, and what every request passes."""

from collections.abc import Sequence
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from application.ports import Spans
from application.spans import UNTRACED
from domain.errors import ChatError
from interface.dialects.openai_errors import OpenAIErrors
from interface.ending import CutAtTheEnd
from interface.foreign_pages import NoForeignPages, open_to_pages
from interface.origins import Origins
from interface.part_of_a_trace import PartOfATrace
from interface.precautions import Precautions
from interface.replies import on_chat_error, on_fault, on_http_exception
from interface.request_id import RequestIds

NOBODY_ELSES: Final = Origins()


def build_app(
    routes: Sequence[BaseRoute], origins: Origins = NOBODY_ELSES, spans: Spans = UNTRACED
) -> ASGIApp:
    handlers = {
        ChatError: on_chat_error,
        HTTPException: on_http_exception,
        Exception: on_fault,
    }
    app: ASGIApp = Starlette(routes=routes, exception_handlers=handlers)
    if spans is not UNTRACED:
        app = PartOfATrace(app, spans)
    app = CutAtTheEnd(app)
    # Allowed pages may read whatever is answered; of those that are not, nothing comes through to
    # where it is made.
    guarded = NoForeignPages(open_to_pages(app, origins), origins)
    # Ids and precautions outside of all else, so that also the answer to a fault of ours has them.
    return Precautions(RequestIds(OpenAIErrors(guarded)))
