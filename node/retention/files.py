"""Files of the spool go: unlinked, their folders synced, emptied folders removed when nobody remembers them."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from node.store import part10
from node.store.errors import NotUnderstood
from node.store.spool import INBOX, REMEMBERED_S, RESULTS
from node.store.sync import sync

_CHUNK: Final = 1 << 20
_EMPTY_FOR_S: Final = 6 * REMEMBERED_S
"""Seconds that a folder has been empty before it goes: by then no process takes its entry for stable without a sync."""


def content_hash(path: Path) -> str:
    """SHA-256, hexadecimal, over transfer syntax and data set of a received file, whoever sent it; empty where it is not there.

    Two files of one instance are the same for the listener just when these are equal.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            head = part10.read_head(file)
            digest.update(f"{head.transfer_syntax_uid}\0".encode())
            file.seek(head.offset)
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    except (OSError, NotUnderstood):
        return ""
    return digest.hexdigest()


def unlink(paths: Iterable[Path]) -> None:
    """Remove files, those that are there, and make that stable.

    Raises
    ------
    OSError
        Where the disk does not let them go.
    """
    folders = set()
    for path in paths:
        path.unlink(missing_ok=True)
        folders.add(path.parent)
    for folder in sorted(folders):
        with contextlib.suppress(FileNotFoundError):
            sync(folder)


def remove_empty_folders(root: Path, now: float | None = None) -> int:
    """Remove folders of studies and series that have been empty for an hour; return how many.

    The listener keeps folders in mind that it need not sync again. One that a process has used was not empty, or has become so
    since; an hour later every process has forgotten it.
    """
    before = (time.time() if now is None else now) - _EMPTY_FOR_S
    removed = 0
    for folder in _below(root):
        with contextlib.suppress(OSError):  # not empty, or gone already
            if folder.stat().st_mtime < before:
                folder.rmdir()
                removed += 1
    return removed


def _below(root: Path) -> Iterator[Path]:
    """Folders of series, of attempts, and then of studies; what is in them is not looked at."""
    for part in (INBOX, RESULTS):
        for study in _folders(root / part):
            yield from _folders(study)
            yield study


def _folders(parent: Path) -> list[Path]:
    try:
        with os.scandir(parent) as entries:
            return [Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []
