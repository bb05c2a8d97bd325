"""What a process leaves that dies: acknowledged bytes come back from its journal, and nothing that is there is ever overwritten."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from node.store import journal, leftovers
from node.store.leftovers import clean, wait_until_clean
from node.store.spool import Kept, Spool, SpoolConflict, instance_path
from tests.waiting import eventually

PATH = instance_path("1.2", "1.2.3", "1.2.3.4")
SECOND = instance_path("1.2", "1.2.3", "1.2.3.4", 2)
CONTENT = bytes(range(256)) * 20

KEEPER = """
import sys, time
from pathlib import Path
from node.store.spool import Spool

spool = Spool(Path(sys.argv[1]), journalled=True)
journal = spool.journal()
while journal._active is None:
    time.sleep(0.01)
for path in sys.argv[2:]:
    spool.keep(path, bytes(range(256)) * 20)
print("kept", flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def has_journals(tmp_path: Path) -> None:
    if not journal.serves(tmp_path):
        pytest.skip("the file system or the kernel has no journal: see node.store.journal.serves")


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool")


def kept_by_a_process_that_dies(spool: Spool, *paths: str) -> None:
    command = [sys.executable, "-c", KEEPER, str(spool.root), *paths]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout
        assert other.stdout.readline() == "kept\n"
        assert clean(spool) == 0, "what the living have is let be"
        assert held(spool) == list(paths)
        other.kill()


def held(spool: Spool) -> list[str]:
    return [entry.name for folder in sorted((spool.root / "tmp").iterdir()) for entry in journal.left_by_the_dead(folder)]


def kept(spool: Spool) -> dict[str, bytes]:
    return {found.path: spool.absolute(found.path).read_bytes() for found in spool.scan()}


def nothing_left(spool: Spool) -> bool:
    return not list((spool.root / "tmp").iterdir())


@pytest.mark.parametrize("left", [None, b"", CONTENT[:700], bytes(len(CONTENT)), CONTENT])
def test_what_a_power_cut_took_is_there_again(spool: Spool, left: bytes | None) -> None:
    kept_by_a_process_that_dies(spool, PATH)
    final = spool.absolute(PATH)
    assert final.read_bytes() == CONTENT
    final.unlink()
    if left is not None:
        final.write_bytes(left)
    else:
        final.parent.rmdir()
    clean(spool)
    assert kept(spool) == {PATH: CONTENT}
    assert nothing_left(spool)
    clean(spool)
    assert kept(spool) == {PATH: CONTENT}


def test_other_bytes_under_that_name_are_left_and_it_becomes_a_version(spool: Spool) -> None:
    kept_by_a_process_that_dies(spool, PATH)
    spool.absolute(PATH).write_bytes(b"others, which came at the same moment")
    clean(spool)
    assert kept(spool) == {PATH: b"others, which came at the same moment", SECOND: CONTENT}
    assert nothing_left(spool)


def test_an_entry_whose_bytes_went_on_as_a_version_is_that_version(spool: Spool) -> None:
    kept_by_a_process_that_dies(spool, PATH)
    spool.absolute(PATH).write_bytes(b"others")
    spool.absolute(SECOND).write_bytes(CONTENT)
    clean(spool)
    assert kept(spool) == {PATH: b"others", SECOND: CONTENT}


@pytest.mark.parametrize("names", [("a", "b"), ("b", "a")])
def test_of_two_under_one_name_the_later_one_is_the_later_version(spool: Spool, names: tuple[str, str]) -> None:
    """Whichever process took which: what came last is what is read."""
    later = CONTENT[::-1]
    for name, content in zip(names, (CONTENT, later), strict=True):
        folder = spool.root / "tmp" / name
        folder.mkdir(parents=True)
        (folder / "lock").touch()
        made = journal.Journal(folder, lambda _: None)
        assert eventually(lambda made=made, content=content: taken(made, content))  # type: ignore[misc]
        for part in ("journal-0", "journal-1"):
            shutil.copy(folder / part, folder / f"{part}.kept")
        made.close()
        for part in ("journal-0", "journal-1"):
            (folder / f"{part}.kept").rename(folder / part)
    clean(spool)
    assert kept(spool) == {PATH: CONTENT, SECOND: later}


def taken(made: journal.Journal, content: bytes) -> bool:
    with made.entry(PATH, memoryview(content)) as yes:
        return yes


def test_restored_bytes_are_synced_before_the_journal_goes(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    kept_by_a_process_that_dies(spool, PATH)
    spool.absolute(PATH).unlink()
    seen: list[str] = []
    real = leftovers.os.fsync

    def fsync(descriptor: int) -> None:
        seen.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        assert held(spool) == [PATH]
        real(descriptor)

    monkeypatch.setattr(leftovers.os, "fsync", fsync)
    clean(spool)
    assert seen[:2] == ["restored.part", "1.2.3"]


def test_what_the_disk_does_not_take_stays_in_the_journal(
    spool: Spool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept_by_a_process_that_dies(spool, PATH)
    spool.absolute(PATH).unlink()

    def fail(_: int) -> None:
        raise OSError(5, "no")

    with monkeypatch.context() as patched:
        patched.setattr(leftovers.os, "fsync", fail)
        clean(spool)
    assert held(spool) == [PATH]
    clean(spool)
    assert kept(spool) == {PATH: CONTENT}


def test_whoever_reads_waits_for_that(spool: Spool) -> None:
    kept_by_a_process_that_dies(spool, PATH)
    spool.absolute(PATH).unlink()
    assert not wait_until_clean(spool, timeout_s=0.2)
    assert held(spool) == [PATH], "who waits touches nothing"
    answers: list[bool] = []
    waiting = threading.Thread(target=lambda: answers.append(wait_until_clean(spool, timeout_s=60)))
    waiting.start()
    clean(spool)
    waiting.join()
    assert answers == [True]
    assert kept(spool) == {PATH: CONTENT}


def test_who_looks_is_not_taken_for_the_living(spool: Spool) -> None:
    """Looking takes a dead process's lock for a moment; whoever cleans then must not pass it over."""
    kept_by_a_process_that_dies(spool, PATH)
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            wait_until_clean(spool, timeout_s=0.0)

    looking = [threading.Thread(target=look) for _ in range(3)]
    for thread in looking:
        thread.start()
    clean(spool)
    done.set()
    for thread in looking:
        thread.join()
    assert nothing_left(spool)


def test_nobody_waits_for_the_living(tmp_path: Path) -> None:
    spool = with_journal(tmp_path)
    spool.keep(PATH, CONTENT)
    assert wait_until_clean(Spool(spool.root), timeout_s=0.0)
    spool.close()


def with_journal(folder: Path) -> Spool:
    spool = Spool(folder / "spool", journalled=True)
    made = spool.journal()
    assert made is not None
    assert eventually(lambda: made._active is not None)
    return spool


def test_a_small_object_is_in_the_journal_before_its_name_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = with_journal(tmp_path)
    real = leftovers.os.link

    def link(old: Path, new: Path) -> None:
        assert set(held(spool)) == {PATH}
        real(old, new)

    monkeypatch.setattr(leftovers.os, "link", link)
    assert spool.keep(PATH, CONTENT) is Kept.STORED
    assert spool.keep(PATH, CONTENT) is Kept.ALREADY_THERE
    with pytest.raises(SpoolConflict):
        spool.keep(PATH, CONTENT[1:])
    spool.close()
    assert kept(spool) == {PATH: CONTENT}
    clean(Spool(spool.root))
    assert kept(spool) == {PATH: CONTENT}


def test_a_large_object_goes_the_usual_way(tmp_path: Path) -> None:
    spool = with_journal(tmp_path)
    spool.keep(PATH, bytes(journal.LONGEST + 1))
    assert held(spool) == []
    spool.close()


def test_a_journal_that_fails_costs_no_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = with_journal(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(journal.os, "pwritev", lambda *_: 0)
        assert spool.keep(PATH, CONTENT) is Kept.STORED
    assert spool.keep(SECOND, CONTENT) is Kept.STORED
    assert held(spool) == []
    assert kept(spool) == {PATH: CONTENT, SECOND: CONTENT}
    spool.close()
