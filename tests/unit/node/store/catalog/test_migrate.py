from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from node.store.catalog.catalog import open_catalog
from node.store.catalog.engine import Database, sqlite_url
from node.store.catalog.migrate import MIGRATIONS, migrate
from node.store.catalog.tables import SCHEMA, metadata
from node.store.catalog.views import SqlViews
from node.store.clock import FakeClock
from node.store.settings import Settings


def test_the_migrations_make_the_tables_that_the_code_uses(tmp_path: Path) -> None:
    database = Database(sqlite_url(tmp_path))
    migrate(database)
    with database.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    database.close()


def test_the_newest_migration_is_the_one_that_the_code_expects() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_heads() == [SCHEMA]


def test_a_second_time_changes_nothing(tmp_path: Path) -> None:
    database = Database(sqlite_url(tmp_path))
    migrate(database)
    migrate(database)
    database.close()


def test_a_catalog_of_the_first_schema_keeps_its_studies(tmp_path: Path) -> None:
    database = Database(sqlite_url(tmp_path))
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    with database.write() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        at = "'2026-01-01 00:00:00'"
        study = f"(1, '1.2.3', 'receiving', 1, 'CT_1', {at}, {at}, 2, '')"
        connection.exec_driver_sql(f"INSERT INTO studies VALUES {study}")
        connection.exec_driver_sql(f"INSERT INTO revisions VALUES (1, 1, 1, {at}, 'quiet')")
    database.close()
    catalog = open_catalog(Settings(data=tmp_path), FakeClock())
    (study_there,) = catalog.worklist.receiving()
    assert (study_there.study_uid, study_there.since) == ("1.2.3", FakeClock().now())
    view = catalog.views.study("1.2.3")
    assert view is not None
    assert not view.incomplete
    catalog.close()


def test_events_of_an_earlier_version_are_kept_and_shown(tmp_path: Path) -> None:
    database = Database(sqlite_url(tmp_path))
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    with database.write() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        old = {"at": "2026-01-02 03:04:05.000000", "kind": "refused", "detail": "an object of CT_1"}
        connection.execute(sa.text("INSERT INTO events (at, kind, detail) VALUES (:at, :kind, :detail)"), old)
    migrate(database)
    [event] = SqlViews(database).node_events(datetime(2026, 1, 1, tzinfo=UTC))
    assert (event.kind, event.detail, event.count) == ("refused", "an object of CT_1", 1)
    assert event.first_at == event.last_at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    database.close()
