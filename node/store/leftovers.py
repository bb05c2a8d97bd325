"""What processes that died have left in a spool: entries of a journal to be put in their place, unfinished files to be removed.

The listener cleans before it takes images; after `clean` all is there that was acknowledged. Whoever only reads waits until that
was done (`wait_until_clean`) and touches nothing: it may be on another machine, where the locks of living processes are not seen.
"""

from __future__ import annotations

import fcntl
import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import Final

from node.store import journal, workshop
from node.store.errors import OverreadError
from node.store.faults import tell
from node.store.journal import Entry
from node.store.log import get_logger
from node.store.spool import TEMPORARY, Spool, SpoolConflict, same_bytes
from node.store.sync import sync

log = get_logger(__name__)

_POLL_S: Final = 0.1
_VERSIONED: Final = re.compile(r"(?P<stem>.*?)(?:\.v(?P<version>[0-9]+))?\.dcm")


def clean(spool: Spool) -> int:
    """Put in their place what the journals of dead processes hold, then remove what else those left. The living are let be.

    A journal that the disk does not let us empty stays, and the log says so; the next start tries again.

    Returns
    -------
    int
        How many unfinished files were removed.
    """
    parent = spool.root / TEMPORARY
    if not parent.is_dir():
        return 0
    with _locked(parent, fcntl.LOCK_EX), ExitStack() as held:
        dead = [folder for folder in sorted(parent.iterdir()) if folder.is_dir() and held.enter_context(workshop.if_dead(folder))]
        if not _restore_all(spool, dead):
            return 0
        for folder in dead:
            journal.remove(folder)
        return sum(workshop.remove(folder) for folder in dead)


def wait_until_clean(spool: Spool, timeout_s: float = 15.0) -> bool:
    """Wait until no dead process has left a journal; False where that takes longer, as it does where nobody cleans."""
    until = time.monotonic() + timeout_s
    while _anything_left(spool.root / TEMPORARY):
        if time.monotonic() > until:
            log.warning("images may wait in a journal for the listener to start: what is read now may lack them")
            return False
        time.sleep(_POLL_S)
    return True


def _anything_left(parent: Path) -> bool:
    if not parent.is_dir():
        return False
    with _locked(parent, fcntl.LOCK_SH):  # else whoever cleans right now would take for living what is only looked at
        return any(_is_left(folder) for folder in parent.iterdir())


def _is_left(folder: Path) -> bool:
    with workshop.if_dead(folder) as dead:
        return dead and any(True for _ in journal.left_by_the_dead(folder))


@contextmanager
def _locked(folder: Path, how: int) -> Iterator[None]:
    """Wait until no other process cleans, and for the exclusive lock until none looks."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, how)
        yield
    finally:
        os.close(descriptor)


def _restore_all(spool: Spool, folders: Sequence[Path]) -> bool:
    """Put all entries in their place, the first written first: of two under one name the later one is the later version."""
    try:
        found = sorted(entry for folder in folders for entry in journal.left_by_the_dead(folder))
        restored = sum(_restore(spool, folders[0], entry) for entry in found)
    except (OSError, OverreadError) as fault:
        log.error("images stay in a journal: see to the disk, then restart", fault=tell(fault))
        return False
    if restored:
        log.warning("images were taken from a journal, as after a power cut", images=restored)
    return True


def _restore(spool: Spool, folder: Path, entry: Entry) -> bool:
    """Have an entry's bytes on the disk under its name, or as the next version where others are; False where they were there."""
    temporary = folder / "restored.part"
    for name in _versions(entry.name):
        final = spool.absolute(name)
        found = _read(final, len(entry.content))
        if found == entry.content:
            sync(final)
            spool.make_stable(final.parent)
            return False
        if found is None or journal.is_debris(found, entry.content):
            temporary.write_bytes(entry.content)
            sync(temporary)
            if found is None:
                spool.link(temporary, final, same_bytes)
            else:
                temporary.replace(final)
                spool.make_stable(final.parent)
            temporary.unlink(missing_ok=True)
            return True
    raise SpoolConflict("other bytes are kept under the name of an entry")


def _versions(name: str) -> Iterator[str]:
    """The name, then those of later versions."""
    match = _VERSIONED.fullmatch(name)
    yield name
    if match:
        for version in count(int(match["version"] or 1) + 1):
            yield f"{match['stem']}.v{version}.dcm"


def _read(path: Path, most: int) -> bytes | None:
    """What a file begins with, one byte more than `most` if it is longer; None where there is none."""
    try:
        with path.open("rb") as file:
            return file.read(most + 1)
    except FileNotFoundError:
        return None
