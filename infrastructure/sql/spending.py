"""How many tokens a user's answers took today, by the database's clock."""

from typing import Final

from sqlalchemy import Connection, bindparam, case, func, select
from sqlalchemy.dialects import postgresql

from domain.identifiers import UserId
from domain.meter import Spent
from infrastructure.sql.clock import now_ms
from infrastructure.sql.tables import spending

_DAY_MS: Final = 86_400_000
_today = now_ms() // _DAY_MS

_new = postgresql.insert(spending).values(
    user_id=bindparam("owner"), day=_today, tokens=bindparam("more")
)
# SQLite has the same words for it.
_ADD = _new.on_conflict_do_update(
    index_elements=[spending.c.user_id],
    set_={
        "tokens": case(
            (spending.c.day == _new.excluded.day, spending.c.tokens + _new.excluded.tokens),
            else_=_new.excluded.tokens,
        ),
        "day": _new.excluded.day,
    },
)
_TODAY = select(
    func.coalesce(
        select(spending.c.tokens)
        .where(spending.c.user_id == bindparam("owner"), spending.c.day == _today)
        .scalar_subquery(),
        0,
    ).label("tokens"),
    (_DAY_MS - now_ms() % _DAY_MS).label("left_ms"),
)


def spend(connection: Connection, owner: UserId, tokens: int) -> None:
    """To be the last of what locks rows: that of its session is locked already."""
    if tokens:
        connection.execute(_ADD, {"owner": owner, "more": tokens})


def spent_today(connection: Connection, owner: UserId) -> Spent:
    row = connection.execute(_TODAY, {"owner": owner}).one()
    return Spent(row.tokens, row.left_ms / 1000)
