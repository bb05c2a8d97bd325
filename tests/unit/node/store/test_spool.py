"""The promise of the spool, and that no fault of the disk is ever answered with success."""

from __future__ import annotations

import errno
import gc
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.store import spool as module
from node.store.errors import NotUnderstood, StorageFull
from node.store.leftovers import clean
from node.store.spool import INBOX, Kept, Spool, SpoolConflict, StorageFailed, check_uid, instance_path

PATH = instance_path("1.2", "1.2.3", "1.2.3.4")


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool")


def temporaries(spool: Spool) -> list[Path]:
    return list((spool.root / "tmp").glob("*/*.part"))


def test_keeps_bytes_under_their_name(spool: Spool) -> None:
    assert spool.keep(PATH, b"bytes") is Kept.STORED
    assert spool.absolute(PATH).read_bytes() == b"bytes"
    assert temporaries(spool) == []
    assert spool.absolute(PATH).stat().st_mode & 0o777 == 0o600


def test_the_same_again_is_there_and_other_bytes_are_a_conflict(spool: Spool) -> None:
    spool.keep(PATH, b"bytes")
    assert spool.keep(PATH, b"bytes") is Kept.ALREADY_THERE
    with pytest.raises(SpoolConflict):
        spool.keep(PATH, b"other")
    assert spool.absolute(PATH).read_bytes() == b"bytes"
    assert temporaries(spool) == []


def test_after_a_conflict_the_same_writer_keeps_under_another_name(spool: Spool) -> None:
    spool.keep(PATH, b"bytes")
    writer = spool.begin()
    writer.write(b"other")
    with pytest.raises(SpoolConflict):
        writer.keep(PATH)
    assert writer.keep(instance_path("1.2", "1.2.3", "1.2.3.4", 2)) is Kept.STORED
    assert [(found.version, found.study_uid) for found in spool.scan()] == [(1, "1.2"), (2, "1.2")]


