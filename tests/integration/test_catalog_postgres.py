"""Every test of the catalog's ports once more, on a PostgreSQL server of our own; skipped where none is installed."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext

from node.store.catalog.catalog import Catalog, open_catalog
from node.store.catalog.engine import Database
from node.store.catalog.migrate import MIGRATIONS
from node.store.catalog.tables import metadata
from node.store.clock import FakeClock
from node.store.destinations import Destination
from node.store.settings import Settings, Source
from tests.story import Story
from tests.unit.node.query import test_errands
from tests.unit.node.query.test_errands import *  # noqa: F403
from tests.unit.node.store.catalog import (
    test_commitments,
    test_desk,
    test_intake,
    test_outbox,
    test_removals,
    test_signals,
    test_upgrade,
    test_views,
    test_worklist,
)
from tests.unit.node.store.catalog.test_commitments import *  # noqa: F403
from tests.unit.node.store.catalog.test_desk import *  # noqa: F403
from tests.unit.node.store.catalog.test_intake import *  # noqa: F403
from tests.unit.node.store.catalog.test_outbox import *  # noqa: F403
from tests.unit.node.store.catalog.test_removals import *  # noqa: F403
from tests.unit.node.store.catalog.test_signals import *  # noqa: F403
from tests.unit.node.store.catalog.test_views import *  # noqa: F403
from tests.unit.node.store.catalog.test_worklist import *  # noqa: F403

pytestmark = pytest.mark.peer
PORTS = (
    *(test_commitments, test_desk, test_errands, test_intake, test_outbox, test_removals, test_signals, test_views),
    test_worklist,
)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """URL of a database of an empty server; it is not durable, for it lives as long as the tests."""
    binaries = (
        sorted(Path("/usr/lib/postgresql").glob("*/bin"))
        if not shutil.which("initdb")
        else [Path(shutil.which("initdb") or "").resolve().parent]
    )
    if not binaries:
        pytest.skip("needs a PostgreSQL server (Debian: apt-get install postgresql)")
    pytest.importorskip("psycopg", reason="needs the driver psycopg (the extra postgres)")
    user = _user()
    folder = Path(tempfile.mkdtemp(prefix="overread-pg-"))
    shutil.chown(folder, user)
    own = (
        {"cwd": folder}
        if user == pwd.getpwuid(os.getuid()).pw_name
        else {"cwd": folder, "user": user, "group": pwd.getpwnam(user).pw_gid}
    )
    init = [binaries[-1] / "initdb", "-D", folder / "db", "-U", "overread", "--auth=trust", "--no-sync", "-E", "UTF8"]
    subprocess.run(init, check=True, capture_output=True, **own)  # type: ignore[call-overload]
    options = f"-c listen_addresses='' -c unix_socket_directories='{folder}' -c fsync=off"
    control = [binaries[-1] / "pg_ctl", "-D", folder / "db", "-w"]
    subprocess.run([*control, "-l", folder / "log", "-o", options, "start"], check=True, stdout=subprocess.DEVNULL, **own)  # type: ignore[call-overload]
    try:
        yield f"postgresql://overread@/postgres?host={folder}"
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], check=True, capture_output=True, **own)  # type: ignore[call-overload]
        shutil.rmtree(folder)


def _user() -> str:
    """Who runs the server: it refuses to be root's."""
    if os.getuid():
        return pwd.getpwuid(os.getuid()).pw_name
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    pytest.skip("root may not run PostgreSQL, and there is no user postgres or nobody")


@pytest.fixture(scope="module")
def migrated(server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    settings = Settings(data=tmp_path_factory.mktemp("pg"), catalog_url=server)
    open_catalog(settings).close()
    database = Database(server)
    yield database
    database.close()


@pytest.fixture
def url(server: str, migrated: Database) -> str:
    """The server's database, emptied."""
    with migrated.write() as connection:
        connection.exec_driver_sql(f"TRUNCATE {', '.join(metadata.tables)} RESTART IDENTITY CASCADE")
    return server


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def settings(tmp_path: Path, url: str) -> Settings:
    return Settings(
        data=tmp_path / "data",
        catalog_url=url,
        sources=(Source(ae_title="SLOW", quiet_s=120.0), Source(ae_title="FAST", quiet_s=2.0)),
        destinations=(
            Destination(name="pacs", ae_title="PACS", host="127.0.0.1", port=104),
            Destination(name="viewer", ae_title="VIEWER", host="127.0.0.1", port=105, kinds=("seg",)),
        ),
    )


@pytest.fixture
def catalog(settings: Settings, clock: FakeClock) -> Iterator[Catalog]:
    opened = open_catalog(settings, clock)
    yield opened
    opened.close()


@pytest.fixture
def story(catalog: Catalog, clock: FakeClock, settings: Settings) -> Story:
    return Story(catalog, clock, settings)


@pytest.fixture
def catalog_url(url: str) -> str:
    """For the tests of fetching."""
    return url


def test_no_test_of_the_ports_hides_another() -> None:
    """All of them are in one module here, by name."""
    names = [name for module in PORTS for name in vars(module) if name.startswith("test_")]
    assert sorted(names) == sorted(set(names))
    assert set(names) <= set(globals())


@pytest.fixture
def of_the_first_version(server: str) -> Iterator[Database]:
    """A database of its own, with the schema and the rows of the first version."""
    psycopg = pytest.importorskip("psycopg")
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute("CREATE DATABASE first_version")
    database = Database(server.replace("@/postgres?", "@/first_version?"))
    with database.write() as connection:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.set_main_option("path_separator", "os")
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.exec_driver_sql(test_upgrade.ROWS.replace(", 0, 'a1')", ", false, 'a1')"))
        for table in (
            "studies",
            "instances",
            "revisions",
            "stacks",
            "jobs",
            "decisions",
            "result_objects",
            "deliveries",
            "events",
        ):
            connection.exec_driver_sql(f"SELECT setval('{table}_id_seq', (SELECT max(id) FROM {table}))")
    yield database
    database.close()
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute("DROP DATABASE first_version WITH (FORCE)")


def test_a_catalog_of_the_first_version_goes_on(of_the_first_version: Database, server: str, tmp_path: Path) -> None:
    clock = FakeClock(datetime(2026, 3, 5, tzinfo=UTC))
    opened = open_catalog(Settings(data=tmp_path, catalog_url=server.replace("@/postgres?", "@/first_version?")), clock)
    try:
        with of_the_first_version.read() as connection:
            assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        view = opened.views.study("1.2.3")
        assert view is not None
        assert [(one.destination, one.state) for one in view.deliveries] == [("pacs", "sent")]
        story = Story(opened, clock)
        (due,) = story.complete()
        assert due.study_uid == "1.2.9", "what was being received goes on"
        story.arrive(1, study="1.2.10")
        assert opened.views.study("1.2.10") is not None
    finally:
        opened.close()


def test_it_really_is_postgresql(migrated: Database) -> None:
    with migrated.read() as connection:
        assert connection.exec_driver_sql("SELECT version()").scalar_one().startswith("PostgreSQL")


def test_the_migrations_make_the_tables_that_the_code_uses(migrated: Database) -> None:
    with migrated.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
