"""Where the spool's unfinished files are: a folder for each process, locked for as long as that process lives."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import uuid
import weakref
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


def remove_if_dead(folder: Path) -> int:
    """Remove a workshop whose lock nobody holds; a lock that cannot be opened is being made or removed right now."""
    try:
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return 0
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return 0
    else:
        leftovers = list(folder.glob("*.part"))
        for path in leftovers:
            path.unlink(missing_ok=True)
        (folder / "lock").unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            folder.rmdir()
        return len(leftovers)
    finally:
        os.close(lock)
