from sqlalchemy import Connection, bindparam, insert, select
from sqlalchemy.exc import IntegrityError

from domain.identifiers import GenerationId, MessageId, SessionId, UserId
from domain.repositories import KeptRequest
from infrastructure.sql.clock import now_ms
from infrastructure.sql.connection import Repository, statement
from infrastructure.sql.tables import idempotency_keys as keys

_FIND = select(keys).where(keys.c.user_id == bindparam("owner"), keys.c.key == bindparam("named"))
_ADD = insert(keys).values(created_at=now_ms())


class SqlIdempotencyKeys(Repository):
    @statement
    def find(self, connection: Connection, owner: UserId, key: str) -> KeptRequest | None:
        row = connection.execute(_FIND, {"owner": owner, "named": key}).one_or_none()
        if row is None:
            return None
        return KeptRequest(
            row.digest,
            SessionId(row.session_id),
            MessageId(row.message_id),
            GenerationId(row.generation_id),
        )

    @statement
    def add(self, connection: Connection, owner: UserId, key: str, kept: KeptRequest) -> bool:
        values = {
            "user_id": owner,
            "key": key,
            "digest": kept.digest,
            "session_id": kept.session_id,
            "message_id": kept.message_id,
            "generation_id": kept.generation_id,
        }
        try:
            with connection.begin_nested():  # so that the transaction can go on even so
                connection.execute(_ADD, values)
        except IntegrityError:
            if connection.execute(_FIND, {"owner": owner, "named": key}).one_or_none() is None:
                raise
            return False
        return True
