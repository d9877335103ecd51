import logging
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from application.files import DeleteFile, ListFiles, ReadContent, ReadFile
from application.upload_file import UploadFile
from domain.errors import StorageUnavailable
from domain.identifiers import FileId
from domain.uploaded_file import UploadedFile
from interface.asker import Asker
from interface.multipart import FileForm
from interface.replies import json_reply, page_reply
from interface.sessions import session_id_of
from interface.wire.outgoing import file_cursor, file_json
from interface.wire.parameters import parse_file_cursor, parse_file_id, parse_limit

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FileRoutes:
    who: Asker
    upload_file: UploadFile
    list_files: ListFiles
    read_file: ReadFile
    read_content: ReadContent
    delete_file: DeleteFile

    def routes(self) -> list[BaseRoute]:
        one = "/api/files/{file_id}"
        return [
            Route("/api/files/upload", self.upload, methods=["POST"]),
            Route("/api/files/session/{session_id}", self.list),
            Route(one, self.read),
            Route(one, self.delete, methods=["DELETE"]),
            Route(f"{one}/content", self.content),
        ]

    async def upload(self, request: Request) -> Response:
        user = await self.who(request)
        form = await FileForm.begin(request, self.upload_file.limits.file_bytes)
        return json_reply(file_json(await self.upload_file(user, form)), 201)

    async def list(self, request: Request) -> Response:
        user = await self.who(request)
        limit = parse_limit(request.query_params.get("limit"))
        after = parse_file_cursor(request.query_params.get("cursor"))
        found = await self.list_files(user, session_id_of(request), limit + 1, after)
        return page_reply(found, limit, file_json, file_cursor)

    async def read(self, request: Request) -> Response:
        user = await self.who(request)
        return json_reply(file_json(await self.read_file(user, _file_id(request))))

    async def content(self, request: Request) -> Response:
        user = await self.who(request)
        return _Attachment(*await self.read_content(user, _file_id(request)))

    async def delete(self, request: Request) -> Response:
        user = await self.who(request)
        await self.delete_file(user, _file_id(request))
        return Response(status_code=204)


class _Attachment(Response):
    """What somebody has uploaded: to be kept by a browser, and never to be run or shown by it."""

    def __init__(self, file: UploadedFile, pieces: AsyncGenerator[bytes, None]) -> None:
        super().__init__(media_type="application/octet-stream")
        self._size = file.size
        self.headers["Content-Length"] = str(file.size)
        self.headers["Content-Disposition"] = _attached_as(file.name)
        self.headers["X-Content-Type-Options"] = "nosniff"
        self.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
        self.headers["Cache-Control"] = "private, no-cache"
        self._pieces = pieces

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        async with aclosing(self._pieces) as pieces:
            if scope["method"] == "HEAD":
                await self._begin(send)
            else:
                first = await anext(pieces, b"")  # it may be gone by now, which is a reply yet
                await self._begin(send)
                if not await self._send_all(first, pieces, send):
                    return  # and the server cuts the connection: it is not all of it
            await send({"type": "http.response.body", "body": b""})

    async def _begin(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})

    async def _send_all(self, first: bytes, rest: AsyncIterator[bytes], send: Send) -> bool:
        """Whether that was all."""
        left = self._size
        piece = first
        try:
            while piece and len(piece) <= left:
                left -= len(piece)
                await send({"type": "http.response.body", "body": piece, "more_body": True})
                piece = await anext(rest, b"")
        except StorageUnavailable as error:
            log.warning("a download is cut: %s", error.__cause__ or error)
            return False
        if left or piece:
            log.warning("a download is cut: the file has changed")
            return False
        return True


def _attached_as(name: str) -> str:
    """Twice, as RFC 6266, 4.3 has it: some programs know only the first form, which is ASCII."""
    ascii_name = re.sub(r'[^ -~]|["\\%]', "_", name)
    return f"attachment; filename=\"{ascii_name}\"; filename*=UTF-8''{quote(name, '')}"


def _file_id(request: Request) -> FileId:
    return parse_file_id(request.path_params["file_id"])
