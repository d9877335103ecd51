"""Where a process of the product keeps what it was told, and a look into it past the product."""

import asyncio
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import asyncpg


@dataclass(frozen=True)
class Kept:
    """In the database of this URL; a path if it is a file."""

    url: str | Path

    @property
    def settings(self) -> dict[str, str]:
        url = self.url if isinstance(self.url, str) else f"sqlite:///{self.url}"
        return {"DATABASE_URL": url}

    async def do(self, sql: str) -> None:
        await self._ask(sql)

    async def count(self, table: str, condition: str) -> int:
        found = await self._ask(f"SELECT count(*) FROM {table} WHERE {condition}")
        assert isinstance(found, int)
        return found

    async def _ask(self, sql: str) -> object:
        if isinstance(self.url, Path):
            return await asyncio.to_thread(_ask_file, self.url, sql)
        connection = await asyncpg.connect(self.url)
        try:
            return await connection.fetchval(sql)
        finally:
            await connection.close()


def _ask_file(path: Path, sql: str) -> object:
    with closing(sqlite3.connect(path)) as connection, connection:
        row = connection.execute(sql).fetchone()
    return row[0] if row else None
