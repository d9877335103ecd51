from sqlalchemy import Connection, insert, select

from domain.identifiers import GenerationId, MessageId, SessionId, UserId
from domain.repositories import KeptRequest
from infrastructure.sql.clock import now_ms
from infrastructure.sql.connection import Repository, statement
from infrastructure.sql.tables import idempotency_keys as keys


class SqlIdempotencyKeys(Repository):
    @statement
    def find(self, connection: Connection, owner: UserId, key: str) -> KeptRequest | None:
        row = connection.execute(
            select(keys).where(keys.c.user_id == owner, keys.c.key == key)
        ).one_or_none()
        if row is None:
            return None
        return KeptRequest(
            row.digest,
            SessionId(row.session_id),
            MessageId(row.message_id),
            GenerationId(row.generation_id),
        )

    @statement
    def add(self, connection: Connection, owner: UserId, key: str, kept: KeptRequest) -> None:
        connection.execute(
            insert(keys).values(
                user_id=owner,
                key=key,
                digest=kept.digest,
                session_id=kept.session_id,
                message_id=kept.message_id,
                generation_id=kept.generation_id,
                created_at=now_ms(),
            )
        )
