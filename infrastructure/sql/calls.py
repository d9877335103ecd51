import logging
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, bindparam, insert, select

from domain.call import Call
from domain.generation import Failure
from domain.identifiers import SessionId
from domain.prompt import Prompt
from infrastructure.sql.connection import Repository, statement
from infrastructure.sql.generation_rows import milliseconds
from infrastructure.sql.tables import calls
from infrastructure.sql.tables import chat_sessions as sessions

log = logging.getLogger(__name__)

_encode: Final = msgspec.json.Encoder().encode
_decode_prompt: Final = msgspec.json.Decoder(Prompt).decode
_decode_notes: Final = msgspec.json.Decoder(dict[str, Any]).decode

_ADD = insert(calls)
_PROMPT = select(calls.c.prompt).where(calls.c.session_id == bindparam("session"))
_FIND = (
    select(calls, sessions.c.kept_for)
    .join(sessions, sessions.c.id == calls.c.session_id)
    .where(calls.c.session_id == bindparam("session"), sessions.c.deleted_at.is_(None))
)


class SqlCalls(Repository):
    @statement
    def add(self, connection: Connection, session_id: SessionId, call: Call) -> None:
        values = {
            "session_id": session_id,
            "dialect": call.dialect,
            "prompt": _encode(call.prompt).decode(),
            "notes": _encode(call.notes).decode(),
        }
        connection.execute(_ADD, values)

    @statement
    def find(self, connection: Connection, session_id: SessionId) -> Call | None:
        row = connection.execute(_FIND, {"session": session_id}).one_or_none()
        if row is None:
            return None
        kept_seconds = row.kept_for // milliseconds(1)
        return Call(_decode_prompt(row.prompt), row.dialect, kept_seconds, _decode_notes(row.notes))


def given_prompt(connection: Connection, session_id: SessionId) -> Prompt | Failure:
    """Of a session that was made for a call. Whoever claimed it must end it in any case: a claim
    that raises is taken back, and would be tried for ever."""
    stored = connection.execute(_PROMPT, {"session": session_id}).scalar_one_or_none()
    try:
        return _decode_prompt(stored or "")
    except msgspec.DecodeError:
        log.exception("the call of %s can't be read", session_id)
        return Failure("internal_error", "What was asked can't be read any more.")
