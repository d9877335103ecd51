from typing import Any

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql


def insert_if_free(table: Table, **values: Any) -> postgresql.Insert:
    """An insert that does nothing if a row of that key is there, or is being added by another
    transaction, which it waits for. What a look beforehand says may be wrong by then.

    SQLite has the same words for it, so the construct for Postgres will do for both.
    """
    return postgresql.insert(table).values(**values).on_conflict_do_nothing()
