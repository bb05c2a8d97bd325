"""The spool: where acknowledged bytes are.

The promise: when `Writer.keep` or `Spool.keep` returns, the bytes and every directory entry that leads to them are on stable
storage. Bytes go to a temporary name in the spool, ``fdatasync``, ``link`` to the final name, which must not exist, ``unlink``,
then ``fsync`` of the directory and of each directory above whose own entry is not known to be stable. Small objects may be in a
journal instead (`node.store.journal`), and their files synced later. Several processes may use one spool.

A failed sync is never tried again on the same file or directory: the kernel reports a lost write once, and a second call that
succeeds says nothing about the first (https://wiki.postgresql.org/wiki/Fsync_Errors).
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final

from node.store import journal
from node.store.blockfile import BlockFile, Shelf
from node.store.errors import NotUnderstood, Permanent, Retryable, StorageFull
from node.store.journal import LONGEST, Journal
from node.store.reserve import Reserve
from node.store.workshop import Workshop

INBOX: Final = "in"
RESULTS: Final = "results"
TEMPORARY: Final = "tmp"

_UID: Final = re.compile(r"[0-9]+(?:\.[0-9]+)*")
_INSTANCE: Final = re.compile(r"(?P<sop>[0-9.]+)(?:\.v(?P<version>[0-9]+))?\.dcm")
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_REMEMBERED: Final = 4096
"""Directories remembered as stable; forgetting one costs an fsync."""
REMEMBERED_S: Final = 600.0
"""Seconds that a directory is remembered: what removes emptied ones waits longer than this."""
_COMPARED: Final = 1 << 20
_NO_NAMES: Final = frozenset({"", ".", ".."})
_LEAVES: Final = "a path in the spool must be relative and stay in it"

Same = Callable[[Path, Path], bool]
"""Whether two files (the new one, the one already there) hold the same."""


class StorageFailed(Retryable):
    """The disk did not take what was written: nothing was acknowledged."""


class SpoolConflict(Permanent):
    """Other bytes are kept under that name."""


class Kept(Enum):
    """What `keep` found."""

    STORED = "stored"
    ALREADY_THERE = "already there"


@dataclass(frozen=True, slots=True)
class SpooledInstance:
    """A received instance as its place in the spool tells it."""

    path: str
    """Relative to the spool's root."""
    study_uid: str
    version: int


@functools.lru_cache(maxsize=4096)
def check_uid(uid: str) -> str:
    """Return `uid` if it is 1 to 64 digits and dots without an empty component (PS3.5 section 9.1), and so safe in a path.

    Leading zeros, which the standard forbids, are let through: real devices send them and they harm nobody.

    Raises
    ------
    NotUnderstood
        For anything else.
    """
    if len(uid) > 64 or not _UID.fullmatch(uid):
        raise NotUnderstood("not a UID: 1 to 64 digits and dots")
    return uid


def instance_path(study_uid: str, series_uid: str, sop_instance_uid: str, version: int = 1) -> str:
    """Where the `version`-th different bytes of an instance are, relative to the spool's root.

    Raises
    ------
    NotUnderstood
        Where one of them is no UID.
    """
    name = check_uid(sop_instance_uid) + (f".v{version}" if version > 1 else "")
    return f"{INBOX}/{check_uid(study_uid)}/{check_uid(series_uid)}/{name}.dcm"


def same_bytes(new: Path, old: Path) -> bool:
    """Whether two files hold the same bytes."""
    return new.stat().st_size == old.stat().st_size and same_from(new, old, 0, 0)


def same_from(new: Path, old: Path, new_offset: int, old_offset: int) -> bool:
    """Whether two files hold the same bytes from these offsets to their ends."""
    with new.open("rb") as left, old.open("rb") as right:
        left.seek(new_offset)
        right.seek(old_offset)
        while True:
            piece = left.read(_COMPARED)
            if piece != right.read(_COMPARED):
                return False
            if not piece:
                return True


