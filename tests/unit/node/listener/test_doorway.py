"""A listener's name stays with its data folder and port."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from node.listener import doorway
from node.listener.doorway import Doors
from node.store.errors import ConfigurationError


@pytest.fixture
def doors() -> Iterator[list[Doors]]:
    opened = [Doors(doorway.bind("127.0.0.1", 0)), Doors(doorway.bind("127.0.0.1", 0), doorway.bind("127.0.0.1", 0))]
    yield opened
    for one in opened:
        one.shut()


def test_the_place_is_kept_and_the_id_is_new(tmp_path: Path, doors: list[Doors]) -> None:
    first, second = (doorway.listener_id(tmp_path / "data", doors[1]) for _ in range(2))
    assert first != second
    assert first.partition("/")[0] == second.partition("/")[0]
    assert len(first) <= 64, "as long as its column"


def test_another_port_or_folder_is_another_place(tmp_path: Path, doors: list[Doors]) -> None:
    ids = [doorway.listener_id(tmp_path / folder, doors[number]) for folder, number in (("a", 0), ("a", 1), ("b", 0))]
    assert len({one.partition("/")[0] for one in ids}) == 3


def test_an_address_that_cannot_be_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"192\.0\.2\.1:11112"):
        doorway.bind("192.0.2.1", 11112)
