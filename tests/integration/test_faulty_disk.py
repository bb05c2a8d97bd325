"""A disk that fails under a listener: nothing is acknowledged that is not safe, and nothing is left that a restart takes for good."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from node.listener.rescan import rescan
from node.store.catalog.catalog import open_catalog
from node.store.journal import serves
from node.store.leftovers import clean
from node.store.peers import Peer
from node.store.settings import Settings
from node.store.spool import Spool
from node.store_scu import StoreScu, Verdict
from tests.unit.node.listener.encoded import EXPLICIT, image, write
from tests.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

SERIES = r"/in/1\.2\.3/1\.2\.3\.4$"
PART = r"\.part$"
FINAL = r"\.dcm$"
COUNT = 5


@contextmanager
def listening(data: Path, *fault: str) -> Iterator[Peer]:
    """A listener process; with a `fault`, one of ``tests.integration.faulty_listener``."""
    config = data.parent / "overread.toml"
    config.write_text(f'data = "{data}"\nhost = "127.0.0.1"\nport = 0\n[limits]\ndisk_reserve_mb = 0\nreceivers = 1\n')
    program = ["-m", "tests.integration.faulty_listener", *fault] if fault else ["-c", "from node.cli import main; main()"]
    command = [sys.executable, *program, "listen", "--config", str(config)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            assert process.stdout
            match = re.fullmatch(r"listening on 127\.0\.0\.1:(\d+)\n", process.stdout.readline())
            assert match
            yield Peer(ae_title="OVERREAD", host="127.0.0.1", port=int(match[1]))
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(30)
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)


def send(peer: Peer, files: list[Path]) -> list[Verdict]:
    return list(StoreScu(peer, "MODALITY").send(files))


def whole(path: Path) -> bool:
    number = int(path.stem.rsplit(".", 1)[1])
    return path.read_bytes().endswith(bytes([number]) * 300_000)


@pytest.mark.parametrize(
    ("call", "code", "pattern", "times", "refused"),
    [
        pytest.param("write", "ENOSPC", PART, 1, 1, marks=pytest.mark.promise),
        ("write", "EIO", PART, 1, 1),
        pytest.param("fdatasync", "EIO", PART, 1, 1, marks=pytest.mark.promise),
        ("fdatasync", "ENOSPC", PART, 2, 2),
        ("link", "ENOSPC", FINAL, 1, 1),
        pytest.param("link", "EIO", FINAL, 2, 2, marks=pytest.mark.promise),
        # a directory whose sync has failed once is not trusted again before a restart
        pytest.param("fsync", "EIO", SERIES, 1, COUNT, marks=pytest.mark.promise),
        ("fsync", "ENOSPC", SERIES, 1, COUNT),
    ],
)
def test_no_false_success_and_nothing_left_behind(
    tmp_path: Path, call: str, code: str, pattern: str, times: int, refused: int
) -> None:
    data, journal = tmp_path / "data", tmp_path / "journal"
    (tmp_path / "study").mkdir()
    files = [
        write(tmp_path / "study", image(number, pixels=bytes([number]) * 300_000), EXPLICIT) for number in range(1, COUNT + 1)
    ]
    with listening(data, str(journal), call, code, pattern, str(times)) as peer:
        verdicts = send(peer, files)
    assert Counter(verdict.status for verdict in verdicts) == Counter(
        {0xA700: refused} | ({0: COUNT - refused} if refused < COUNT else {})
    )
    acknowledged = {f"in/1.2.3/1.2.3.4/{verdict.sop_instance_uid}.dcm" for verdict in verdicts if verdict.stored}

    calls = [line.rsplit(" ", 2) for line in journal.read_text().splitlines()]
    failed = [(name.split(" ", 1)[0], path) for name, path, how in ((c[0], c[1], c[2]) for c in calls) if how == "failed"]
    assert len(failed) == (0 if call == "write" else times)
    if call in ("fdatasync", "fsync"):
        for name, path in failed:
            assert sum(one[0] == name and one[1] == path for one in calls) == 1, "a sync that failed is not tried again"

    spool = Spool(data / "spool")
    assert list((data / "spool" / "tmp").rglob("*.part")) == []
    there = {found.path for found in spool.scan()}
    assert acknowledged <= there
    if call != "fsync":
        assert there == acknowledged
    assert all(whole(spool.absolute(path)) for path in there), "what a restart finds is whole, acknowledged or not"

    with listening(data) as peer:
        again = send(peer, files)
    assert [verdict.status for verdict in again] == [0] * COUNT
    catalog = open_catalog(Settings(data=data))
    try:
        until = time.monotonic() + 15
        while len(catalog.intake.known_paths("1.2.3")) < COUNT and time.monotonic() < until:
            time.sleep(0.1)
        rescan(spool, catalog.intake)
        assert catalog.intake.known_paths("1.2.3") == {f"in/1.2.3/1.2.3.4/{path.name}" for path in files}
    finally:
        catalog.close()


SMALL = 4000


@pytest.mark.parametrize(
    ("call", "code", "pattern"),
    [
        pytest.param("pwritev", "EIO", r"journal-0$", marks=pytest.mark.promise),
        ("pwritev", "ENOSPC", r"journal-0$"),
        ("fdatasync", "EIO", r"journal-0$"),
        ("write", "ENOSPC", r"journal-1$"),
    ],
)
def test_small_objects_are_kept_one_by_one_where_their_journal_fails(tmp_path: Path, call: str, code: str, pattern: str) -> None:
    if not serves(tmp_path):
        pytest.skip("the file system or the kernel has no journal: see node.store.journal.serves")
    data, journal = tmp_path / "data", tmp_path / "journal"
    (tmp_path / "study").mkdir()
    files = [write(tmp_path / "study", image(number, pixels=bytes([number]) * SMALL), EXPLICIT) for number in range(1, 30)]
    with listening(data, str(journal), call, code, pattern, "1") as peer:
        assert {verdict.status for verdict in send(peer, files[:1])} == {0}
        seen = {"pwritev": "journal-1 ok", "fdatasync": "failed", "write": ""}[call]
        assert eventually(lambda: seen in journal.read_text())  # it is made while the first object is on its way
        for start in range(1, len(files), 7):
            assert {verdict.status for verdict in send(peer, files[start : start + 7])} == {0}
            if call == "pwritev" and "pwritev" not in journal.read_text():
                time.sleep(0.5)  # the names of what was made are being synced still
    calls = [line.rsplit(" ", 2) for line in journal.read_text().splitlines()]
    if call != "write":  # which are too many to be written down
        place = next(place for place, one in enumerate(calls) if one[2] == "failed")
        assert not [one for one in calls[place + 1 :] if one[0].endswith(call) and one[1] == calls[place][1]]
    spool = Spool(data / "spool")
    clean(spool)
    there = {found.path: spool.absolute(found.path).read_bytes() for found in spool.scan()}
    assert len(there) == len(files)
    assert all(content.endswith(bytes([int(path.rsplit(".", 2)[1])]) * SMALL) for path, content in there.items())
