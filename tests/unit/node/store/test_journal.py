"""The journal: what it takes is on the disk with one write, is found again whatever else is lost, and goes when files are safe."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.store import journal as module
from node.store.journal import BLOCK, LONGEST, PART_BYTES, Journal, entries, file_system, is_debris, left_by_the_dead
from tests.waiting import eventually


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    made = opened(tmp_path)
    yield made
    made.close()


def opened(folder: Path) -> Journal:
    made = Journal(folder, lambda _: None)
    assert eventually(lambda: taken(made, "first", b"1"))
    return made


def held(folder: Path) -> list[tuple[str, bytes]]:
    return [(name, content) for _, name, content in left_by_the_dead(folder)]


def taken(journal: Journal, name: str, content: bytes) -> bool:
    with journal.entry(name, memoryview(content)) as yes:
        return yes


def test_what_is_taken_is_read_again(tmp_path: Path, journal: Journal) -> None:
    assert taken(journal, "in/1/2/3.dcm", b"bytes")
    before, after = left_by_the_dead(tmp_path)
    assert (before[1:], after[1:]) == (("first", b"1"), ("in/1/2/3.dcm", b"bytes"))
    assert time.time_ns() - 60 * 10**9 < before.written_ns < after.written_ns <= time.time_ns()


def test_an_entry_is_synced_before_it_is_taken(tmp_path: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def sync(descriptor: int) -> None:
        seen.append([entry.name for entry in entries(os.pread(descriptor, PART_BYTES, 0))])

    monkeypatch.setattr(module.os, "fdatasync", sync)
    with journal.entry("second", memoryview(b"2")) as yes:
        assert yes
        assert seen == [["first", "second"]]


def test_whoever_writes_at_the_same_time_is_there_each(tmp_path: Path, journal: Journal) -> None:
    def write(number: int) -> None:
        for each in range(20):
            assert taken(journal, f"{number}-{each}", bytes([number]) * 5000)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = dict(held(tmp_path))
    assert {name: found[name] for name in found if name != "first"} == {
        f"{number}-{each}": bytes([number]) * 5000 for number in range(4) for each in range(20)
    }


def test_a_full_part_is_emptied_and_used_again(tmp_path: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    written_out = []
    monkeypatch.setattr(module, "_write_out", written_out.append)
    content = bytes(LONGEST)
    for turn in range(3 * PART_BYTES // LONGEST):
        assert eventually(lambda turn=turn: taken(journal, f"{turn}", content))  # type: ignore[misc]
    assert len(written_out) >= 2
    assert len(list(left_by_the_dead(tmp_path))) <= 2 * PART_BYTES // LONGEST, "what was written out is void"


def test_nothing_is_void_while_a_file_is_being_made(tmp_path: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that was not there when all was written out must keep its entry."""
    written_out = threading.Event()
    monkeypatch.setattr(module, "_write_out", lambda _: written_out.set())
    monkeypatch.setattr(module, "_OLDEST_S", 0.01)
    with journal.entry("slow", memoryview(b"bytes")) as yes:
        assert yes
        written_out.clear()
        for number in range(2 * PART_BYTES // BLOCK):
            taken(journal, f"{number}", b"")  # has the part emptied for want of room
        assert ("slow", b"bytes") in held(tmp_path)
        assert not written_out.is_set()
    assert eventually(written_out.is_set)
    assert eventually(lambda: ("slow", b"bytes") not in held(tmp_path))


def test_entries_are_void_after_a_while_however_few_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_OLDEST_S", 0.05)
    journal = opened(tmp_path)
    assert eventually(lambda: not list(left_by_the_dead(tmp_path)))
    journal.close()


def test_what_the_disk_does_not_take_is_not_promised_and_nothing_more_is(
    tmp_path: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def fail(descriptor: int) -> None:
        calls.append(descriptor)
        raise OSError(errno.EIO, "no")

    monkeypatch.setattr(module.os, "fdatasync", fail)
    assert not taken(journal, "second", b"2")
    assert not taken(journal, "third", b"3")
    assert len(calls) == 1, "a sync that failed is not tried again"
    journal.close()
    assert ("first", b"1") in held(tmp_path), "it may be nowhere else"


def test_a_short_write_is_not_promised(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.os, "pwritev", lambda *_: 10)
    assert not taken(journal, "second", b"2")


def test_entries_stay_where_not_everything_could_be_written_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = opened(tmp_path)

    def fail(_: int) -> None:
        raise OSError(errno.EIO, "no")

    monkeypatch.setattr(module, "_write_out", fail)
    journal.close()
    assert held(tmp_path) == [("first", b"1")]
    assert not taken(journal, "second", b"2")


def test_a_disk_without_room_for_a_journal_goes_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(module.os, "write", full)
    journal = Journal(tmp_path, lambda _: None)
    journal.close()
    assert not taken(journal, "first", b"1")
    assert list(left_by_the_dead(tmp_path)) == []


def test_closed_it_leaves_nothing(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    journal.close()
    assert list(tmp_path.iterdir()) == []
    assert not taken(journal, "late", b"")


def part(*kept: tuple[bytes, bytes], epoch: bytes = b"e" * 16) -> bytearray:
    """The bytes of a part, written as the format says."""
    made = bytearray(module._MARK + epoch).ljust(BLOCK, b"\0")
    for name, content in kept:
        checksum = module.zlib.crc32(name + content)
        made += module._HEAD.pack(module._MARK, epoch, 7, len(name), len(content), checksum) + name + content
        made += bytes(-len(made) % BLOCK)
    return made


KEPT = st.dictionaries(st.text(st.characters(codec="ascii"), max_size=200), st.binary(max_size=9000), max_size=6)


@given(KEPT, st.data())
def test_whatever_block_is_lost_the_other_entries_are_read(content: dict[str, bytes], data: st.DataObject) -> None:
    kept = list(content.items())
    made = part(*((name.encode(), content) for name, content in kept))
    assert [entry[1:] for entry in entries(bytes(made))] == kept
    if kept:
        lost = data.draw(st.integers(1, len(made) // BLOCK - 1))
        made[lost * BLOCK : (lost + 1) * BLOCK] = bytes(BLOCK)
        found = [(name, content) for _, name, content in entries(bytes(made))]
        assert len(found) >= len(kept) - 1
        assert [entry for entry in kept if entry in found] == found


def test_an_object_that_looks_like_an_entry_is_none(tmp_path: Path) -> None:
    forged = bytes(part((b"in/1/1/1.dcm", b"forged"), epoch=b"f" * 16))
    inside = bytes(BLOCK - module._HEAD.size - 4) + forged
    assert [name for _, name, _ in entries(bytes(part((b"name", inside))))] == ["name"]


@pytest.mark.parametrize("content", [b"", b"x", bytes(BLOCK), b"overread", os.urandom(3 * BLOCK)])
def test_what_is_no_part_holds_nothing(content: bytes) -> None:
    assert list(entries(content)) == []


@given(st.binary(min_size=1, max_size=3000), st.data())
def test_what_a_power_cut_leaves_of_a_file_is_debris(content: bytes, data: st.DataObject) -> None:
    left = bytearray(content[: data.draw(st.integers(0, len(content)))])
    for sector in data.draw(st.sets(st.integers(0, 6))):
        left[sector * 512 : (sector + 1) * 512] = bytes(len(left[sector * 512 : (sector + 1) * 512]))
    assert is_debris(bytes(left), content)


def test_other_bytes_are_no_debris() -> None:
    content = os.urandom(2000)
    assert not is_debris(content + b"more", content)
    assert not is_debris(content[:1999] + bytes([content[1999] ^ 1]), content)


MOUNTS = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
40 22 0:35 / /mnt/images rw - nfs4 server:/images rw
41 40 8:1 / /mnt/images/fast\\040disk rw - xfs /dev/sdb rw
42 22 0:36 / /tmp rw - tmpfs tmpfs rw
43 22 8:2 / /tmp rw - btrfs /dev/sdc rw
"""


@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        ("/var/lib", "ext4"),
        ("/mnt/images/spool", "nfs4"),
        ("/mnt/imagesque", "ext4"),
        ("/mnt/images/fast disk/spool", "xfs"),
        ("/tmp/x", "btrfs"),
    ],
)
def test_file_system_of_a_folder(folder: str, expected: str) -> None:
    assert file_system(Path(folder), MOUNTS) == expected


def test_there_is_none_over_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "file_system", lambda *_: "nfs4")
    assert not module.serves(tmp_path)
    monkeypatch.setattr(module, "file_system", lambda *_: "ext4")
    monkeypatch.setattr(module.platform, "release", lambda: "6.1.0-13-amd64")
    assert module.serves(tmp_path)
    monkeypatch.setattr(module.platform, "release", lambda: "5.4.0-150-generic")
    assert not module.serves(tmp_path), "it does not say when something could not be written"
