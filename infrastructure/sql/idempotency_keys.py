from sqlalchemy import Connection, bindparam, select

from domain.identifiers import GenerationId, MessageId, SessionId, UserId
from domain.repositories import KeptRequest
from infrastructure.sql.clock import now_ms
from infrastructure.sql.connection import Repository, statement
from infrastructure.sql.inserts import insert_if_free
from infrastructure.sql.tables import idempotency_keys as keys

_FIND = select(keys).where(keys.c.user_id == bindparam("owner"), keys.c.key == bindparam("named"))
_ADD = insert_if_free(keys, created_at=now_ms()).returning(keys.c.key)


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
        return connection.execute(_ADD, values).one_or_none() is not None