class Spool:
    """Files under one root, written once and never changed.

    Parameters
    ----------
    root
        Folder on one file system; made when first written to.
    reserve_mb
        Free space, MB, below which nothing more is taken.
    journalled
        Small objects go to a journal first: for processes that take many, and then `close` it.
    """

    def __init__(self, root: Path, reserve_mb: int = 0, *, journalled: bool = False) -> None:
        self.root = root.absolute()
        self._top: Path | None = None
        self.reserve = Reserve(self.root, reserve_mb * 1_000_000)
        self._lock = threading.Lock()
        self._stable: OrderedDict[Path, float] = OrderedDict()  # until when it is remembered, by the monotonic clock
        self._fresh: set[Path] = set()
        self._unstable: set[Path] = set()
        self._workshop: Workshop | None = None
        self._folders: dict[str, Path] = {}
        self.shelf = Shelf()
        self._journalled = journalled and journal.serves(self.root)
        self._journal: tuple[Workshop, Journal] | None = None

    def begin(self) -> Writer:
        """Start a new file.

        Raises
        ------
        StorageFull
            Where less than the reserve is free; nothing is written then.
        StorageFailed
            Where the folder cannot be written.
        """
        try:
            workshop = self._open_workshop()
            if not self.reserve.has_room():
                raise self.no_room()
            return Writer(self, workshop.new_file())
        except OSError as fault:
            raise storage_fault(fault) from fault

    def _open_workshop(self) -> Workshop:
        workshop = self._workshop
        if workshop is not None and workshop.process_id == os.getpid():
            return workshop
        self._make_folders(self.root / TEMPORARY)
        with self._lock:
            if self._workshop is None or self._workshop.process_id != os.getpid():
                self._workshop = Workshop(self.root / TEMPORARY)
            return self._workshop

    def has_room(self) -> bool:
        """Whether something new may be begun; where the disk does not say, beginning it will tell."""
        try:
            return self.reserve.has_room()
        except OSError:
            return True

    def no_room(self) -> StorageFull:
        """What is said where there is none."""
        return StorageFull(f"less than {self.reserve.megabytes} MB free for the spool: make room on its disk")

    def keep(self, relative_path: str, content: bytes | bytearray) -> Kept:
        """Keep `content` under that name; the promise holds when it returns.

        Raises
        ------
        SpoolConflict
            Where other bytes are kept under that name.
        StorageFull, StorageFailed
            Where the disk did not take it.
        """
        writer = self.begin()
        try:
            writer.write(content)
            return writer.keep(relative_path)
        finally:
            writer.discard()

    def absolute(self, relative_path: str) -> Path:
        """The place of a relative path.

        Raises
        ------
        NotUnderstood
            Where it would lie outside of the root.
        """
        folder, _, name = relative_path.rpartition("/")
        if name in _NO_NAMES or "\0" in name:
            raise NotUnderstood(_LEAVES)
        return self._folder(folder) / name if folder else self.root / name

    def _folder(self, relative: str) -> Path:
        """The place of a folder; the last ones are remembered, for the objects of a series come together."""
        found = self._folders.get(relative)
        if found is None:
            if any(part in _NO_NAMES or "\0" in part for part in relative.split("/")):
                raise NotUnderstood(_LEAVES)
            if len(self._folders) >= _REMEMBERED:
                self._folders.clear()
            found = self._folders[relative] = self.root / relative
        return found

    def scan(self) -> Iterator[SpooledInstance]:
        """All received instances, study by study."""
        for study in _folders(self.root / INBOX):
            for series in _folders(study):
                for entry in sorted(os.scandir(series), key=lambda entry: entry.name):
                    match = _INSTANCE.fullmatch(entry.name)
                    if match and entry.is_file(follow_symlinks=False):
                        path = f"{INBOX}/{study.name}/{series.name}/{entry.name}"
                        yield SpooledInstance(path, study.name, int(match["version"] or 1))

    def journal(self) -> Journal | None:
        """The journal of this process, if it has one."""
        if not self._journalled:
            return None
        workshop = self._open_workshop()
        with self._lock:
            if self._journal is None or self._journal[0] is not workshop:
                self._journal = workshop, Journal(workshop.folder, self.make_stable)
            return self._journal[1]

    def close(self) -> None:
        """Sync what the journal of this process stands for, and remove it."""
        if self._journal is not None and self._journal[0].process_id == os.getpid():
            self._journal[1].close()
            self._journalled, self._journal = False, None

    def link(self, temporary: Path, final: Path, same: Same) -> Kept:
        """Give a synced temporary file its place, for `Writer.keep`."""
        kept = Kept.STORED
        try:
            self.name(temporary, final)
        except FileExistsError as there:
            if not same(temporary, final):
                raise SpoolConflict("other bytes are kept under that name already") from there
            kept = Kept.ALREADY_THERE  # who linked it may not have come to its own sync: ours follows
        self.make_stable(final.parent)
        return kept

    def name(self, temporary: Path, final: Path) -> None:
        """Give a temporary file its name. Raises OSError; FileExistsError where that is taken."""
        while True:
            try:
                os.link(temporary, final)
            except FileNotFoundError:
                if not temporary.exists():
                    raise
                self._make_folders(final.parent)  # and again, should somebody remove the empty folder meanwhile
            else:
                return

    def _make_folders(self, folder: Path) -> None:
        """Make what is missing down to `folder`."""
        missing = []
        while not folder.is_dir():
            missing.append(folder)
            folder = folder.parent
        for each in reversed(missing):
            with contextlib.suppress(FileExistsError):
                each.mkdir(mode=0o700)
                with self._lock:
                    self._fresh.add(each)
                    self._stable.pop(each, None)

    def make_stable(self, folder: Path) -> None:
        """Sync `folder`, and above it each directory that holds an entry not known to be stable.

        That goes up to where the file system is mounted: who made the data folder may not have synced the one above it.
        """
        to_sync = [folder]
        with self._lock:
            now = time.monotonic()
            if self._top is None:
                self._top = next(path for path in (self.root, *self.root.parents) if path.is_mount() or path == path.parent)
            while folder != self._top and (folder in self._fresh or not self._stable.get(folder, 0.0) > now):
                folder = folder.parent
                to_sync.append(folder)
        for each in to_sync:
            self._sync_folder(each)
        with self._lock:
            for each in to_sync[:-1]:
                self._fresh.discard(each)
                self._stable[each] = now + REMEMBERED_S
                self._stable.move_to_end(each)
            while len(self._stable) > _REMEMBERED:
                self._stable.popitem(last=False)

    def _sync_folder(self, folder: Path) -> None:
        if folder in self._unstable:
            name = folder.relative_to(self.root.parent) if folder.is_relative_to(self.root.parent) else folder
            raise StorageFailed(f"an earlier sync of {name} failed: check the disk, then restart")
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except PermissionError:
            if self.root.is_relative_to(folder) and folder != self.root:
                return  # above the data folder: who may not look into it has made nothing there
            raise
        try:
            os.fsync(descriptor)
        except OSError:
            self._unstable.add(folder)
            raise
        finally:
            os.close(descriptor)


