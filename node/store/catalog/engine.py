"""One database, two ways in: `Database.read` and `Database.write`.

SQLite has one writer at a time. A transaction that begins by reading and then writes fails at once where another process writes
meanwhile, whatever the busy timeout; so every writing transaction begins IMMEDIATE, and then waits its turn. On PostgreSQL
writing transactions lock the rows that they decide on, the study's row before all others, so that no two wait for each other.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from node.store.errors import ConfigurationError

BUSY_TIMEOUT_MS: Final = 30_000
"""How long a writer waits for the other writers of a SQLite file."""


class Database:
    """The engine, and the only places where transactions begin.

    Parameters
    ----------
    url
        SQLAlchemy URL of a SQLite file or a PostgreSQL database.

    Raises
    ------
    ConfigurationError
        Where the URL is of neither, or its driver is not installed.
    """

    def __init__(self, url: str) -> None:
        self._engine = _engine(url)
        self.is_sqlite = self._engine.dialect.name == "sqlite"

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A transaction that sees one state of the database and changes nothing."""
        with self._engine.connect() as connection:
            reading = connection if self.is_sqlite else connection.execution_options(isolation_level="REPEATABLE READ")
            with reading.begin():
                yield reading

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """A transaction that commits at the end, or rolls back where an exception leaves it."""
        with self._engine.connect() as connection:
            writing = connection.execution_options(overread_writes=True)
            with writing.begin():
                yield writing

    def insert_new(self, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
        """An INSERT that leaves rows alone whose unique columns are taken."""
        if self.is_sqlite:
            return sqlite.insert(table).on_conflict_do_nothing()
        return postgresql.insert(table).on_conflict_do_nothing()

    def close(self) -> None:
        """Give all connections back."""
        self._engine.dispose()


def sqlite_url(data: Path) -> str:
    """URL of the catalog inside a data folder."""
    return str(sa.URL.create("sqlite", database=str(data / "catalog.sqlite")))


def _engine(url: str) -> sa.Engine:
    try:
        parsed = sa.make_url(url)
        # Errors would quote the values of rows, in logs among others: parameters are hidden.
        if parsed.get_backend_name() == "sqlite":
            waits = {"check_same_thread": False, "timeout": BUSY_TIMEOUT_MS / 1000}
            engine = sa.create_engine(parsed, connect_args=waits, hide_parameters=True)
            sa.event.listen(engine, "connect", _prepare_sqlite)
            sa.event.listen(engine, "begin", _begin_sqlite)
        elif parsed.get_backend_name() == "postgresql":
            if parsed.drivername == "postgresql":
                parsed = parsed.set(drivername="postgresql+psycopg")
            engine = sa.create_engine(parsed, pool_pre_ping=True, hide_parameters=True)
        else:
            raise ConfigurationError(f"catalog_url: {parsed.get_backend_name()} is not served, use sqlite or postgresql")
    except sa.exc.ArgumentError as wrong:
        raise ConfigurationError("catalog_url is not a SQLAlchemy URL, e.g. postgresql://overread@db.example/overread") from wrong
    except ImportError as missing:
        raise ConfigurationError(f"catalog_url needs a driver that is not installed: pip install {missing.name}") from missing
    sa.event.listen(engine, "connect", _remember_process)
    sa.event.listen(engine, "checkout", _refuse_forked)
    return engine


def _prepare_sqlite(dbapi_connection: Any, _record: Any) -> None:
    dbapi_connection.isolation_level = None  # the driver begins nothing by itself; _begin_sqlite does
    cursor = dbapi_connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    _switch_to_wal(cursor)
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _switch_to_wal(cursor: Any) -> None:
    """Switch once in the life of the file; the busy timeout does not cover it, so several first processes try in turn."""
    deadline = time.monotonic() + BUSY_TIMEOUT_MS / 1000
    while cursor.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _begin_sqlite(connection: sa.Connection) -> None:
    writes = connection.get_execution_options().get("overread_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _remember_process(_dbapi_connection: Any, record: Any) -> None:
    record.info["pid"] = os.getpid()


def _refuse_forked(_dbapi_connection: Any, record: Any, fairy: Any) -> None:
    """A connection made before a fork belongs to the parent: the pool makes a new one."""
    if record.info["pid"] != os.getpid():
        record.dbapi_connection = fairy.dbapi_connection = None
        raise sa.exc.DisconnectionError("connection of another process")
