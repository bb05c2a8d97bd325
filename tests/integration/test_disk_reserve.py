"""A disk that fills, as senders and people see it: on a small file system of its own, with dcmtk's sender."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from node.check.disk import check_disk
from node.check.verdict import Level
from node.listener.listener import Listener
from node.page.health import look_after
from node.store.catalog.catalog import Catalog, open_catalog
from node.store.settings import Limits, Settings
from tests.unit.node.listener.encoded import EXPLICIT, image, write

STORESCU = "/usr/bin/storescu"
RESERVE_MB = 24
pytestmark = [
    pytest.mark.peer,
    pytest.mark.timeout(120),
    pytest.mark.skipif(not Path(STORESCU).exists(), reason="needs the Debian package dcmtk"),
]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 MB; skipped where this user may not mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip(f"cannot mount a small file system: {mounted.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def send(port: int, *files: Path) -> str:
    """What storescu says; it goes on after a refused object."""
    command = [STORESCU, "-v", "-nh", "-aet", "MODALITY", "127.0.0.1", str(port), *map(str, files)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, env={**os.environ, "TCP_NODELAY": "1"}
    )
    return done.stdout + done.stderr


def images(folder: Path, count: int, megabytes: int, study: str) -> list[Path]:
    folder.mkdir()
    return [
        write(folder, image(number, study=study, pixels=bytes([number]) * megabytes * 1_000_000), EXPLICIT)
        for number in range(1, count + 1)
    ]


def acknowledged(said: str) -> int:
    return len(re.findall(r"Received Store Response \(Success\)", said))


def kept(listener: Listener) -> list[Path]:
    return sorted((listener.spool.root / "in").rglob("*.dcm"))


def eventually(condition: object, within_s: float = 15) -> bool:
    assert callable(condition)
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        if condition():
            return True
        time.sleep(0.05)
    return False


def faults(catalog: Catalog, settings: Settings) -> dict[str, str]:
    return look_after(catalog, settings).faults


def test_intake_stops_at_the_reserve_and_goes_on_by_itself(tmp_path: Path, disk: Path) -> None:
    settings = Settings(data=disk / "data", host="127.0.0.1", port=0, limits=Limits(disk_reserve_mb=RESERVE_MB))
    catalog = open_catalog(settings)
    listener = Listener(settings, catalog.intake)
    listener.start()
    try:
        ballast = disk / "ballast"
        ballast.write_bytes(bytes(10_000_000))
        said = send(listener.port, *images(tmp_path / "first", 20, 2, "1.2.3"))
        stored = acknowledged(said)
        assert 12 <= stored <= 17, said
        assert said.count("Refused: OutOfResources") == 20 - stored, "on the open association each further object is refused"
        assert len(kept(listener)) == stored
        assert list((settings.spool / "tmp").rglob("*.part")) == [], "and nothing was begun"
        space = os.statvfs(disk)
        assert space.f_bavail * space.f_frsize > (RESERVE_MB - 6) * 1_000_000

        said = send(listener.port, *images(tmp_path / "second", 1, 1, "1.2.4"))
        assert "Rejected Transient" in said
        assert "Local Limit Exceeded" in said
        assert "disk" in faults(catalog, settings)
        (found,) = [one for one in check_disk(settings) if one.subject == str(settings.data) and one.level is Level.FAULT]
        assert "rejected" in found.says
        begin = datetime(2000, 1, 1, tzinfo=UTC)
        told = {"disk full", "association rejected"}
        assert eventually(lambda: told <= {one.kind for one in catalog.views.node_events(begin)})

        ballast.unlink()
        assert eventually(listener.spool.has_room)
        assert "disk" not in faults(catalog, settings)
        assert acknowledged(send(listener.port, tmp_path / "second" / "1.2.4.4.1.dcm")) == 1
        assert len(kept(listener)) == stored + 1
    finally:
        listener.stop(drain_s=1)
        catalog.close()


def test_a_disk_that_is_full_to_the_last_byte_acknowledges_nothing(tmp_path: Path, disk: Path) -> None:
    """Without a reserve the system says ENOSPC, in the midst of an object."""
    settings = Settings(data=tmp_path / "data", host="127.0.0.1", port=0, limits=Limits(disk_reserve_mb=0))
    catalog = open_catalog(settings)
    (disk / "spool").mkdir()
    settings.spool.symlink_to(disk / "spool")
    listener = Listener(settings, catalog.intake)
    listener.start()
    try:
        said = send(listener.port, *images(tmp_path / "first", 12, 7, "1.2.3"))
        stored = acknowledged(said)
        assert 7 <= stored <= 9, said
        assert said.count("Refused: OutOfResources") == 12 - stored
        assert [path.stat().st_size > 7_000_000 for path in kept(listener)] == [True] * stored
        assert list((settings.spool / "tmp").rglob("*.part")) == []
    finally:
        listener.stop(drain_s=1)
        catalog.close()
