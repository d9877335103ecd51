from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, bindparam, exists, insert, select, update

from domain.identifiers import FileId, GenerationId, MessageId, SessionId
from domain.message import AnswerStatus, Message, Role, Usage
from domain.repositories import NewQuestion
from infrastructure.sql.clock import now_ms, to_datetime
from infrastructure.sql.connection import Repository, statement
from infrastructure.sql.tables import chat_messages as messages
from infrastructure.sql.tables import generations

_ADD = insert(messages).values(created_at=now_ms()).returning(messages.c.id)

_number = messages.c.number
_of_session = select(messages).where(
    messages.c.session_id == bindparam("session"), messages.c.deleted_at.is_(None)
)
_questions = messages.alias("questions")
_question_is_there = exists().where(
    generations.c.id == messages.c.generation_id,
    _questions.c.id == generations.c.message_id,
    _questions.c.deleted_at.is_(None),
)
_FIND = select(messages).where(
    messages.c.id == bindparam("message"), messages.c.deleted_at.is_(None) | _question_is_there
)
_LAST_QUESTION = (
    _of_session.where(messages.c.role == Role.USER.value).order_by(_number.desc()).limit(1)
)
_WITHDRAW_ANSWERS = (
    update(messages)
    .where(
        messages.c.session_id == bindparam("session"),
        _number == bindparam("answer_number"),
        messages.c.deleted_at.is_(None),
    )
    .values(deleted_at=now_ms())
    .returning(messages.c.id)
)
_ANSWERED_BY = (
    update(messages)
    .where(messages.c.id == bindparam("message"))
    .values(generation_id=bindparam("new_generation"))
)
_CLEAR = (
    update(messages)
    .where(messages.c.session_id == bindparam("session"), messages.c.deleted_at.is_(None))
    .values(deleted_at=now_ms())
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
            "file_ids": list(new.file_ids) or None,
        }
        return MessageId(connection.execute(_ADD, values).scalar_one())

    @statement
    def find(self, connection: Connection, message_id: MessageId) -> Message | None:
        row = connection.execute(_FIND, {"message": message_id}).one_or_none()
        return None if row is None else _message(row)

    @statement
    def last_question(self, connection: Connection, session_id: SessionId) -> Message | None:
        row = connection.execute(_LAST_QUESTION, {"session": session_id}).one_or_none()
        return None if row is None else _message(row)

    @statement
    def withdraw_answers(
        self, connection: Connection, question: Message, generation_id: GenerationId
    ) -> int:
        answers = {"session": question.session_id, "answer_number": question.number + 1}
        withdrawn = connection.execute(_WITHDRAW_ANSWERS, answers).all()
        again = {"message": question.id, "new_generation": generation_id}
        connection.execute(_ANSWERED_BY, again)
        return len(withdrawn)

    @statement
    def clear(self, connection: Connection, session_id: SessionId) -> None:
        clear_messages(connection, session_id)

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


def clear_messages(connection: Connection, session_id: SessionId) -> None:
    connection.execute(_CLEAR, {"session": session_id})


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
        to_file_ids(row.file_ids),
    )


def to_file_ids(stored: list[int] | None) -> tuple[FileId, ...]:
    return tuple(map(FileId, stored or ()))


def usage_from(stored: dict[str, int] | None) -> Usage | None:
    return None if stored is None else Usage(**stored)


def usage_to(usage: Usage | None) -> dict[str, int] | None:
    if usage is None:
        return None
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
    }
