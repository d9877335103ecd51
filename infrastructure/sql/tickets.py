from sqlalchemy import Connection, bindparam, delete, insert

from domain.access import Caller
from domain.identifiers import ApiTokenId, SignInId, UserId
from infrastructure.sql.clock import now_ms
from infrastructure.sql.connection import Repository, statement
from infrastructure.sql.tables import tickets

_FORGET = delete(tickets).where(tickets.c.expires_at <= now_ms())
_ADD = insert(tickets).values(expires_at=now_ms() + bindparam("milliseconds"))
_TAKE = (
    delete(tickets)
    .where(tickets.c.digest == bindparam("sought"), tickets.c.expires_at > now_ms())
    .returning(tickets)
)


class SqlTickets(Repository):
    @statement
    def add(self, connection: Connection, digest: str, caller: Caller, seconds: float) -> None:
        connection.execute(_FORGET)
        values = {
            "digest": digest,
            "user_id": caller.user,
            "sign_in_id": caller.sign_in,
            "api_token_id": caller.api_token,
            "milliseconds": round(seconds * 1000),
        }
        connection.execute(_ADD, values)

    @statement
    def take(self, connection: Connection, digest: str) -> Caller | None:
        row = connection.execute(_TAKE, {"sought": digest}).one_or_none()
        if row is None:
            return None
        sign_in = None if row.sign_in_id is None else SignInId(row.sign_in_id)
        api_token = None if row.api_token_id is None else ApiTokenId(row.api_token_id)
        return Caller(UserId(row.user_id), sign_in, api_token)
