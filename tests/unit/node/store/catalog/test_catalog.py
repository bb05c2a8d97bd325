from __future__ import annotations

import multiprocessing
import os
import stat
from pathlib import Path

import pytest
import sqlalchemy as sa

from node.store.catalog.catalog import Catalog, open_catalog
from node.store.catalog.engine import Database, sqlite_url
from node.store.errors import ConfigurationError
from node.store.settings import Settings
from tests.story import Story


def test_the_installation_keeps_its_name(settings: Settings) -> None:
    first = open_catalog(settings)
    first.close()
    second = open_catalog(settings)
    second.close()
    assert first.installation == second.installation
    assert len(first.installation) == 36


def test_what_was_written_is_there_after_a_restart(story: Story, settings: Settings) -> None:
    story.arrive(1)
    again = open_catalog(settings)
    assert [view.study_uid for view in again.views.studies()] == [story.study().study_uid]
    again.close()


def test_the_data_folder_is_its_owners_alone(settings: Settings) -> None:
    open_catalog(settings).close()
    assert stat.S_IMODE(settings.data.stat().st_mode) == 0o700


def test_sqlite_is_set_up_for_durable_writing(catalog: Catalog, settings: Settings) -> None:
    database = Database(sqlite_url(settings.data))
    with database.read() as connection:
        found = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    database.close()
    assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


def _open(data: Path) -> str:
    catalog = open_catalog(Settings(data=data))
    try:
        return catalog.installation
    finally:
        catalog.close()


def test_processes_that_start_at_once_agree(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        names = pool.map(_open, [tmp_path / "data"] * 3)
    assert len(set(names)) == 1


def test_a_forked_process_takes_a_connection_of_its_own(story: Story) -> None:
    story.arrive(1)
    child = os.fork()
    if child == 0:
        try:
            story.arrive(2)
        finally:
            os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    story.arrive(3)
    assert story.study().instances == 3


def test_a_catalog_of_a_later_version_is_refused(settings: Settings) -> None:
    open_catalog(settings).close()
    database = Database(sqlite_url(settings.data))
    with database.write() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    database.close()
    with pytest.raises(ConfigurationError, match="schema 9999"):
        open_catalog(settings)


@pytest.mark.parametrize(
    ("url", "says"),
    [("mysql://h/d", "is not served"), ("nonsense", "not a SQLAlchemy URL"), ("sqlite:////nowhere/x/y.db", "cannot be opened")],
)
def test_a_url_that_cannot_be_used_is_named(tmp_path: Path, url: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        open_catalog(Settings(data=tmp_path, catalog_url=url))


def test_a_data_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="cannot be made"):
        open_catalog(Settings(data=tmp_path / "file" / "data"))


def test_a_writer_that_fails_leaves_nothing(story: Story, settings: Settings) -> None:
    database = Database(sqlite_url(settings.data))
    story.arrive(1)

    def half() -> None:
        with database.write() as connection:
            connection.execute(sa.text("DELETE FROM instances"))
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        half()
    database.close()
    assert story.study().instances == 1
