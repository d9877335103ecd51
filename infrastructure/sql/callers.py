from collections.abc import Collection
from typing import Any

from sqlalchemy import BindParameter, Connection, bindparam, select

from domain.access import Caller
from domain.identifiers import ApiTokenId, SignInId, UserId
from infrastructure.sql.api_tokens import holds
from infrastructure.sql.connection import Repository, statement
from infrastructure.sql.sign_ins import goes_on
from infrastructure.sql.tables import api_tokens, sign_ins, users

_sought: BindParameter[Any] = bindparam("sought", expanding=True)
_there = users.c.deleted_at.is_(None)

_USERS = select(users.c.id).where(users.c.id.in_(_sought), _there)
_SIGN_INS = (
    select(sign_ins.c.id, sign_ins.c.user_id)
    .join(users, users.c.id == sign_ins.c.user_id)
    .where(sign_ins.c.id.in_(_sought), goes_on, _there)
)
_API_TOKENS = (
    select(api_tokens.c.id, api_tokens.c.user_id)
    .join(users, users.c.id == api_tokens.c.user_id)
    .where(api_tokens.c.id.in_(_sought), holds, _there)
)


class SqlCallers(Repository):
    @statement
    def standing(self, connection: Connection, callers: Collection[Caller]) -> Collection[Caller]:
        by_sign_in = {each.sign_in for each in callers if each.sign_in is not None}
        by_token = {each.api_token for each in callers if each.api_token is not None}
        by_nothing = {
            each.user for each in callers if each.sign_in is None and each.api_token is None
        }
        found = set()
        if by_sign_in:
            for row in connection.execute(_SIGN_INS, {"sought": list(by_sign_in)}):
                found.add(Caller(UserId(row.user_id), sign_in=SignInId(row.id)))
        if by_token:
            for row in connection.execute(_API_TOKENS, {"sought": list(by_token)}):
                found.add(Caller(UserId(row.user_id), api_token=ApiTokenId(row.id)))
        if by_nothing:
            for row in connection.execute(_USERS, {"sought": list(by_nothing)}):
                found.add(Caller(UserId(row.id)))
        return found.intersection(callers)
