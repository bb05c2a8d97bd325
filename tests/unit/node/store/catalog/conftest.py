from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.store.catalog.catalog import Catalog, open_catalog
from node.store.clock import FakeClock
from node.store.destinations import Destination
from node.store.settings import Settings
from node.store.sources import Source
from tests.story import Story


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        data=tmp_path / "data",
        sources=(Source(ae_title="SLOW", quiet_s=120.0), Source(ae_title="FAST", quiet_s=2.0)),
        destinations=(
            Destination(name="pacs", ae_title="PACS", host="127.0.0.1", port=104),
            Destination(name="viewer", ae_title="VIEWER", host="127.0.0.1", port=105, kinds=("seg",)),
        ),
    )


@pytest.fixture(scope="session")
def empty_catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated file to copy: migrating it anew for each test would cost more than the tests."""
    folder = tmp_path_factory.mktemp("empty")
    open_catalog(Settings(data=folder)).close()
    return folder / "catalog.sqlite"


@pytest.fixture
def catalog(settings: Settings, clock: FakeClock, empty_catalog: Path) -> Iterator[Catalog]:
    settings.data.mkdir(mode=0o700)
    shutil.copy(empty_catalog, settings.data)
    opened = open_catalog(settings, clock)
    yield opened
    opened.close()


@pytest.fixture
def story(catalog: Catalog, clock: FakeClock, settings: Settings) -> Story:
    return Story(catalog, clock, settings)
