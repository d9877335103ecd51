from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, bindparam, insert, select

from domain.identifiers import GenerationId, MessageId, SessionId
from domain.message import AnswerStatus, Message, Role, Usage
from domain.repositories import NewQuestion
from infrastructure.sql.clock import now_ms, to_datetime
from infrastructure.sql.connection import Repository, statement
from infrastructure.sql.tables import chat_messages as messages

_ADD = insert(messages).values(created_at=now_ms()).returning(messages.c.id)

_number = messages.c.number
_of_session = select(messages).where(
    messages.c.session_id == bindparam("session"), messages.c.deleted_at.is_(None)
)
_RECENT = (
    _of_session.where(_number <= bindparam("up_to"))
    .order_by(_number.desc(), messages.c.id.desc())
    .limit(bindparam("most"))
)
_PAGE = _of_session.order_by(_number).limit(bindparam("most"))
_PAGE_AFTER = _PAGE.where(_number > bindparam("after"))
_PAGE_BACK = _of_session.order_by(_number.desc()).limit(bindparam("most"))
_PAGE_BACK_AFTER = _PAGE_BACK.where(_number < bindparam("after"))


class SqlMessages(Repository):
    @statement
    def add_question(self, connection: Connection, new: NewQuestion) -> MessageId:
        values = {
            "session_id": new.session_id,
            "generation_id": new.generation_id,
            "number": new.number,
            "role": Role.USER.value,
            "content": new.content,
        }
        return MessageId(connection.execute(_ADD, values).scalar_one())

    @statement
    def recent(
        self, connection: Connection, session_id: SessionId, up_to_number: int, limit: int
    ) -> Sequence[Message]:
        rows = connection.execute(
            _RECENT, {"session": session_id, "up_to": up_to_number, "most": limit}
        )
        return [_message(row) for row in reversed(rows.all())]

    @statement
    def page(
        self,
        connection: Connection,
        session_id: SessionId,
        limit: int,
        after_number: int | None,
        newest_first: bool,
    ) -> Sequence[Message]:
        values: dict[str, Any] = {"session": session_id, "most": limit}
        query = _PAGE_BACK if newest_first else _PAGE
        if after_number is not None:
            values["after"] = after_number
            query = _PAGE_BACK_AFTER if newest_first else _PAGE_AFTER
        return [_message(row) for row in connection.execute(query, values)]


def _message(row: Row[Any]) -> Message:
    return Message(
        MessageId(row.id),
        SessionId(row.session_id),
        row.number,
        Role(row.role),
        row.content,
        to_datetime(row.created_at),
        None if row.generation_id is None else GenerationId(row.generation_id),
        None if row.status is None else AnswerStatus(row.status),
        row.finish_reason,
        usage_from(row.usage),
    )


def usage_from(stored: dict[str, int] | None) -> Usage | None:
    return None if stored is None else Usage(**stored)


def usage_to(usage: Usage | None) -> dict[str, int] | None:
    if usage is None:
        return None
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
    }
