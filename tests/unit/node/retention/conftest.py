"""A spool with real files and a catalog that knows them; what is removed is removed from the disk."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.store.catalog.catalog import open_catalog
from node.store.clock import FakeClock
from node.store.destinations import Destination
from node.store.settings import Limits, Retention, Settings
from tests.unit.node.retention.attic import Attic


@pytest.fixture(scope="session")
def empty_catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated file to copy."""
    folder = tmp_path_factory.mktemp("empty")
    open_catalog(Settings(data=folder)).close()
    return folder / "catalog.sqlite"


@pytest.fixture
def attic(tmp_path: Path, empty_catalog: Path) -> Iterator[Attic]:
    settings = Settings(
        data=tmp_path / "data",
        destinations=(Destination(name="pacs", ae_title="PACS", host="127.0.0.1", port=104),),
        limits=Limits(disk_reserve_mb=1),
        retention=Retention(originals_days=10, results_days=30),
    )
    settings.data.mkdir(mode=0o700)
    shutil.copy(empty_catalog, settings.data)
    made = Attic(settings, FakeClock())
    yield made
    made.catalog.close()
