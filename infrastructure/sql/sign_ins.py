from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, not_, update

from domain.access import Refresh
from domain.identifiers import SignInId, UserId
from infrastructure.sql.clock import now_ms
from infrastructure.sql.connection import Repository, statement
from infrastructure.sql.tables import sign_ins

goes_on = sign_ins.c.ended_at.is_(None) & (sign_ins.c.expires_at > now_ms())

_of_user = sign_ins.c.user_id == bindparam("user")
_this = (sign_ins.c.id == bindparam("sign_in")) & _of_user
_until = now_ms() + bindparam("milliseconds")

_FORGET = delete(sign_ins).where(_of_user, not_(goes_on))
_BEGIN = insert(sign_ins).values(rotation=0, created_at=now_ms(), expires_at=_until)
_CURRENT = update(sign_ins).where(_this, goes_on, sign_ins.c.rotation == bindparam("seen"))
_RENEW = _CURRENT.values(rotation=sign_ins.c.rotation + 1, expires_at=_until).returning(
    sign_ins.c.id
)
_PROLONG = _CURRENT.values(expires_at=_until).returning(sign_ins.c.id)
_END_REUSED = (
    update(sign_ins)
    .where(_this, goes_on, sign_ins.c.rotation > bindparam("seen"))
    .values(ended_at=now_ms())
    .returning(sign_ins.c.id)
)
_END_ALL = update(sign_ins).where(_of_user, sign_ins.c.ended_at.is_(None)).values(ended_at=now_ms())


class SqlSignIns(Repository):
    @statement
    def begin(
        self, connection: Connection, sign_in: SignInId, user: UserId, seconds: float
    ) -> None:
        connection.execute(_FORGET, {"user": user})
        values = {"id": sign_in, "user_id": user, "milliseconds": round(seconds * 1000)}
        connection.execute(_BEGIN, values)

    @statement
    def renew(self, connection: Connection, refresh: Refresh, seconds: float) -> bool:
        values = {**_values(refresh), "milliseconds": round(seconds * 1000)}
        return connection.execute(_RENEW, values).one_or_none() is not None

    @statement
    def prolong(self, connection: Connection, refresh: Refresh, seconds: float) -> bool:
        values = {**_values(refresh), "milliseconds": round(seconds * 1000)}
        return connection.execute(_PROLONG, values).one_or_none() is not None

    @statement
    def end_reused(self, connection: Connection, refresh: Refresh) -> bool:
        return connection.execute(_END_REUSED, _values(refresh)).one_or_none() is not None

    @statement
    def end_all(self, connection: Connection, user: UserId) -> None:
        connection.execute(_END_ALL, {"user": user})


def _values(refresh: Refresh) -> dict[str, Any]:
    return {"sign_in": refresh.sign_in, "user": refresh.user, "seen": refresh.rotation}