class Writer:
    """One file on its way into the spool; made by `Spool.begin`. Ends with `keep` or `discard`."""

    def __init__(self, spool: Spool, path: Path) -> None:
        self._spool = spool
        self.path = path
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._file = BlockFile(self._descriptor, spool.shelf)
        self._closed = self._removed = False

    @property
    def size_bytes(self) -> int:
        """Bytes written so far."""
        return self._file.size_bytes

    def write(self, content: bytes | bytearray | memoryview) -> None:
        """Append `content`.

        Raises
        ------
        StorageFull, StorageFailed
            Where the disk does not take it; the file is of no use then.
        """
        try:
            self._file.append(content)
            enough = self._spool.reserve.spend(len(content))
        except OSError as fault:
            raise storage_fault(fault) from fault
        if not enough:
            raise self._spool.no_room()

    def room(self) -> memoryview:
        """Where the next bytes may be put before `write` takes them, so that they need not be copied."""
        return self._file.room()

    def read(self, offset: int, length: int) -> bytes:
        """Bytes that were written, before `keep`; fewer at the end. Raises OSError where the disk does not give them."""
        return self._file.read(offset, length)

    def keep(self, relative_path: str, same: Same = same_bytes) -> Kept:
        """Keep what was written under that name; the promise holds when it returns. Once only.

        Parameters
        ----------
        same
            Decides whether what is there under that name is the same.

        Raises
        ------
        SpoolConflict
            Where it is not: the file may then be kept under another name.
        StorageFull, StorageFailed
            Where the disk did not take it.
        """
        final = self._spool.absolute(relative_path)
        try:
            if self._keep_journalled(relative_path, final):
                return Kept.STORED
            if not self._closed:
                self._close_synced()
            kept = self._spool.link(self.path, final, same)
        except OSError as fault:
            self.discard()
            raise storage_fault(fault) from fault
        self.discard()
        return kept

    def _keep_journalled(self, relative_path: str, final: Path) -> bool:
        """Keep a small object by the journal; False where it must go the usual way.

        The entry comes before the name: a name is never there, after a power cut, for bytes that are nowhere.
        """
        content = None if self._closed else self._file.whole
        journal = self._spool.journal() if content is not None and len(content) <= LONGEST else None
        if content is None or journal is None:
            return False
        with journal.entry(relative_path, content) as taken:
            if not taken:
                return False
            self._file.finish()
            try:
                self._spool.name(self.path, final)
            except FileExistsError:
                return False  # as the entry will be: what is there is the same, or the entry becomes another version
        self.discard()
        return True

    def _close_synced(self) -> None:
        self._closed = True
        try:
            self._file.finish()
            os.fdatasync(self._descriptor)
        finally:
            self._file.release()
            os.close(self._descriptor)

    def discard(self) -> None:
        """Remove the temporary file; does nothing after `keep` has succeeded."""
        if not self._closed:
            self._closed = True
            self._file.release()
            os.close(self._descriptor)
        if not self._removed:
            self._removed = True
            with contextlib.suppress(OSError):  # a leftover is removed at the next start
                self.path.unlink(missing_ok=True)


def storage_fault(fault: OSError) -> StorageFull | StorageFailed:
    """The error of ours that an error of the system means."""
    if fault.errno in _NO_ROOM:
        return StorageFull("the spool's disk is full: make room")
    return StorageFailed(f"the spool's disk fails ({errno.errorcode.get(fault.errno or 0, 'unknown')}): check it")


def _folders(parent: Path) -> Iterator[Path]:
    if parent.is_dir():
        yield from (Path(entry.path) for entry in sorted(os.scandir(parent), key=lambda entry: entry.name) if entry.is_dir())
