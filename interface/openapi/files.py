from typing import Final

from interface.openapi.operation import (
    NO_CONTENT,
    Answer,
    Area,
    Operation,
    RequestBody,
    Schema,
)
from interface.openapi.parameters import PAGING
from interface.wire.answers import FileJson, PageJson

_BYTES: Final[Schema] = {
    "type": "string",
    "format": "binary",
    "contentMediaType": "application/octet-stream",
}
_FORM: Final[Schema] = {
    "type": "object",
    "properties": {
        "session_id": {
            "type": "string",
            "description": "Best before the file: then what can't be taken is refused at once.",
        },
        "file": {**_BYTES, "description": "With a file name, whose ending tells what it is."},
    },
    "required": ["session_id", "file"],
}

FILES: Final = Area(
    "Files",
    "Documents of a session, whose text messages can bring along.",
    {
        ("POST", "/api/files/upload"): Operation(
            "upload_file",
            "Upload a file",
            {
                201: Answer(
                    "Kept; whether its text could be read, it says.",
                    FileJson,
                    gives={"file_id": "/id"},
                )
            },
            body=RequestBody(
                _FORM,
                {"notes": {"session_id": "my-first-session", "file": "The Volga flows east."}},
                media_type="multipart/form-data",
            ),
            errors=[
                "bad_request",
                "request_timeout",
                "session_not_found",
                "file_too_large",
                "unsupported_file_type",
                "unsupported_media_type",
                "too_many_files",
                "storage_quota_exceeded",
                "storage_full",
                "storage_unavailable",
                "overloaded",
            ],
        ),
        ("GET", "/api/files/session/{session_id}"): Operation(
            "list_files",
            "List the files of a session",
            {200: Answer("A page of them.", PageJson[FileJson])},
            parameters=PAGING,
            errors=["session_not_found"],
        ),
        ("GET", "/api/files/{file_id}"): Operation(
            "read_file",
            "Read about a file",
            {200: Answer("All but its content.", FileJson)},
            errors=["file_not_found"],
        ),
        ("GET", "/api/files/{file_id}/content"): Operation(
            "download_file",
            "Download a file",
            {
                200: Answer(
                    "Its bytes, as they came.",
                    _BYTES,
                    "application/octet-stream",
                    headers={"Content-Disposition": "The file's name."},
                )
            },
            errors=["file_not_found", "storage_unavailable"],
        ),
        ("DELETE", "/api/files/{file_id}"): Operation(
            "delete_file",
            "Delete a file",
            {204: NO_CONTENT},
            errors=["file_not_found"],
        ),
    },
)