class Calls:
    """Records the system calls that the promise is made of, and lets one of them fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.log: list[tuple[str, str]] = []
        self.fail: tuple[str, int] | None = None
        for name in ("write", "fdatasync", "link", "fsync"):
            monkeypatch.setattr(module.os, name, self._wrap(name, getattr(os, name)))

    def _wrap(self, name: str, real: Callable[..., object]) -> Callable[..., object]:
        def call(first: int | Path, *rest: object) -> object:
            where = Path(f"/proc/self/fd/{first}").readlink() if isinstance(first, int) else str(rest[0])
            self.log.append((name, Path(where).name))
            if self.fail and self.fail[0] == name:
                raise OSError(self.fail[1], os.strerror(self.fail[1]))
            return real(first, *rest)

        return call


def test_order_of_the_promise(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = Calls(monkeypatch)
    spool.keep(PATH, b"bytes")
    names = [name for name, _ in calls.log]
    assert names[:4] == ["write", "fdatasync", "link", "link"], "and once more when the folder was made"
    assert set(names[4:]) == {"fsync"}
    above = spool.root.parent.name
    assert [where for name, where in calls.log if name == "fsync"][:5] == ["1.2.3", "1.2", INBOX, "spool", above]

    calls.log.clear()
    spool.keep(instance_path("1.2", "1.2.3", "1.2.3.5"), b"bytes")
    assert [where for name, where in calls.log if name == "fsync"] == ["1.2.3"], "what is known to be stable is not synced again"

    calls.log.clear()
    spool.keep(PATH, b"bytes")
    assert [where for name, where in calls.log if name == "fsync"] == ["1.2.3"], "another process may have linked it just now"

    calls.log.clear()
    Spool(spool.root).keep(PATH, b"bytes")
    assert [where for name, where in calls.log if name == "fsync"][:5] == ["1.2.3", "1.2", INBOX, "spool", above]


def test_every_directory_is_synced_once_up_to_the_mount_point_whoever_made_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = Calls(monkeypatch)
    Spool(tmp_path / "new" / "data" / "spool").keep(PATH, b"bytes")
    synced = [where for name, where in calls.log if name == "fsync"]
    above = [path.name for path in (tmp_path, *tmp_path.parents)]
    mount = next(place for place, path in enumerate((tmp_path, *tmp_path.parents)) if path.is_mount())
    assert synced == ["1.2.3", "1.2", INBOX, "spool", "data", "new", *above[: mount + 1]]


@pytest.mark.parametrize(
    ("call", "number", "error"),
    [
        ("write", errno.ENOSPC, StorageFull),
        ("write", errno.EIO, StorageFailed),
        ("fdatasync", errno.EIO, StorageFailed),
        ("fdatasync", errno.ENOSPC, StorageFull),
        ("link", errno.ENOSPC, StorageFull),
        ("link", errno.EIO, StorageFailed),
        ("fsync", errno.EIO, StorageFailed),
        ("fsync", errno.ENOSPC, StorageFull),
    ],
)
def test_no_fault_is_answered_with_success(
    spool: Spool, monkeypatch: pytest.MonkeyPatch, call: str, number: int, error: type[Exception]
) -> None:
    calls = Calls(monkeypatch)
    calls.fail = (call, number)
    with pytest.raises(error):
        spool.keep(PATH, b"bytes")
    assert temporaries(spool) == []
    assert [name for name, _ in calls.log].count(call) == 1, "a failed call is not tried again on the same file"


def test_a_directory_whose_sync_failed_is_not_trusted_again(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = Calls(monkeypatch)
    calls.fail = ("fsync", errno.EIO)
    with pytest.raises(StorageFailed):
        spool.keep(PATH, b"bytes")
    calls.fail = None
    with pytest.raises(StorageFailed, match="restart"):
        spool.keep(PATH, b"bytes")


def test_a_failed_fdatasync_is_not_followed_by_another_try_on_that_file(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = Calls(monkeypatch)
    writer = spool.begin()
    writer.write(b"bytes")
    calls.fail = ("fdatasync", errno.EIO)
    with pytest.raises(StorageFailed):
        writer.keep(PATH)
    calls.fail = None
    with pytest.raises(StorageFailed):
        writer.keep(PATH)
    assert not spool.absolute(PATH).exists()


def test_nothing_is_taken_below_the_reserve(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", reserve_mb=10**9)
    with pytest.raises(StorageFull, match="MB free"):
        spool.begin()
    assert temporaries(spool) == []


@pytest.mark.parametrize("path", ["../x", "in/../../x", "/etc/passwd", "", "in//x", "in/./x", "in/\0"])
def test_stays_in_its_root(spool: Spool, path: str) -> None:
    with pytest.raises(NotUnderstood):
        spool.absolute(path)
    with pytest.raises(NotUnderstood):
        spool.keep(path, b"bytes")
    assert temporaries(spool) == []


@pytest.mark.parametrize("uid", ["", ".", "1.", ".1", "1..2", "../1", "1.2/3", "1.2a", "1" * 65, "1.2\n", "１.２"])
def test_refuses_what_is_no_uid(uid: str) -> None:
    with pytest.raises(NotUnderstood):
        check_uid(uid)


@given(st.text(max_size=70))
def test_a_checked_uid_is_one_component_of_a_path(text: str) -> None:
    try:
        check_uid(text)
    except NotUnderstood:
        return
    assert set(text) <= set("0123456789.")
    assert ".." not in text
    assert 0 < len(text) <= 64


def test_scan_finds_instances_only(spool: Spool) -> None:
    spool.keep(PATH, b"a")
    spool.keep(instance_path("1.1", "1.1.1", "1.1.1.1", 12), b"b")
    spool.keep("results/1.2/7.1/1.9.dcm", b"c")
    (spool.root / INBOX / "1.2" / "1.2.3" / "notes.txt").write_text("no")
    assert [(found.path, found.study_uid, found.version) for found in spool.scan()] == [
        ("in/1.1/1.1.1/1.1.1.1.v12.dcm", "1.1", 12),
        (PATH, "1.2", 1),
    ]


def test_scan_of_nothing(spool: Spool) -> None:
    assert list(spool.scan()) == []
    assert clean(spool) == 0


def test_leftovers_of_the_dead_are_removed_and_those_of_the_living_are_left(spool: Spool) -> None:
    code = "import sys; from pathlib import Path; from node.store.spool import Spool\nwriter = Spool(Path(sys.argv[1])).begin()\n"
    code += "writer.write(b'half')\nprint('ready', flush=True)\nsys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(spool.root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout
        assert other.stdout.readline() == "ready\n"
        mine = spool.begin()
        assert len(temporaries(spool)) == 2
        assert clean(spool) == 0
        assert clean(Spool(spool.root)) == 0
        other.kill()
        other.wait()
    assert clean(spool) == 1
    assert temporaries(spool) == [mine.path]
    mine.write(b"whole")
    assert mine.keep(PATH) is Kept.STORED


def test_two_processes_keep_the_same_name_once(spool: Spool) -> None:
    code = "import sys; from pathlib import Path; from node.store.spool import Spool\nspool = Spool(Path(sys.argv[1]))\nsys.stdin.readline()\n"
    code += "print([spool.keep(f'in/1/1/{n}.dcm', b'x' * 1000).name for n in range(200)].count('STORED'))"
    command = [sys.executable, "-c", code, str(spool.root)]
    others = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    stored = [int(other.communicate("go\n")[0]) for other in others]
    assert sum(stored) == 200
    assert len(list(spool.scan())) == 200


def test_a_spool_that_is_forgotten_gives_its_lock_back(spool: Spool) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for number in range(5):
        Spool(spool.root).keep(f"in/1/1/{number}.dcm", b"x")
    gc.collect()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    clean(spool)
    assert len(list((spool.root / "tmp").iterdir())) == 0
