"""The spool's journal: one synced write in place of the two syncs of a small file, until the files of many are synced at once.

An object, whole and under its name, is written over a part of a file that was written and synced before. No size, no block and no
directory changes, and a disk can be asked to keep nothing that costs less. Only then its own file is made, as any other, but not
synced. A thread has the file system write everything out now and then (``syncfs``); when that is done the entries are void.
What the journal of a process that died holds is put in its place at the next start (`node.store.leftovers`).

There are two parts: while one is made empty, the other is written to. What finds room in neither is synced by its own file.
"""

from __future__ import annotations

import ctypes
import os
import platform
import secrets
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from node.store.errors import OverreadError
from node.store.faults import tell
from node.store.log import get_logger

log = get_logger(__name__)

PART_BYTES: Final = 1 << 22
LONGEST: Final = 1 << 15
"""Bytes of an object up to which writing them twice costs less than the syncs."""
BLOCK: Final = 4096
"""Entries begin at multiples of it, so that no block with an entry that was acknowledged is written to again."""
_OLDEST_S: Final = 5.0
"""Seconds after which an entry is made void, however few there are."""
_NAMES: Final = ("journal-0", "journal-1")
_MARK: Final = b"overread"
_HEAD: Final = struct.Struct("<8s16sQLLL")
"""Mark, epoch of the part, when the entry was written, bytes of the name, bytes of the object, CRC-32 of name and object. The
first block has it with nothing but mark and epoch. An epoch is random: no object can hold what passes for an entry."""
_ZEROS: Final = bytes(1 << 20)
_TELLS_OF_FAILURE: Final = (5, 8)
"""Linux from which ``syncfs`` says that something could not be written."""
_LOCAL: Final = frozenset({"btrfs", "ext2", "ext3", "ext4", "f2fs", "tmpfs", "xfs"})
"""File systems on which ``syncfs`` does what ``fsync`` of each file would, and tells of failures; of others that is not known."""


class Entry(NamedTuple):
    """Parameters
    ----------
    written_ns
        When, in nanoseconds since 1970: which of two under one name came first, whichever process took them.
    name
        Relative to the spool's root.
    content
        All bytes of the file.
    """

    written_ns: int
    name: str
    content: bytes


def entries(part: bytes) -> Iterator[Entry]:
    """What the bytes of a part hold: entries in the order in which their places were given out, those not whole left out."""
    mark, epoch, *_ = _HEAD.unpack_from(part.ljust(_HEAD.size, b"\0"))
    if mark != _MARK:
        return
    for start in range(BLOCK, len(part) - _HEAD.size, BLOCK):
        if part.startswith(_MARK + epoch, start):
            _, _, written_ns, name_bytes, content_bytes, checksum = _HEAD.unpack_from(part, start)
            middle = start + _HEAD.size + name_bytes
            name, content = part[start + _HEAD.size : middle], part[middle : middle + content_bytes]
            if len(content) == content_bytes and zlib.crc32(content, zlib.crc32(name)) == checksum:
                yield Entry(written_ns, os.fsdecode(name), content)


def left_by_the_dead(folder: Path) -> Iterator[Entry]:
    """Entries in the folder of a process that has died. Raises OSError where the disk does not give them."""
    for name in _NAMES:
        with suppress(FileNotFoundError):
            yield from entries((folder / name).read_bytes())


def remove(folder: Path) -> None:
    """Remove the journal from a folder, once what it held is in its place."""
    for name in _NAMES:
        (folder / name).unlink(missing_ok=True)


def is_debris(found: bytes, content: bytes) -> bool:
    """Whether a file is what a power cut may have left of one with `content`: cut short, or with sectors never written."""
    sector = 512
    return len(found) <= len(content) and all(
        found[start : start + sector] == content[start : start + len(found[start : start + sector])]
        or not any(found[start : start + sector])
        for start in range(0, len(found), sector)
    )


def serves(folder: Path) -> bool:
    """Whether a journal in that folder would keep what it promises: the system writes all out, and says so where it cannot."""
    release = tuple(int(number) for number in platform.release().split("-")[0].split(".")[:2] if number.isdigit())
    try:
        mounts = Path("/proc/self/mountinfo").read_text()
    except OSError:
        return False
    return platform.system() == "Linux" and release >= _TELLS_OF_FAILURE and file_system(folder.resolve(), mounts) in _LOCAL


def file_system(folder: Path, mounts: str) -> str:
    """Type of the file system that holds a folder, by the lines of ``/proc/self/mountinfo``; empty where they do not tell."""
    found, longest = "", 0
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        mounted = Path(before.split(" ")[4].replace("\\040", " "))
        if folder.is_relative_to(mounted) and len(mounted.parts) >= longest:  # of two on one place the last one is seen
            found, longest = after.split(" ")[0], len(mounted.parts)
    return found


def _write_out(descriptor: int) -> None:
    """Have everything written that its file system has not yet (syncfs(2)). Raises OSError where something could not be."""
    if ctypes.CDLL(None, use_errno=True).syncfs(descriptor):
        raise OSError(ctypes.get_errno(), "not everything could be written out")


