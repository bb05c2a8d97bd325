from __future__ import annotations

from pathlib import Path

import pytest

from node.store import reserve as module
from node.store.errors import StorageFull
from node.store.reserve import Reserve
from node.store.spool import Spool


class Disk:
    def __init__(self, free: int) -> None:
        self.free = free
        self.looks = 0

    def __call__(self, _folder: Path) -> int:
        self.looks += 1
        return self.free


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    moment = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: moment[0])
    return moment


def test_the_disk_is_looked_at_now_and_then_only(tmp_path: Path, now: list[float]) -> None:
    disk = Disk(1_000_000_000)
    reserve = Reserve(tmp_path, 500_000_000, disk)
    for _ in range(1000):
        assert reserve.has_room()
        assert reserve.spend(10_000)
    assert disk.looks == 1
    now[0] += 0.3
    assert reserve.has_room()
    assert disk.looks == 2


def test_what_is_written_meanwhile_counts(tmp_path: Path, now: list[float]) -> None:
    del now
    disk = Disk(510_000_000)
    reserve = Reserve(tmp_path, 500_000_000, disk)
    assert reserve.has_room()
    reserve.spend(11_000_000)
    assert not reserve.has_room()
    assert disk.looks == 1


def test_what_was_begun_may_use_half_of_the_reserve(tmp_path: Path, now: list[float]) -> None:
    del now
    disk = Disk(510_000_000)
    reserve = Reserve(tmp_path, 500_000_000, disk)
    assert reserve.has_room()
    written = 0
    enough = True
    while enough:
        disk.free -= 1_000_000
        written += 1_000_000
        enough = reserve.spend(1_000_000)
    assert written == 261_000_000


def test_room_comes_back_by_itself(tmp_path: Path, now: list[float]) -> None:
    disk = Disk(1)
    reserve = Reserve(tmp_path, 500_000_000, disk)
    assert not reserve.has_room()
    disk.free = 600_000_000
    now[0] += 0.3
    assert reserve.has_room()


def test_without_a_reserve_the_disk_is_never_asked(tmp_path: Path) -> None:
    disk = Disk(0)
    reserve = Reserve(tmp_path, 0, disk)
    assert reserve.has_room()
    assert reserve.spend(10**12)
    assert disk.looks == 0


def test_a_file_that_eats_the_reserve_is_given_up(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    disk = Disk(100_000_000)
    spool.reserve = Reserve(spool.root, 100_000_000, disk)
    writer = spool.begin()
    disk.free = 40_000_000
    with pytest.raises(StorageFull, match="less than 100 MB free"):
        writer.write(bytes(40_000_000))
    writer.discard()
    assert list((spool.root / "tmp").rglob("*.part")) == []


def test_a_spool_that_is_not_there_yet_is_on_the_disk_of_its_parent(tmp_path: Path) -> None:
    assert Reserve(tmp_path / "not" / "there", 1).has_room()
    assert not Reserve(tmp_path / "not" / "there", 10**15).has_room()
