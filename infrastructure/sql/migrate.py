"""Bring a database to the tables of this version."""

import asyncio
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from infrastructure.sql.connection import Database, translated

_SCRIPTS: Final = Path(__file__).parent / "migrations"


class CannotMigrate(Exception):
    """The database is not ours, or is newer than this version; the sentence says how it shows."""


async def migrate(database: Database) -> None:
    """All steps in one transaction; two processes that try at once take turns.

    Raises CannotMigrate, DatabaseUnavailable.
    """
    try:
        await translated(database.alone(_upgrade))
    except (CommandError, SQLAlchemyError) as error:
        reason = str(error).splitlines()[0]
        raise CannotMigrate(f"the database can't be brought up to date: {reason}") from error


async def is_current(database: Database) -> bool:
    """Whether the database has the tables of this version."""
    newest = await asyncio.to_thread(_newest)
    async with database.connect(read_only=True) as connection:
        return await translated(connection.run_sync(_revision)) == newest


def _upgrade(connection: Connection) -> None:
    if not connection.in_transaction():
        connection.begin()  # else alembic would commit each statement by itself on SQLite
    config = alembic_config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _newest() -> str | None:
    return ScriptDirectory.from_config(alembic_config()).get_current_head()


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def alembic_config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    return config
