"""Bring a database to the schema that this version of Overread reads and writes."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import sqlalchemy as sa

from node.store.catalog.engine import Database
from node.store.catalog.tables import SCHEMA
from node.store.errors import ConfigurationError

MIGRATIONS: Final = Path(__file__).resolve().parents[1] / "migrations"
_LOCK: Final = 0x0FE12EAD
"""Key of the PostgreSQL advisory lock that one migrating process holds."""


def migrate(database: Database) -> None:
    """Run the migrations that are missing; processes that start together take turns, and all but the first find nothing to do.

    Raises
    ------
    ConfigurationError
        Where the database is of a later version of Overread.
    """
    with database.read() as connection:
        if _schema(connection) == SCHEMA:
            return
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    with database.write() as connection:
        if not database.is_sqlite:
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        found = _schema(connection)
        if found == SCHEMA:
            return
        known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
        if found is not None and found not in known:
            raise ConfigurationError(
                f"the catalog is of schema {found}, this version reads up to {SCHEMA}: install the Overread that wrote it"
            )
        config.attributes["connection"] = connection
        command.upgrade(config, SCHEMA)


def _schema(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
    return found
