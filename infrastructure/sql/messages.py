from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, insert, select

from domain.identifiers import GenerationId, MessageId, SessionId
from domain.message import AnswerStatus, Message, Role, Usage
from domain.repositories import NewQuestion
from infrastructure.sql.clock import now_ms, to_datetime
from infrastructure.sql.connection import Repository, statement
from infrastructure.sql.tables import chat_messages as messages


class SqlMessages(Repository):
    @statement
    def add_question(self, connection: Connection, new: NewQuestion) -> MessageId:
        inserted = connection.execute(
            insert(messages)
            .values(
                session_id=new.session_id,
                generation_id=new.generation_id,
                number=new.number,
                role=Role.USER.value,
                content=new.content,
                created_at=now_ms(),
            )
            .returning(messages.c.id)
        )
        return MessageId(inserted.scalar_one())

    @statement
    def recent(
        self, connection: Connection, session_id: SessionId, up_to_number: int, limit: int
    ) -> Sequence[Message]:
        rows = connection.execute(
            select(messages)
            .where(
                messages.c.session_id == session_id,
                messages.c.number <= up_to_number,
                messages.c.deleted_at.is_(None),
            )
            .order_by(messages.c.number.desc(), messages.c.id.desc())
            .limit(limit)
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
        number = messages.c.number
        query = select(messages).where(
            messages.c.session_id == session_id, messages.c.deleted_at.is_(None)
        )
        if after_number is not None:
            query = query.where(number < after_number if newest_first else number > after_number)
        order = (number.desc(),) if newest_first else (number,)
        return [_message(row) for row in connection.execute(query.order_by(*order).limit(limit))]


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