@dataclass(eq=False)
class _Part:
    """One file of a journal.

    Parameters
    ----------
    users
        How many write an entry, or the file that it stands in for, right now.
    """

    descriptor: int
    epoch: bytes = b""
    position: int = BLOCK
    users: int = 0

    @classmethod
    def make(cls, path: Path) -> _Part:
        part = cls(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        for _ in range(0, PART_BYTES, len(_ZEROS)):
            os.write(part.descriptor, _ZEROS)
        part.void()
        os.fsync(part.descriptor)
        return part

    @property
    def is_void(self) -> bool:
        return self.position == BLOCK

    def void(self) -> None:
        """Make it empty, on the disk too. Raises OSError."""
        epoch = secrets.token_bytes(16)
        os.pwrite(self.descriptor, _MARK + epoch, 0)
        os.fdatasync(self.descriptor)
        self.epoch, self.position = epoch, BLOCK

    def write(self, name: bytes, content: memoryview, offset: int) -> None:
        """Write an entry, and sync it. Raises OSError."""
        checksum = zlib.crc32(content, zlib.crc32(name))
        head = _HEAD.pack(_MARK, self.epoch, time.time_ns(), len(name), len(content), checksum)
        written = os.pwritev(self.descriptor, (head + name, content), offset)
        if written != _HEAD.size + len(name) + len(content):
            raise OSError(f"only {written} bytes were written")
        os.fdatasync(self.descriptor)


class Journal:
    """The journal of one process; its threads may share it.

    Parameters
    ----------
    folder
        Of this process alone; `left_by_the_dead` looks there.
    make_stable
        Syncs a folder, and the names that lead to it.
    """

    def __init__(self, folder: Path, make_stable: Callable[[Path], None]) -> None:
        self._folder = folder
        self._make_stable = make_stable
        self._changed = threading.Condition()
        self._active: _Part | None = None
        self._due = self._stopping = self._failed = False
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    @contextmanager
    def entry(self, name: str, content: memoryview) -> Iterator[bool]:
        """Write an entry; the caller makes the file that it stands in for before the block ends.

        Gives False where there is no room right now, or the disk did not take it: nothing is promised then.
        """
        encoded = os.fsencode(name)
        part, offset = self._take(_HEAD.size + len(encoded) + len(content))
        if part is None:
            yield False
            return
        try:
            yield self._write(part, encoded, content, offset)
        finally:
            with self._changed:
                part.users -= 1
                if not part.users and part is not self._active:  # else nobody waits for that
                    self._changed.notify_all()

    def close(self) -> None:
        """Have all entries void, and remove the journal; it stays where that cannot be done."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join()

    def _take(self, size: int) -> tuple[_Part | None, int]:
        """A part with room for so many bytes, and where in it."""
        with self._changed:
            part = self._active
            offset = part.position if part is not None else 0
            end = offset + -(-size // BLOCK) * BLOCK
            if part is None or end > PART_BYTES:
                self._due = part is not None
                self._changed.notify_all()
                return None, 0
            if part.is_void:
                self._changed.notify_all()
            part.position = end
            part.users += 1
            return part, offset

    def _write(self, part: _Part, name: bytes, content: memoryview, offset: int) -> bool:
        try:
            part.write(name, content, offset)
        except OSError as fault:
            self._give_up(fault)
            return False
        return True

    def _give_up(self, fault: OSError | OverreadError) -> None:
        """Take nothing more. What stands in it stays for the next start: it may be nowhere else on that disk."""
        log.error("the journal cannot be written: files are synced one by one until a restart", fault=tell(fault))
        with self._changed:
            self._active, self._failed = None, True
            self._changed.notify_all()

    def _run(self) -> None:
        try:
            parts = [_Part.make(self._folder / name) for name in _NAMES]
            self._make_stable(self._folder)
            self._empty_in_turn(*parts)
        except (OSError, OverreadError) as fault:
            self._give_up(fault)  # nothing is closed: other threads may be about to write there

    def _empty_in_turn(self, part: _Part, other: _Part) -> None:
        """Empty the part that is written to whenever that is due; the other one, which is void, is written to meanwhile."""
        self._active = part
        while self._is_due(part):
            self._empty(part, then=other)
            part, other = other, part
        if not self._failed:
            self._empty(part, then=None)
            remove(self._folder)
            os.close(part.descriptor)
            os.close(other.descriptor)

    def _is_due(self, part: _Part) -> bool:
        """Wait until the part is full, or holds something and has waited long enough; False where the journal ends."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_ending or not part.is_void)
            self._changed.wait_for(lambda: self._is_ending or self._due, _OLDEST_S)
            return not self._is_ending

    @property
    def _is_ending(self) -> bool:
        return self._stopping or self._failed

    def _empty(self, part: _Part, then: _Part | None) -> None:
        """Have on the disk all files whose entries stand in a part, then make it void. Raises OSError; it is not void then."""
        with self._changed:
            self._active, self._due = then, False
            self._changed.wait_for(lambda: not part.users)
        _write_out(part.descriptor)
        part.void()
