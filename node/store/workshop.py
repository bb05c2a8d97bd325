"""Where the spool's unfinished files are: a folder for each process, locked for as long as that process lives."""

from __future__ import annotations

import fcntl
import itertools
import os
import uuid
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


class Workshop:
    """The folder of temporary files of one process, locked as long as the process lives."""

    def __init__(self, parent: Path) -> None:
        self.process_id = os.getpid()
        self._numbers = itertools.count(1)
        while True:
            self.folder = parent / uuid.uuid4().hex
            self.folder.mkdir(mode=0o700)
            self._lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            if (self.folder / "lock").exists():
                weakref.finalize(self, os.close, self._lock)
                return
            os.close(self._lock)  # somebody's `clean` came between: take another name

    def new_file(self) -> Path:
        return self.folder / f"{next(self._numbers)}.part"


@contextmanager
def if_dead(folder: Path) -> Iterator[bool]:
    """Hold the lock of a workshop whose process has died; gives False where it lives, or is being made or removed right now."""
    try:
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        yield False
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        yield True
    finally:
        os.close(lock)


def remove(folder: Path) -> int:
    """Remove a workshop whose lock is held by `if_dead`; return how many unfinished files were in it."""
    leftovers = list(folder.glob("*.part"))
    for path in leftovers:
        path.unlink(missing_ok=True)
    (folder / "lock").unlink(missing_ok=True)
    with suppress(OSError):
        folder.rmdir()
    return len(leftovers)
