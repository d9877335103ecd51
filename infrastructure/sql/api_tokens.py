from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, func, insert, or_, select

from domain.access import Caller
from domain.api_token import MAX_API_TOKENS, ApiToken, NewApiToken
from domain.errors import TooManyApiTokens
from domain.identifiers import ApiTokenId, UserId
from infrastructure.sql.clock import now_ms, to_datetime
from infrastructure.sql.connection import Repository, statement
from infrastructure.sql.tables import api_tokens as tokens
from infrastructure.sql.tables import users

holds = or_(tokens.c.expires_at.is_(None), tokens.c.expires_at > now_ms())

_DAY_MILLISECONDS = 24 * 60 * 60 * 1000

_own = tokens.c.user_id == bindparam("owner")

# Else two could each count one less than there are.
_LOCK = select(users.c.id).where(users.c.id == bindparam("owner")).with_for_update()
_COUNT = select(func.count()).select_from(tokens).where(_own)
_ADD = insert(tokens).values(created_at=now_ms()).returning(tokens)
_ADD_FOR_DAYS = _ADD.values(expires_at=now_ms() + bindparam("milliseconds"))
_CALLER = (
    select(tokens.c.id, tokens.c.user_id)
    .join(users, users.c.id == tokens.c.user_id)
    .where(tokens.c.digest == bindparam("sought"), holds, users.c.deleted_at.is_(None))
)
_PAGE = (
    select(tokens)
    .where(_own, tokens.c.id > bindparam("after"))
    .order_by(tokens.c.id)
    .limit(bindparam("most"))
)
_DELETE = delete(tokens).where(_own, tokens.c.id == bindparam("token")).returning(tokens.c.id)


class SqlApiTokens(Repository):
    @statement
    def add(self, connection: Connection, new: NewApiToken) -> ApiToken:
        connection.execute(_LOCK, {"owner": new.owner})
        if connection.execute(_COUNT, {"owner": new.owner}).scalar_one() >= MAX_API_TOKENS:
            raise TooManyApiTokens
        values = {
            "user_id": new.owner,
            "name": new.name,
            "digest": new.token.digest,
            "hint": new.token.hint,
        }
        if new.expires_in_days is None:
            return _token(connection.execute(_ADD, values).one())
        values["milliseconds"] = new.expires_in_days * _DAY_MILLISECONDS
        return _token(connection.execute(_ADD_FOR_DAYS, values).one())

    @statement
    def caller(self, connection: Connection, digest: str) -> Caller | None:
        row = connection.execute(_CALLER, {"sought": digest}).one_or_none()
        return None if row is None else Caller(UserId(row.user_id), api_token=ApiTokenId(row.id))

    @statement
    def page(
        self, connection: Connection, owner: UserId, limit: int, after: ApiTokenId | None
    ) -> Sequence[ApiToken]:
        values = {"owner": owner, "after": after or 0, "most": limit}
        return [_token(row) for row in connection.execute(_PAGE, values)]

    @statement
    def delete(self, connection: Connection, owner: UserId, token_id: ApiTokenId) -> bool:
        values = {"owner": owner, "token": token_id}
        return connection.execute(_DELETE, values).one_or_none() is not None


def _token(row: Row[Any]) -> ApiToken:
    return ApiToken(
        ApiTokenId(row.id),
        UserId(row.user_id),
        row.name,
        row.hint,
        to_datetime(row.created_at),
        None if row.expires_at is None else to_datetime(row.expires_at),
    )
